"""Prompts in the image tower: learned rows after the image's own, in as many blocks as a method asks for."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError, ModelError
from coopt.models import ImageTower, VisionTransformer, run_block
from coopt.prompting.frozen import apply_layer


class PromptedImageTower:
    """Encodes pixels with prompts in the image tower, which must be a vision transformer.

    The prompts of the first block are appended to the image's tokens, after the positions (they have none) and before
    the norm that stands in front of the blocks. Deep prompts take their place before the blocks 1, 2, ...; later blocks
    keep what flows on. The feature is pooled from the image's own tokens.

    Prompts that are replaced before the next block, or follow the last one, are only looked at: their rows go through
    the block's norm, keys and values once for the whole batch, and nothing else is computed of them. Where the feature
    is the class token's row, the last block computes no other. The result is that of whole sequences to rounding error.

    Raises:
        ModelError: the image tower is no vision transformer that can be opened up.
    """

    def __init__(self, tower: ImageTower) -> None:
        if not isinstance(tower, VisionTransformer):
            what = "a ResNet" if tower.kind == "resnet" else "not a plain vision transformer"
            raise ModelError(
                f"Visual prompts need a vision transformer; the image tower of {tower.name!r} is {what}. Choose a "
                "model such as 'ViT-B/16' or 'builtin' (`coopt models` lists them), or a method that prompts the text "
                "tower only, such as coop."
            )
        self.tower = tower

    @property
    def n_blocks(self) -> int:
        """The largest prompt depth."""
        return len(self.tower.blocks)

    def __call__(
        self,
        pixels: Float[Tensor, "B 3 H W"],
        prompts: Float[Tensor, "n D"] | None = None,
        deep: Float[Tensor, "J n D"] | None = None,
    ) -> Float[Tensor, "B E"]:
        """Image features, not normalised.

        Args:
            pixels: preprocessed images.
            prompts: n rows of the tower's width d_v for the first block; None, or no row (0, d_v), is the plain
                tower.
            deep: n rows for each of the blocks 1, 2, ..., J - 1 at prompt depth J.

        Raises:
            ConfigError: the shape of `prompts` or `deep` does not fit the tower.
        """
        x = self.tower.embed(pixels)  # (B, N, d_v)
        prompts = x.new_zeros(0, self.tower.width) if prompts is None else prompts
        self._check(prompts, deep)
        # The norm is token-wise, so that prompts may be normed by themselves.
        x, first = self.tower.pre_norm(x), self.tower.pre_norm(prompts.to(x.dtype))
        layers = [first] if deep is None else [first, *deep.to(first.dtype)]
        for number, block in enumerate(self.tower.blocks):
            looked_at = layers[number] if number < len(layers) and len(prompts) else None
            if looked_at is not None and len(layers) == number + 1 < self.n_blocks:
                x = torch.cat([x, looked_at.expand(len(x), -1, -1)], dim=1)  # they flow on: (B, N + n, d_v)
                looked_at = None
            only_first = self.tower.pools_first and number + 1 == self.n_blocks
            n_rows = 1 if only_first else x.shape[1]
            x = run_block(block, x, rows=partial(first_rows, n_rows), seen=looked_at, apply=apply_layer)
        return self.tower.pool(x)

    def _check(self, prompts: Tensor, deep: Tensor | None) -> None:
        width = self.tower.width
        if prompts.ndim != 2 or prompts.shape[1] != width:
            raise ConfigError(f"The visual prompts have shape {tuple(prompts.shape)}; this tower takes (n, {width}).")
        if deep is not None and (deep.shape[1:] != prompts.shape or len(deep) >= self.n_blocks):
            raise ConfigError(
                f"The deep visual prompts have shape {tuple(deep.shape)}; beside prompts {tuple(prompts.shape)} this "
                f"tower takes (J - 1, {len(prompts)}, {width}) with a prompt depth J of at most {self.n_blocks}."
            )


def first_rows(n_rows: int, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B R D"]:
    """The first rows of each sequence, where only these are computed."""
    return x[:, :n_rows]
