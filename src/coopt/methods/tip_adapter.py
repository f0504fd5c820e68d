"""TipAdapter: a cache of the training images' features beside the hand-written prompts, without training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from coopt.features import Inputs
from coopt.methods.batch import Shots
from coopt.methods.cache import OWN_TEMPLATES, START_ALPHA, START_BETA, Cache, Grid, search_presets
from coopt.methods.method import Method, Preset
from coopt.models import VLM
from coopt.prompting import check_size


class TipAdapter(Method):
    r"""Adds the labels of similar training images to the zero-shot logits; nothing is trained.

    .. math::
        \mathrm{logits}(x) = s \, f W^\top + \alpha \exp\left(-\beta (1 - f G^\top)\right) V

    with f the normalised image feature, W the class features of the hand-written prompts, s the model's logit scale,
    G the keys and V the values of the cache: one row per training image. A key is the mean of the features of
    `n_views` augmented views, normalised; a value is the one-hot label. The two numbers :math:`\alpha` (how much the
    cache counts) and :math:`\beta` (how quickly a training image's say falls with distance) are searched on a grid, by
    accuracy on the validation shots, or, where there are none, by cross-validation on the shots: each image is scored
    without its own key and without one key of every other class. With one shot per class and no validation set
    nothing can be compared, and they are the authors' starting values, `start_alpha` and `start_beta`.

    Reference:
        Zhang, Zhang, Fang, Gao, Li, Dai, Qiao and Li, "Tip-Adapter: Training-free Adaption of CLIP for Few-shot
        Classification", ECCV 2022, equations 3 to 6.

    Differences from the official code:
        - The logit scale is the model's own; the code fixes 100, which is what OpenAI's models have.
        - Without a validation set the shots are cross-validated; the test set is never looked at.
        - The validation set is the protocol's few-shot one, of min(shots, 4) images per class.
        - Where the search ties, the first pair wins, as there; that the whole grid scores 0 gives the grid's first
          pair here and 0 there.
        - The upper ends of the grid are left out, as there.
        - In half precision there: the frozen model, all features and the cache. Here they are in float32.

    Args:
        templates: the hand-written prompts, as for `ZeroShot`; the authors take the data set's own, and "imagenet-7" on
            ImageNet.
        alpha: fixes how much the cache counts; None searches.
        beta: fixes how sharp the cache is; None searches.
        start_alpha, start_beta: their values where nothing can be compared.
        max_alpha, max_beta: where the search ends; it starts at 0.1. Raise one where the number found is near it: the
            authors have an end for each data set, up to 50 (Flowers102), which the presets give.
        alpha_steps, beta_steps: how many values are tried of each.
        n_views: augmented views per training image that a key is the mean of; 0 takes the plain image.
        truncate_names: cut prompts that are too long for the model's context, instead of raising.

    Shape:
        - cache.keys: (N, E), cache.labels: (N,), cache.alpha and cache.beta: scalars
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: a number that is not above 0, a step count below 1, a negative `n_views`, or a template that
            cannot be used.
        DataError: a prompt does not fit the context and may not be cut.
    """

    paper = "https://arxiv.org/abs/2207.09519"
    kind = "cache of features"
    summary = "nothing; the shots' features vote beside hand-written prompts"
    steps = False
    uses_validation = True
    uses_weights = False  # the cache is filled, not trained
    new_classes = False
    recipe: ClassVar[Mapping[str, object]] = {"min_crop": 0.5}
    presets: ClassVar[Mapping[str, Preset]] = search_presets(trained=False)
    own_templates: ClassVar[Mapping[str, str | Sequence[str]] | None] = OWN_TEMPLATES

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        templates: str | Path | Sequence[str] = "a photo of a {}.",
        alpha: float | None = None,
        beta: float | None = None,
        start_alpha: float = START_ALPHA,
        start_beta: float = START_BETA,
        max_alpha: float = 3.0,
        max_beta: float = 7.0,
        alpha_steps: int = 20,
        beta_steps: int = 200,
        n_views: int = 10,
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        check_size("n_views", n_views, least=0)
        self.inputs = Inputs(train_views=n_views)
        grid = Grid(alpha, beta, max_alpha, max_beta, alpha_steps, beta_steps, start_alpha, start_beta)
        self.cache = Cache(vlm, class_names, templates, grid, truncate_names=truncate_names, trained=False)

    def prepare(self, shots: Shots) -> None:
        """Fill the cache and search alpha and beta."""
        shots = shots.as_classes(self.task)
        self.cache.fill(shots.train)
        self.found = self.cache.search(shots.train, shots.val)

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        return self.cache.zero_shot(images) + self.cache(images)

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for the rows of a saved cache."""
        self.cache.resize(shapes["cache.keys"][0])
