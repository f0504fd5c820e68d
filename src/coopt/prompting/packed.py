"""The exact fast path for causal towers: each distinct token once, nothing behind the end tokens.

Equal to `dense.py` to rounding error, forward and backward. What is saved: tokens that classes share are computed
once (packing.py), nothing follows an end token, and in the last block only the end tokens' rows go through queries,
attention, output projection and feed-forward layer. Memory is bounded by running the classes in chunks, each computed
again in the backward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from coopt.models import TextTower
from coopt.prompting.frozen import apply_layer
from coopt.prompting.packing import Key, pack, shared_prefix
from coopt.prompting.rows import PackedRows, TokenRows

KeysValues = tuple[Float[Tensor, "B P D"], Float[Tensor, "B P D"]]
"""What a block's attention reads of the prefix."""


@dataclass(frozen=True)
class PackedPrompts:
    """The prompts of C classes, packed for one tower."""

    tower: TextTower
    prefix: TokenRows | None
    """The shared prefix, where it goes through the tower before the chunks; None with a single chunk."""
    chunks: list[PackedRows]
    order: Int[Tensor, " C"] | None
    """Where each class is in the concatenated chunks; None with a single chunk."""

    @classmethod
    def build(cls, tower: TextTower, prompts: Sequence[list[Key]], chunk: int | None = None) -> "PackedPrompts":
        """Pack C token sequences; `chunk` is the largest number of classes that go through the tower together."""
        if chunk is None or chunk >= len(prompts):
            rows = PackedRows.build(tower, pack(prompts, tower.width), with_prefix=True)
            return cls(tower, None, [rows], None)
        n_prefix = shared_prefix(prompts)
        order = sorted(range(len(prompts)), key=lambda c: prompts[c])  # neighbours share most
        chunks = []
        for start in range(0, len(order), chunk):
            members = [prompts[c] for c in order[start : start + chunk]]
            chunks.append(PackedRows.build(tower, pack(members, tower.width, n_prefix), with_prefix=False))
        prefix = TokenRows.build(tower, prompts[0][:n_prefix], range(n_prefix))
        return cls(tower, prefix, chunks, torch.tensor(order, device=tower.positions.device).argsort())

    @property
    def n_rows(self) -> int:
        """Rows that go through the tower at once, at most."""
        return max(len(rows.tokens.embeddings) for rows in self.chunks)

    def encode(self, ctx: Float[Tensor, "B K D"], deep: Float[Tensor, "J M D"] | None = None) -> Float[Tensor, "B C E"]:
        """Class features, not normalised, for each of B sets of context vectors.

        Args:
            ctx: the vectors that the keys of the holes name by their place.
            deep: vectors that replace the context's rows before blocks 1, 2, ...; the same for all B sets.
        """
        if self.prefix is None:
            return encode_rows(self.tower, self.chunks[0], ctx, deep, None)
        before = prefix_states(self.tower, self.prefix, ctx, deep)
        parts = [
            checkpoint(encode_rows, self.tower, rows, ctx, deep, before, use_reentrant=False, preserve_rng_state=False)
            for rows in self.chunks
        ]
        return torch.cat(parts, dim=1)[:, self.order]


def encode_rows(
    tower: TextTower,
    rows: PackedRows,
    ctx: Float[Tensor, "B K D"],
    deep: Float[Tensor, "J M D"] | None,
    before: list[KeysValues] | None,
) -> Float[Tensor, "B C E"]:
    """Features of the classes in `rows`; `before` has the prefix of each block where it is not among the rows."""
    x = rows.tokens.embed(ctx)  # (B, R, D)
    batch, n_prefix = len(x), rows.n_prefix
    mask, end_mask = (mask.repeat(batch, 1, 1, 1) if batch > 1 else mask for mask in (rows.mask, rows.end_mask))
    for number, block in enumerate(tower.blocks[:-1]):
        if deep is not None and 0 < number <= len(deep):
            x = rows.tokens.replace(x, deep[number - 1])
        normed = block.norm_1(x)
        q, k, v = apply_layer(block.q, normed), apply_layer(block.k, normed), apply_layer(block.v, normed)  # (B, R, D)
        prefix = before[number] if before is not None else (k[:, :n_prefix], v[:, :n_prefix])
        own = attend_bins(q[:, n_prefix:], k[:, n_prefix:], v[:, n_prefix:], prefix, mask, block.n_heads)
        if n_prefix:
            own = torch.cat([attend_prefix(q, k, v, n_prefix, block.n_heads), own], dim=1)
        x = x + apply_layer(block.out, own)
        x = x + apply_layer(block.mlp, block.norm_2(x))
    return last_block(tower, rows, x, deep, before, end_mask)


def last_block(
    tower: TextTower,
    rows: PackedRows,
    x: Float[Tensor, "B R D"],
    deep: Float[Tensor, "J M D"] | None,
    before: list[KeysValues] | None,
    end_mask: Float[Tensor, "BG 1 Q PS"],
) -> Float[Tensor, "B C E"]:
    """The last block and the pooling: all rows are keys and values, only the end tokens' go on."""
    block, n_prefix = tower.blocks[-1], rows.n_prefix
    if deep is not None and len(deep) == len(tower.blocks) - 1 > 0:
        x = rows.tokens.replace(x, deep[-1])
    normed = block.norm_1(x)
    k, v = apply_layer(block.k, normed), apply_layer(block.v, normed)  # (B, R, D)
    prefix = before[-1] if before is not None else (k[:, :n_prefix], v[:, :n_prefix])
    ends = x.index_select(1, rows.end_rows)  # (B, G E, D)
    q = apply_layer(block.q, normed.index_select(1, rows.end_rows))
    ends = ends + apply_layer(
        block.out, attend_bins(q, k[:, n_prefix:], v[:, n_prefix:], prefix, end_mask, block.n_heads)
    )
    ends = ends + apply_layer(block.mlp, block.norm_2(ends))
    return tower.project(ends.index_select(1, rows.pick))  # (B, C, E)


def prefix_states(
    tower: TextTower, prefix: TokenRows, ctx: Float[Tensor, "B K D"], deep: Float[Tensor, "J M D"] | None
) -> list[KeysValues]:
    """The prefix's keys and values in each block."""
    x = prefix.embed(ctx)  # (B, P, D)
    states = []
    for number, block in enumerate(tower.blocks):
        if deep is not None and 0 < number <= len(deep):
            x = prefix.replace(x, deep[number - 1])
        normed = block.norm_1(x)
        k, v = apply_layer(block.k, normed), apply_layer(block.v, normed)
        states.append((k, v))
        if number + 1 < len(tower.blocks):  # what the last block makes of the prefix, nobody reads
            x = x + apply_layer(block.out, attend_prefix(apply_layer(block.q, normed), k, v, x.shape[1], block.n_heads))
            x = x + apply_layer(block.mlp, block.norm_2(x))
    return states


def attend_prefix(q: Tensor, k: Tensor, v: Tensor, n_prefix: int, n_heads: int) -> Float[Tensor, "B P D"]:
    """The prefix's attention to itself."""
    q, k, v = (split_heads(x[:, :n_prefix], n_heads) for x in (q, k, v))
    return join_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True))


def attend_bins(
    q: Float[Tensor, "B Q D"],
    k: Float[Tensor, "B GS D"],
    v: Float[Tensor, "B GS D"],
    prefix: KeysValues,
    mask: Float[Tensor, "BG 1 QG PS"],
    n_heads: int,
) -> Float[Tensor, "B Q D"]:
    """Attention of each bin's queries to the prefix and to the bin's own rows."""
    batch, n_queries, width = q.shape
    n_bins = len(mask) // batch
    k, v = (x.reshape(batch * n_bins, -1, width) for x in (k, v))  # (B G, S, D)
    if prefix[0].shape[1]:
        k, v = (torch.cat([repeat_bins(p, n_bins), x], dim=1) for p, x in zip(prefix, (k, v), strict=True))
    q, k, v = (split_heads(x, n_heads) for x in (q.reshape(batch * n_bins, -1, width), k, v))
    return join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)).view(batch, n_queries, width)


def repeat_bins(x: Float[Tensor, "B P D"], n_bins: int) -> Float[Tensor, "BG P D"]:
    """Each set's prefix, once per bin."""
    return x[:, None].expand(-1, n_bins, -1, -1).flatten(0, 1)


def split_heads(x: Float[Tensor, "N L D"], n_heads: int) -> Float[Tensor, "N h L d"]:
    """(N, heads, L, D / heads)."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def join_heads(x: Float[Tensor, "N h L d"]) -> Float[Tensor, "N L D"]:
    """The reverse of `split_heads`."""
    return x.transpose(1, 2).flatten(2)
