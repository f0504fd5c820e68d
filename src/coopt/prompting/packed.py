"""The exact fast path for causal towers: each distinct token once, nothing after the end tokens.

Equal to `dense.py` to rounding error, forward and backward. What is saved: tokens that classes share are computed
once (packing.py), nothing follows an end token, and in the last block only the end tokens' rows go through queries,
attention, output projection and feed-forward layer. Memory is bounded by running the classes in chunks, each computed
again in the backward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from coopt.models import TextTower, attention, run_block
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

    def encode(self, ctx: Float[Tensor, "B K D"], deep: Float[Tensor, "J M D"] | None = None) -> Float[Tensor, "B C E"]:
        """Class features, not normalised, for each of B sets of context vectors.

        Keys of holes name vectors of `ctx` by their place. `deep` replaces the context's rows before blocks 1, 2, ...
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
        attend = rows_attention(n_prefix, mask, block.n_heads, before[number] if before else None)
        x = run_block(block, x, attend=attend, apply=apply_layer)
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
    attend = rows_attention(n_prefix, end_mask, block.n_heads, before[-1] if before else None, of_ends=True)
    ends = run_block(
        block, x, attend=attend, rows=lambda every: every.index_select(1, rows.end_rows), apply=apply_layer
    )  # (B, G E, D)
    return tower.project(ends.index_select(1, rows.pick))  # (B, C, E)


def prefix_states(
    tower: TextTower, prefix: TokenRows, ctx: Float[Tensor, "B K D"], deep: Float[Tensor, "J M D"] | None
) -> list[KeysValues]:
    """The prefix's keys and values in each block."""
    x = prefix.embed(ctx)  # (B, P, D)
    states: list[KeysValues] = []
    for number, block in enumerate(tower.blocks):
        if deep is not None and 0 < number <= len(deep):
            x = prefix.replace(x, deep[number - 1])
        if number + 1 == len(tower.blocks):  # nothing reads what the last block makes of the prefix
            normed = block.norm_1(x)
            states.append((apply_layer(block.k, normed), apply_layer(block.v, normed)))
            break

        def keep(q: Tensor, k: Tensor, v: Tensor, n_heads: int = block.n_heads) -> Tensor:
            states.append((k, v))
            return attention(q, k, v, n_heads, causal=True)

        # All rows, picked: keys and values then come first, and sums of gradients have one order on every path.
        x = run_block(block, x, attend=keep, rows=lambda every: every, apply=apply_layer)
    return states


def rows_attention(
    n_prefix: int,
    mask: Float[Tensor, "BG 1 QG PS"],
    n_heads: int,
    before: KeysValues | None,
    *,
    of_ends: bool = False,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The attention of packed rows, whose first `n_prefix` are the prefix, unless it went before them.

    The prefix attends to itself, each bin to the prefix and to its own rows. `of_ends` says that only end tokens ask,
    and no row of the prefix.
    """

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        prefix = before if before is not None else (k[:, :n_prefix], v[:, :n_prefix])
        queries = q if of_ends else q[:, n_prefix:]
        own = attend_bins(queries, k[:, n_prefix:], v[:, n_prefix:], prefix, mask, n_heads)
        if of_ends or not n_prefix:
            return own
        q, k, v = (x[:, :n_prefix] for x in (q, k, v))
        return torch.cat([attention(q, k, v, n_heads, causal=True), own], dim=1)

    return attend


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
    q, k, v = (x.reshape(batch * n_bins, -1, width) for x in (q, k, v))  # (B G, Q / G or S, D)
    if prefix[0].shape[1]:
        once_per_bin = (p[:, None].expand(-1, n_bins, -1, -1).flatten(0, 1) for p in prefix)  # (B G, P, D)
        k, v = (torch.cat([p, x], dim=1) for p, x in zip(once_per_bin, (k, v), strict=True))
    return attention(q, k, v, n_heads, mask=mask).view(batch, n_queries, width)
