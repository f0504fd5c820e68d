"""ZeroShot: hand-written prompts, one template or an ensemble."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from coopt.methods.method import Method
from coopt.models import VLM
from coopt.prompting import read_templates, template_features


class ZeroShot(Method):
    r"""The model as it is, prompted with words: nothing is learned.

    .. math::
        w_c = \frac{\bar t_c}{\lVert \bar t_c \rVert}, \qquad
        \bar t_c = \frac{1}{K} \sum_k \frac{g(t_{k,c})}{\lVert g(t_{k,c}) \rVert}

    over K templates filled with the class name.

    Reference:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
        section 3.1.4; the baselines "hand-crafted prompts" and "prompt ensembling" of CoOp (table 2).

    Differences from the official code:
        - CoOp's ensemble baseline appends the data set's own template to the seven of ImageNet; here a list is used as
          given, so name it: ``templates=[*TEMPLATES["imagenet-7"], *TEMPLATES["eurosat"]]``.
        - In half precision there: the frozen model. Here it is in float32.

    Args:
        templates: one template with ``{}`` for the class name, a list of them, a name in
            `coopt.prompting.TEMPLATES` ("imagenet-7", "oxford-pets", ...), or a file (JSON list or one per line).
        truncate_names: cut prompts that are too long for the model's context, instead of raising.

    Shape:
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: a template without ``{}``, an unknown name, an unreadable file.
        DataError: a prompt does not fit the context and may not be cut.
    """

    paper = "https://arxiv.org/abs/2103.00020"
    kind = "hand-written prompt"
    summary = "nothing; hand-written prompts, one template or an ensemble"
    uses_shots = False
    steps = False

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        templates: str | Path | Sequence[str] = "a photo of a {}.",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        self.templates = read_templates(templates)
        self._class_features = template_features(vlm, class_names, self.templates, truncate=truncate_names)  # (C, E)

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the filled templates."""
        return self._class_features
