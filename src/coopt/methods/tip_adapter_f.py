"""TipAdapterF: Tip-Adapter with fine-tuned keys."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from coopt.features import Inputs
from coopt.methods.batch import Shots
from coopt.methods.cache import OWN_TEMPLATES, START_ALPHA, START_BETA, Cache, Grid, search_presets
from coopt.methods.method import Method, Preset
from coopt.models import VLM
from coopt.prompting import check_size


class TipAdapterF(Method):
    r"""Tip-Adapter whose keys are trained, starting from the shots' features; both encoders stay frozen.

    .. math::
        \mathrm{logits}(x) = s \, f W^\top + \alpha \exp\left(-\beta (1 - f G^\top)\right) V

    with f the normalised image feature, W the class features of the hand-written prompts, s the model's logit scale,
    G the keys and V the one-hot labels of the training images. G starts as in `TipAdapter` (the mean of the features
    of `n_views` augmented views, normalised) and is trained by cross entropy, with :math:`\alpha` and :math:`\beta`
    at `start_alpha` and `start_beta`; V stays. After the last step :math:`\alpha` and :math:`\beta` are searched on a
    grid, by accuracy on the validation shots.

    Trained keys know every shot, so without a validation set nothing is left to compare them on. The search then comes
    before the training, by cross-validation of the untrained cache, and the keys are trained with the numbers found.
    With one shot per class nothing can be compared at all, and the starting values stay.

    Reference:
        Zhang, Zhang, Fang, Gao, Li, Dai, Qiao and Li, "Tip-Adapter: Training-free Adaption of CLIP for Few-shot
        Classification", ECCV 2022, equations 3 to 6 and section 3.3.

    Differences from the official code:
        - The last epoch's keys are kept; the code keeps those of the epoch that is best on the test set, and reports
          the better of two test accuracies.
        - The logit scale is the model's own; the code fixes 100, which is what OpenAI's models have.
        - Without a validation set the shots are cross-validated, as said above.
        - The validation set is the protocol's few-shot one, of min(shots, 4) images per class.
        - Each step draws one of the cache's `n_views` views of an image, encoded once; ``--views fresh`` draws a new
          crop in every epoch, as there.
        - In half precision there: the frozen model, all features and the cache, its trained keys too. Here they are in
          float32, and the recipe's `precision` says what a step computes in.

    Args:
        templates: the hand-written prompts, as for `ZeroShot`; the authors take the data set's own, and "imagenet-7" on
            ImageNet.
        alpha: fixes how much the cache counts, in training too; None searches.
        beta: fixes how sharp the cache is, in training too; None searches.
        start_alpha, start_beta: their values in training, where they are searched after it.
        max_alpha, max_beta: where the search ends; it starts at 0.1. Raise one where the number found is near it: the
            authors have an end for each data set, up to 50 (Flowers102), which the presets give.
        alpha_steps, beta_steps: how many values are tried of each.
        n_views: augmented views per training image that a key is the mean of at first; 0 takes the plain image.
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
    summary = "the cache of the shots' features that votes beside hand-written prompts"
    uses_validation = True
    new_classes = False
    recipe: ClassVar[Mapping[str, Any]] = {
        "epochs": 20,
        "batch_size": 256,
        "drop_last": False,
        "optimizer": "adamw",
        "lr": 0.001,
        "weight_decay": 0.01,
        "eps": 1e-4,
        "schedule": "cosine-step",
        "warmup_epochs": 0,
        "views": 10,
        "min_crop": 0.5,
    }
    presets: ClassVar[Mapping[str, Preset]] = search_presets(trained=True)
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
        self.cache = Cache(vlm, class_names, templates, grid, truncate_names=truncate_names, trained=True)

    def prepare(self, shots: Shots) -> None:
        """Fill the cache; without validation shots also search alpha and beta."""
        shots = shots.as_classes(self.task)
        self.cache.fill(shots.train)
        self.found = self.cache.start() if shots.val is not None else self.cache.search(shots.train, None)

    def finish(self, shots: Shots) -> None:
        """Search alpha and beta for the trained keys on the validation shots."""
        shots = shots.as_classes(self.task)
        if shots.val is not None:
            self.found = self.cache.search(shots.train, shots.val)

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        return self.cache.zero_shot(images) + self.cache(images)

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for the rows of a saved cache."""
        self.cache.resize(shapes["cache.keys"][0])
