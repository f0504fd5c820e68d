"""IVLP: independent vision-language prompting, deep prompts in both towers that know nothing of each other."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.features import Inputs
from coopt.methods.method import Method, Preset
from coopt.models import VLM
from coopt.prompting import PromptedImageTower, PromptEncoder, PromptLayout, check_size, noise, start_context


class IVLP(Method):
    r"""Learns prompts in both towers, fresh ones in each of the first blocks, with nothing between the towers.

    .. math::
        [\_, W_j] = L_j([P_{j-1}, W_{j-1}]) \; (j \le J), \qquad
        [x_j, E_j, \_] = V_j([x_{j-1}, E_{j-1}, \tilde P_{j-1}]) \; (j \le \tilde J)

    with L the blocks of the text tower and V those of the image tower, W the words (class name included), x the class
    token, E the patches. After the blocks J and :math:`\tilde J` the prompts flow on as the block before left them.
    Without visual prompts (`n_ctx_vision=0`) it is deep language prompting: CoOp with prompts in every block, which
    needs image features only.

    As in the official code, only the first `n_ctx` tokens of `ctx_init` are learned and its other words stay where they
    are: two vectors in front of "of a" by default.

    Reference:
        Khattak, Rasheed, Maaz, Khan and Khan, "MaPLe: Multi-modal Prompt Learning", CVPR 2023, section 4.2
        ("independent V-L prompting", a baseline of the paper).

    Differences from the official code:
        - `ctx_init` is used wherever it has `n_ctx` tokens or more; there `n_ctx` above 4 always starts at random.
        - A tower with fewer blocks than its prompt depth is prompted in all of them.
        - In half precision there: the frozen model, the first text prompts, and all other prompts where they enter a
          block. Here they are in float32, and the recipe's `precision` says what a step computes in.

    Args:
        n_ctx: number of text prompts M in each block.
        n_ctx_vision: number of visual prompts n in each block; 0 leaves the image tower as it is.
        prompt_depth: number J of text blocks with prompts of their own.
        prompt_depth_vision: the same for the image tower.
        ctx_init: words to start from; None, or words with fewer tokens than `n_ctx`, draw from N(0, 0.02).
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t); deep: (J - 1, M, d_t), absent with J = 1
        - ctx_visual: (n, d_v); deep_visual: likewise; both absent with n = 0
        - images: pixels (B, 3, H, W), or features (B, E) with n = 0
        - logits: (B, C)

    Raises:
        ConfigError: a number of prompts or a depth is too small.
        DataError: an empty name, or a prompt longer than the model's context.
        ModelError: there are visual prompts and the image tower is no vision transformer.
    """

    paper = "https://arxiv.org/abs/2210.03117"
    kind = "text and visual prompts"
    summary = "deep prompts in both towers, independent of each other"
    inputs = Inputs("pixels")
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 5, "batch_size": 4, "lr": 0.0035, "views": "fresh"}
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset(
            source="MaPLe's code, configs/trainers/IVLP/vit_b16_c2_ep5_batch4_2+2ctx.yaml",
            settings={"n_ctx": 2, "n_ctx_vision": 2, "prompt_depth": 12, "prompt_depth_vision": 12},
            recipe={"epochs": 5, "lr": 0.0035},
        ),
        "language-only": Preset(
            source="MaPLe's code, configs/trainers/IVLP/vit_b16_c2_ep5_batch4_4ctx_language_only.yaml",
            settings={"n_ctx": 4, "n_ctx_vision": 0, "prompt_depth": 12},
            recipe={"epochs": 5, "lr": 0.0025},
        ),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int = 2,
        n_ctx_vision: int = 2,
        prompt_depth: int = 12,
        prompt_depth_vision: int = 12,
        ctx_init: str | None = "a photo of a",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        check_size("n_ctx", n_ctx)
        check_size("n_ctx_vision", n_ctx_vision, least=0)
        check_size("prompt_depth", prompt_depth)
        check_size("prompt_depth_vision", prompt_depth_vision, least=1 if n_ctx_vision else 0)
        ctx, words = start_context(vlm, n_ctx, ctx_init, too_few="random")
        layout = PromptLayout.build(vlm, class_names, n_ctx, words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        depth = min(prompt_depth, len(vlm.text.blocks))
        self.ctx = nn.Parameter(ctx)
        self.deep = nn.Parameter(noise(depth - 1, n_ctx, vlm.text.width, vlm=vlm)) if depth > 1 else None
        self.inputs = Inputs("pixels" if n_ctx_vision else "features")
        if n_ctx_vision:
            self.image_encoder = PromptedImageTower(vlm.image)
            depth, width = min(prompt_depth_vision, self.image_encoder.n_blocks), vlm.image.width
            self.ctx_visual = nn.Parameter(noise(n_ctx_vision, width, vlm=vlm))
            self.deep_visual = nn.Parameter(noise(depth - 1, n_ctx_vision, width, vlm=vlm)) if depth > 1 else None

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the prompts as they are now."""
        return F.normalize(self.encoder(self.ctx, self.deep).float(), dim=-1)

    def image_features(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B E"]:
        """Features of pixels, or the features themselves where there are no visual prompts."""
        if self.inputs.kind == "features":
            return images
        return self.image_encoder(images, self.ctx_visual, self.deep_visual)
