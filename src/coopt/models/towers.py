"""The two towers of a dual encoder, opened up into parts, and run plainly.

Every part is a view of the loaded module's own layers: no weight is copied and no model code is forked. A tower can be
mapped: `tower.map(change)` is the same tower in which `change(name, layer)` stands for each layer, so that a method
can wrap layers (low-rank factors, masks, norms of its own) while the loaded module stays as it is. Layers given to
`change` have `weight` and `bias`. Their names:

- both towers: `blocks.0.norm_1`, `.q`, `.k`, `.v`, `.out`, `.norm_2`, `.mlp.up`, `.mlp.down`
- text: `norm`, `projection`
- vision transformers: `patch` (the patch convolution), `pre_norm`, `post_norm`, `projection`
- ResNets: `conv1`, `bn1`, ..., `layer1.0.conv1`, `layer1.0.bn1`, ..., `layer1.0.downsample.0`, ..., and the attention
  pool's `pool.q`, `pool.k`, `pool.v`, `pool.out`

A layer that a tower does not have (SigLIP has no `pre_norm` and no image `projection`) is an `nn.Identity`, and is not
given to `change`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ModelError
from coopt.models.block import Block, Change, Layer, changed, run_block

Place = str | int
"""Where in the tower: "joint", "unprojected", "values", or the number of a block (`coopt.features.Inputs.at`)."""


def _map_blocks(blocks: list[Block], change: Change) -> list[Block]:
    return [block.map(change, f"blocks.{number}") for number, block in enumerate(blocks)]


@dataclass(frozen=True)
class TextTower:
    """The text encoder, opened up. Sizes: L context_length, D width (d_t), E the joint embedding."""

    width: int
    context_length: int
    causal: bool
    """From the model's own configuration. Where True, what follows the end token cannot influence the feature."""
    pooling: Literal["eos", "last"]
    """Which row is the feature: the end token's, or the last of the `context_length` positions."""
    token_embedding: Layer
    """Token ids (...) int64 to (..., D)."""
    positions: Float[Tensor, "L D"]
    blocks: list[Block]
    norm: Layer
    projection: Layer
    vocabulary: Float[Tensor, "V D"]
    """The token embedding's table, for nearest words."""

    def project(self, rows: Float[Tensor, "... D"]) -> Float[Tensor, "... E"]:
        """The chosen rows as features, not normalised."""
        return self.projection(self.norm(rows))

    def map(self, change: Change) -> "TextTower":
        """The tower with `change(name, layer)` in the place of each layer."""
        norm, projection = changed(change, "norm", self.norm), changed(change, "projection", self.projection)
        return replace(self, blocks=_map_blocks(self.blocks, change), norm=norm, projection=projection)


@dataclass(frozen=True)
class ClosedTower:
    """A text tower that encodes, but whose layers are not the pre-norm blocks that prompts are put into."""

    reason: str
    """The first sentence of an error message, without its full stop."""
    context_length: int


class ImageTower(ABC):
    """An image encoder. `tower(pixels)` runs its layers one by one, and gradients reach whatever they reach in them."""

    kind: ClassVar[Literal["vit", "resnet", "other"]]
    name: str
    """The model's name, for messages."""
    width: int
    """Width d_v of the rows."""
    n_positions: int
    """N: patches, or places of the feature map."""

    @abstractmethod
    def __call__(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Image features, not normalised."""

    @abstractmethod
    def map(self, change: Change) -> "ImageTower":
        """The tower with `change(name, layer)` in the place of each layer."""

    @abstractmethod
    def states(self, pixels: Float[Tensor, "B 3 H W"], at: Place) -> tuple[Tensor | None, Tensor]:
        """The pooled feature (B, width at `at`) and the N positions (B, N, width at `at`).

        The pooled feature is None where it is the tower's own output.

        Raises:
            ModelError: this tower has nothing at `at`.
        """

    def refuse(self, at: Place, possible: str) -> ModelError:
        """The error for an `at` that this tower does not have."""
        return ModelError(f"The image tower of {self.name!r} has no features at {at!r}; possible are {possible}.")


@dataclass(frozen=True)
class ClosedImageTower(ImageTower):
    """An image tower that only encodes: neither a plain vision transformer nor CLIP's ResNet."""

    kind: ClassVar = "other"
    name: str
    width: int
    n_positions: int = 0

    def __call__(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Refused: the layers are not known."""
        raise self._closed()

    def map(self, change: Change) -> ImageTower:
        """Refused: the layers are not known."""
        raise self._closed()

    def states(self, pixels: Float[Tensor, "B 3 H W"], at: Place) -> tuple[Tensor | None, Tensor]:
        """Refused: the layers are not known."""
        raise self.refuse(at, "pooled features (kind 'features') at 'joint' only")

    def _closed(self) -> ModelError:
        return ModelError(
            f"The image tower of {self.name!r} cannot be opened up: it is neither a plain vision transformer nor "
            "CLIP's ResNet. It can encode images, but its layers cannot be changed; choose another model "
            "(`coopt models`)."
        )


def class_token_and_patches(token: Tensor, positions: Tensor) -> Callable[[Layer, Tensor], Tensor]:
    """What CLIP's vision transformers start with: the class token, then the patches, positions (L, d_v) added."""

    def tokens(patch: Layer, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B L d_v"]:
        patches = patch(pixels).flatten(2).transpose(1, 2)  # (B, N, d_v)
        return torch.cat([token.expand(len(pixels), 1, -1), patches], dim=1) + positions

    return tokens


def first_row(rows: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
    """The class token's row."""
    return rows[:, 0]


@dataclass(frozen=True)
class VisionTransformer(ImageTower):
    """A vision transformer, opened up."""

    kind: ClassVar = "vit"
    name: str
    width: int
    n_positions: int
    weight: Tensor
    """Any of the weights: their device and precision are those of the pixels."""
    patch: Layer
    """The patch convolution, or a linear layer on flattened patches (SigLIP 2)."""
    tokens: Callable[[Layer, Tensor], Tensor]
    """The patch layer and pixels (B, 3, H, W) to rows (B, n_special + N, d_v), positions added, before `pre_norm`."""
    pre_norm: Layer
    """`nn.Identity` where there is none, as for the other layers."""
    blocks: list[Block]
    post_norm: Layer
    projection: Layer
    n_special: int = 1
    """Rows in front of the N positions: the class token and the like."""
    gather: Callable[[Tensor], Tensor] = first_row
    """Rows (B, n_special + N, d_v) to the pooled row (B, d_v)."""
    norm_last: bool = True
    """Whether `post_norm` comes after `gather`."""

    @property
    def pools_first(self) -> bool:
        """Whether only the first row is read at the end: the last block then need not compute the others."""
        return self.gather is first_row

    def embed(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N d_v"]:
        """The image's own rows, positions added, before `pre_norm`."""
        return self.tokens(self.patch, pixels.to(self.weight.device, self.weight.dtype))

    def pool(self, rows: Float[Tensor, "B N d_v"], *, project: bool = True) -> Float[Tensor, "B E"]:
        """Rows after the last block to features. Rows after the image's own are prompts, and left out."""
        rows = rows[:, : self.n_special + self.n_positions]
        pooled = self.post_norm(self.gather(rows)) if self.norm_last else self.gather(self.post_norm(rows))
        return self.projection(pooled) if project else pooled

    def __call__(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Image features, not normalised."""
        return self.pool(self._run(pixels, len(self.blocks)))

    def map(self, change: Change) -> "VisionTransformer":
        """The tower with `change(name, layer)` in the place of each layer."""
        parts = ("patch", "pre_norm", "post_norm", "projection")
        new: dict[str, Any] = {part: changed(change, part, getattr(self, part)) for part in parts}
        return replace(self, blocks=_map_blocks(self.blocks, change), **new)

    def states(self, pixels: Float[Tensor, "B 3 H W"], at: Place) -> tuple[Tensor | None, Tensor]:
        """At "values" the last block's attention hands on each row's own value; its residual and feed-forward parts
        stay (MaskCLIP's and LoCoOp's local features). What enters a block is pooled as the class token's row, or as
        the mean of the positions where there is none.
        """
        n_blocks = len(self.blocks)
        if isinstance(at, int) and 0 <= at <= n_blocks:
            rows = self._run(pixels, at)
            positions = rows[:, self.n_special :]
            return rows[:, 0] if self.n_special else positions.mean(dim=1), positions
        if at not in ("joint", "unprojected", "values"):
            raise self.refuse(at, f"'joint', 'unprojected', 'values' and the blocks 0 to {n_blocks} (after the last)")
        rows = self._run(pixels, n_blocks - (at == "values"))
        if at == "values":
            rows = run_block(self.blocks[-1], rows, attend=lambda q, k, v: v)
        positions = self.post_norm(rows[:, self.n_special :])
        if at == "unprojected":
            return self.pool(rows, project=False), positions
        return None, self.projection(positions)

    def _run(self, pixels: Tensor, n_blocks: int) -> Float[Tensor, "B N d_v"]:
        rows = self.pre_norm(self.embed(pixels))
        for block in self.blocks[:n_blocks]:
            rows = run_block(block, rows)
        return rows
