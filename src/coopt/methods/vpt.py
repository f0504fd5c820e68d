"""VPT: visual prompt tuning, learned tokens in the image tower beside a hand-written text prompt."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from coopt.features import Inputs
from coopt.methods.method import Method, Preset
from coopt.models import VLM
from coopt.prompting import PromptedImageTower, check_size, noise, read_templates, template_features


class VPT(Method):
    r"""Learns tokens that stand beside the image's own in the image tower; the text prompt is written by hand.

    .. math::
        [x_j, E_j, \_] = L_j([x_{j-1}, E_{j-1}, P_{j-1}]) \; (j \le J), \qquad
        [x_j, E_j, Z_j] = L_j([x_{j-1}, E_{j-1}, Z_{j-1}]) \; (j > J)

    with :math:`L_j` the j-th block, x the class token, E the patches and P the prompts: fresh ones in each of the first
    J blocks ("deep"), or only in the first, J = 1 ("shallow"). Classes are compared by the cosine of image and text
    feature as ever.

    Reference:
        Jia, Tang, Chen, Cardie, Belongie, Hariharan and Lim, "Visual Prompt Tuning", ECCV 2022, section 3.2; the
        form for CLIP is the one that Khattak et al. compare with in "MaPLe: Multi-modal Prompt Learning", CVPR 2023.

    Differences from the official code:
        - It is the CLIP form (of MaPLe's authors): the text prompt takes the place of the original's learned linear
          head, prompts start from N(0, 0.02) and stand after the patches. The original draws uniform numbers by patch
          size and width, puts prompts between class token and patches (attention does not see the order), and has
          dropout on prompts.
        - A tower with fewer blocks than `prompt_depth` is prompted in all of them.
        - In half precision there: the prompts where they enter a block; the frozen model is in float32. Here both are
          in float32, and the recipe's `precision` says what a step computes in.

    Args:
        n_ctx: number of prompts n in each block.
        prompt_depth: number J of blocks with prompts of their own; 1 is the shallow form.
        templates: the hand-written prompt: one template, a list, a name or a file, as for zero-shot.
        truncate_names: cut prompts that are too long for the model's context, instead of raising.

    Shape:
        - ctx_visual: (n, d_v); deep_visual: (J - 1, n, d_v), absent with J = 1
        - images: pixels (B, 3, H, W)
        - logits: (B, C)

    Raises:
        ConfigError: `n_ctx` or `prompt_depth` below 1, or a template that cannot be used.
        DataError: a prompt does not fit the context and may not be cut.
        ModelError: the image tower is no vision transformer.
    """

    paper = "https://arxiv.org/abs/2203.12119"
    kind = "visual prompt"
    summary = "tokens in the image tower, shallow or deep"
    inputs = Inputs("pixels")
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 5, "batch_size": 4, "lr": 0.0025, "views": "fresh"}
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset(
            source="MaPLe's code, configs/trainers/VPT/vit_b16_c2_ep5_batch4_4.yaml",
            settings={"n_ctx": 8, "prompt_depth": 12},
            recipe={"epochs": 5, "lr": 0.0025},
        ),
    }
    own_templates: ClassVar[Mapping[str, str] | None] = None  # trainers/vpt.py: "a photo of a" on every data set

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int = 8,
        prompt_depth: int = 12,
        templates: str | Path | Sequence[str] = "a photo of a {}.",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        check_size("n_ctx", n_ctx)
        check_size("prompt_depth", prompt_depth)
        self.image_encoder = PromptedImageTower(vlm.image)
        depth = min(prompt_depth, self.image_encoder.n_blocks)
        self.ctx_visual = nn.Parameter(noise(n_ctx, vlm.image.width, vlm=vlm))
        deep = noise(depth - 1, n_ctx, vlm.image.width, vlm=vlm)
        self.deep_visual = nn.Parameter(deep) if depth > 1 else None
        self._class_features = template_features(vlm, class_names, read_templates(templates), truncate=truncate_names)

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the hand-written prompt."""
        return self._class_features

    def image_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Features of pixels beside the prompts as they are now."""
        return self.image_encoder(images, self.ctx_visual, self.deep_visual)
