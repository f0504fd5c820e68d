"""Prompts in the image tower: learned rows behind the image's own tokens, in as many blocks as a method asks for."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError, ModelError
from coopt.models import VLM, Block
from coopt.prompting.frozen import apply_layer
from coopt.prompting.packed import join_heads, split_heads


class PromptedImageTower:
    """Encodes pixels with prompts in the image tower, which must be a vision transformer.

    The prompts of the first block are appended behind the image's tokens, after the positions (they have none) and
    before the norm that stands in front of the blocks. Deep prompts take their place before the blocks 1, 2, ...; the
    blocks behind those keep what flows on. The feature is pooled from the image's own tokens.

    Prompts that are replaced before the next block, or follow the last one, are only looked at: their rows go through
    the block's norm, keys and values once for the whole batch, and nothing else is computed of them. Where the feature
    is the class token's row, the last block computes no other. The result is that of whole sequences to rounding error.

    Args:
        vlm: the frozen model.

    Raises:
        ModelError: the image tower is no vision transformer that can be opened up.
    """

    def __init__(self, vlm: VLM) -> None:
        if vlm.image.kind != "vit" or vlm.image.embed is None or vlm.image.pool is None:
            what = "a ResNet" if vlm.image.kind == "resnet" else "not a plain vision transformer"
            raise ModelError(
                f"Visual prompts need a vision transformer; the image tower of {vlm.name!r} is {what}. Choose a model "
                "such as 'ViT-B/16' or 'builtin' (`coopt models` lists them), or a method that prompts the text tower "
                "alone, such as coop."
            )
        self.tower = vlm.image
        self.embed, self.pool = vlm.image.embed, vlm.image.pool
        self._vlm = vlm

    @property
    def n_blocks(self) -> int:
        """The largest prompt depth."""
        return len(self.tower.blocks)

    def __call__(
        self,
        pixels: Float[Tensor, "B 3 H W"],
        prompts: Float[Tensor, "n D"],
        deep: Float[Tensor, "J n D"] | None = None,
    ) -> Float[Tensor, "B E"]:
        """Image features, not normalised.

        Args:
            pixels: preprocessed images.
            prompts: n rows of the tower's width d_v for the first block; none at all (0, d_v) is the plain tower.
            deep: n rows for each of the blocks 1, 2, ..., J - 1 at prompt depth J.

        Raises:
            ConfigError: the shape of `prompts` or `deep` does not fit the tower.
        """
        self._check(prompts, deep)
        x = self.embed(pixels.to(self._vlm.device, self._vlm.dtype))  # (B, N, d_v)
        first = prompts.to(x.dtype)
        if self.tower.pre_norm is not None:
            # Token-wise, so that prompts may be normed by themselves.
            x, first = self.tower.pre_norm(x), self.tower.pre_norm(first)
        layers = [first] if deep is None else [first, *deep.to(first.dtype)]
        for number, block in enumerate(self.tower.blocks):
            looked_at = layers[number] if number < len(layers) and len(prompts) else None
            if looked_at is not None and len(layers) == number + 1 < self.n_blocks:
                x = torch.cat([x, looked_at.expand(len(x), -1, -1)], dim=1)  # they flow on: (B, N + n, d_v)
                looked_at = None
            only_first = self.tower.pools_first and number + 1 == self.n_blocks
            x = run_block(block, x, looked_at, 1 if only_first else x.shape[1])
        return self.pool(x)

    def _check(self, prompts: Tensor, deep: Tensor | None) -> None:
        width = self.tower.width
        if prompts.ndim != 2 or prompts.shape[1] != width:
            raise ConfigError(f"The visual prompts have shape {tuple(prompts.shape)}; this tower takes (n, {width}).")
        if deep is not None and (deep.shape[1:] != prompts.shape or len(deep) >= self.n_blocks):
            raise ConfigError(
                f"The deep visual prompts have shape {tuple(deep.shape)}; beside prompts {tuple(prompts.shape)} this "
                f"tower takes (J - 1, {len(prompts)}, {width}) with a prompt depth J of at most {self.n_blocks}."
            )


def run_block(
    block: Block, x: Float[Tensor, "B N D"], looked_at: Float[Tensor, "n D"] | None, n_rows: int
) -> Float[Tensor, "B R D"]:
    """A pre-norm layer in which rows attend to each other and to the rows `looked_at`, the same for all images.

    Only the first `n_rows` rows are computed: those that somebody reads.
    """
    normed = block.norm_1(x)
    k, v = apply_layer(block.k, normed), apply_layer(block.v, normed)  # (B, N, D)
    x, q = x[:, :n_rows], apply_layer(block.q, normed[:, :n_rows])  # (B, R, D)
    if looked_at is not None:
        more = block.norm_1(looked_at[None])  # (1, n, D)
        k = torch.cat([k, apply_layer(block.k, more).expand(len(x), -1, -1)], dim=1)  # (B, N + n, D)
        v = torch.cat([v, apply_layer(block.v, more).expand(len(x), -1, -1)], dim=1)
    q, k, v = (split_heads(part, block.n_heads) for part in (q, k, v))  # (B, heads, R or N + n, D / heads)
    x = x + apply_layer(block.out, join_heads(F.scaled_dot_product_attention(q, k, v)))
    return x + apply_layer(block.mlp, block.norm_2(x))
