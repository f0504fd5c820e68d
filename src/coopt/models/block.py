"""One pre-norm transformer layer, opened up: its parts by name, and the arithmetic that every path uses."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Layer = Callable[[Tensor], Tensor]
Change = Callable[[str, Layer], Layer]
"""What a tower is mapped with: a layer's name and the layer to the layer that takes its place."""


@dataclass(frozen=True)
class Mlp:
    """A feed-forward layer whose parts can be seen: `down(activation(up(x)))`."""

    up: Layer
    activation: Layer
    down: Layer

    def __call__(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return self.down(self.activation(self.up(x)))


@dataclass(frozen=True)
class Chain:
    """Layers after one another (a norm or a LayerScale folded into a projection)."""

    layers: tuple[Layer, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's output."""
        return reduce(lambda value, layer: layer(value), self.layers, x)


def chain(*layers: Layer) -> Layer:
    """The layers after one another, without those that do nothing in a frozen model."""
    kept = tuple(layer for layer in layers if not isinstance(layer, nn.Identity | nn.Dropout))
    return Chain(kept) if len(kept) > 1 else kept[0] if kept else nn.Identity()


def changed(change: Change, name: str, layer: Layer) -> Layer:
    """The layer after `change`, unless it does nothing; of a chain, its linear layer is what has the name."""
    if isinstance(layer, nn.Identity):
        return layer
    if not isinstance(layer, Chain):
        return change(name, layer)
    is_linear = [getattr(getattr(part, "weight", None), "ndim", 0) == 2 for part in layer.layers]
    parts = zip(layer.layers, is_linear, strict=True)
    return Chain(tuple(change(name, part) if linear else part for part, linear in parts))


@dataclass(frozen=True)
class Block:
    """One pre-norm transformer layer: `x += out(attention(q, k, v)(norm_1(x)))`, then `x += mlp(norm_2(x))`.

    Each member is token-wise: it maps (..., width) to (..., width). Head h owns columns
    `h * head_width : (h + 1) * head_width` of q, k and v; scores are scaled by head_width ** -0.5.
    """

    norm_1: Layer
    q: Layer
    k: Layer
    v: Layer
    out: Layer
    norm_2: Layer
    mlp: Layer
    n_heads: int

    def map(self, change: Change, name: str) -> "Block":
        """The block with every layer replaced by `change(f"{name}.q", layer)` and so on; this one stays as it is."""
        layers = [field.name for field in fields(self) if field.name not in ("mlp", "n_heads")]
        new: dict[str, Any] = {part: changed(change, f"{name}.{part}", getattr(self, part)) for part in layers}
        mlp = self.mlp
        if isinstance(mlp, Mlp):
            mlp = Mlp(
                changed(change, f"{name}.mlp.up", mlp.up), mlp.activation, changed(change, f"{name}.mlp.down", mlp.down)
            )
        return replace(self, mlp=mlp, **new)


def call(layer: Layer, x: Tensor) -> Tensor:
    """The layer's own call: the plain way, which faster ones are held to."""
    return layer(x)


def run_block(
    block: Block,
    x: Float[Tensor, "B N D"],
    *,
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    rows: Callable[[Tensor], Tensor] | None = None,
    seen: Float[Tensor, "n D"] | None = None,
    apply: Callable[[Layer, Tensor], Tensor] = call,
) -> Float[Tensor, "B R D"]:
    """The block's output: the one place in which a transformer layer is computed.

    Args:
        block: the layers.
        x: the rows that go in; all of them are keys and values.
        attend: q (B, R, D), k and v (B, N + n, D) to what the queries read (B, R, D), heads side by side; None lets
            every query look at every row.
        rows: picks the R rows that are computed, from (B, N, D) to (B, R, D); None computes all.
        seen: more rows that every sequence looks at; of them only keys and values are computed.
        apply: how a layer is called.
    """
    normed = block.norm_1(x)
    if rows is None:
        q, k, v = apply(block.q, normed), apply(block.k, normed), apply(block.v, normed)
    else:
        k, v = apply(block.k, normed), apply(block.v, normed)
        x, q = rows(x), apply(block.q, rows(normed))
    if seen is not None:
        more = block.norm_1(seen[None])  # (1, n, D)
        k = torch.cat([k, apply(block.k, more).expand(len(x), -1, -1)], dim=1)  # (B, N + n, D)
        v = torch.cat([v, apply(block.v, more).expand(len(x), -1, -1)], dim=1)
    x = x + apply(block.out, attention(q, k, v, block.n_heads) if attend is None else attend(q, k, v))
    return x + apply(block.mlp, block.norm_2(x))


def attention(
    q: Float[Tensor, "N Q D"],
    k: Float[Tensor, "N L D"],
    v: Float[Tensor, "N L D"],
    n_heads: int,
    mask: Float[Tensor, "N 1 Q L"] | None = None,
    causal: bool = False,
) -> Float[Tensor, "N Q D"]:
    """Scaled dot product attention with the heads side by side in D."""
    q, k, v = (x.unflatten(-1, (n_heads, -1)).transpose(1, 2) for x in (q, k, v))  # (N, heads, Q or L, D / heads)
    read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    return read.transpose(1, 2).flatten(2)
