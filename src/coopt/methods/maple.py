"""MaPLe: multi-modal prompt learning, deep text prompts from which the visual prompts are projected."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.features import Inputs
from coopt.methods.method import Method, Preset
from coopt.models import VLM
from coopt.prompting import PromptedImageTower, PromptEncoder, PromptLayout, check_size, noise, start_context


class MaPLe(Method):
    r"""Learns prompts in the first J blocks of the text tower, and couples the image tower's to them.

    .. math::
        [\_, W_j] = L_j([P_{j-1}, W_{j-1}]), \qquad
        [x_j, E_j, \_] = V_j([x_{j-1}, E_{j-1}, \tilde P_{j-1}]), \qquad
        \tilde P_j = F_j(P_j) \qquad (j \le J)

    with L the blocks of the text tower and V those of the image tower, W the words (class name included), x the class
    token, E the patches, and :math:`F_j` a linear layer from the text tower's width to the image tower's ("coupling").
    After block J the prompts flow on as the block before left them. All :math:`F_j` but the first start as copies of
    one layer.

    As in the official code, only the first `n_ctx` tokens of `ctx_init` are learned and its other words stay where they
    are: two vectors in front of "of a" by default.

    Reference:
        Khattak, Rasheed, Maaz, Khan and Khan, "MaPLe: Multi-modal Prompt Learning", CVPR 2023, section 3.2.

    Differences from the official code:
        - Widths come from the model; there 512 and 768 are written out, and only ViT-B fits.
        - `ctx_init` is used wherever it has `n_ctx` tokens or more; there `n_ctx` above 4 always starts at random.
        - In half precision there: the frozen model, the first prompts and their coupling, and all other prompts where
          they enter a block. Here they are in float32, and the recipe's `precision` says what a step computes in.
        - Where a tower has fewer blocks than `prompt_depth`, both are prompted in as many as the smaller has.

    Args:
        n_ctx: number of prompts n in each block of either tower.
        prompt_depth: number J of blocks with prompts of their own.
        ctx_init: words to start from; None, or words with fewer tokens than `n_ctx`, draw from N(0, 0.02).
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (n, d_t); deep: (J - 1, n, d_t), absent with J = 1
        - coupling: J linear layers, weights (d_v, d_t) and biases (d_v,)
        - images: pixels (B, 3, H, W)
        - logits: (B, C)

    Raises:
        ConfigError: `n_ctx` or `prompt_depth` below 1.
        DataError: an empty name, or a prompt longer than the model's context.
        ModelError: the image tower is no vision transformer.
    """

    paper = "https://arxiv.org/abs/2210.03117"
    kind = "text and visual prompts"
    summary = "deep text prompts, and layers that make visual prompts of them"
    inputs = Inputs("pixels")
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 5, "batch_size": 4, "lr": 0.0035, "views": "fresh"}
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset(
            source="MaPLe's code, configs/trainers/MaPLe/vit_b16_c2_ep5_batch4_2ctx.yaml",
            settings={"n_ctx": 2, "prompt_depth": 9},
            recipe={"epochs": 5, "lr": 0.0035},
        ),
        "cross-dataset": Preset(
            source="MaPLe's code, configs/trainers/MaPLe/vit_b16_c2_ep5_batch4_2ctx_cross_datasets.yaml",
            settings={"n_ctx": 2, "prompt_depth": 3},
            recipe={"epochs": 2, "lr": 0.0026},
        ),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int = 2,
        prompt_depth: int = 9,
        ctx_init: str | None = "a photo of a",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        check_size("prompt_depth", prompt_depth)
        self.image_encoder = PromptedImageTower(vlm.image)
        ctx, words = start_context(vlm, n_ctx, ctx_init, too_few="random")
        layout = PromptLayout.build(vlm, class_names, n_ctx, words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        depth = min(prompt_depth, len(vlm.text.blocks), self.image_encoder.n_blocks)
        self.ctx = nn.Parameter(ctx)
        first = nn.Linear(vlm.text.width, vlm.image.width)
        self.deep = nn.Parameter(noise(depth - 1, n_ctx, vlm.text.width, vlm=vlm)) if depth > 1 else None
        one = nn.Linear(vlm.text.width, vlm.image.width)  # the deep couplings start as copies of it (trainers/maple.py)
        deep = [copy.deepcopy(one) for _ in range(depth - 1)]
        self.coupling = nn.ModuleList([first, *deep]).to(vlm.device)

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the prompts as they are now."""
        return F.normalize(self.encoder(self.ctx, self.deep).float(), dim=-1)

    def visual_prompts(self) -> tuple[Float[Tensor, "n d_v"], Float[Tensor, "J n d_v"] | None]:
        """The image tower's prompts: those of the first block, and those of the J - 1 blocks after it."""
        first, *others = self.coupling
        if self.deep is None:
            return first(self.ctx), None
        deep = [layer(prompts) for layer, prompts in zip(others, self.deep, strict=True)]
        return first(self.ctx), torch.stack(deep)  # (J - 1, n, d_v)

    def image_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Features of pixels beside the visual prompts as they are now."""
        return self.image_encoder(images, *self.visual_prompts())
