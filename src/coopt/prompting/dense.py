"""The plain path: every class's whole sequence through every block. The reference that fast paths are held to."""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.models import Block, TextTower, attention, run_block


def run_blocks(
    x: Float[Tensor, "B L D"],
    blocks: list[Block],
    causal: bool,
    deep: Float[Tensor, "J M D"] | None = None,
    rows: Int[Tensor, "B M"] | None = None,
) -> Float[Tensor, "B L D"]:
    """Pre-norm transformer layers over whole sequences.

    Args:
        x: token rows, positions added.
        blocks: the layers.
        causal: whether a row attends to itself and the rows before it only.
        deep: M vectors for each of the blocks 1, 2, ..., which replace the rows `rows` before that block; the later
            blocks keep what flows on.
        rows: where the context vectors sit in each sequence.
    """
    for number, block in enumerate(blocks):
        if deep is not None and rows is not None and 0 < number <= len(deep):
            sequences = torch.arange(len(x), device=x.device)[:, None]  # (B, 1)
            x = x.index_put((sequences, rows), deep[number - 1].to(x.dtype).expand(len(x), -1, -1))
        x = run_block(block, x, attend=partial(attention, n_heads=block.n_heads, causal=causal))
    return x


def encode_dense(
    tower: TextTower,
    embeddings: Float[Tensor, "B L D"],
    ends: Int[Tensor, " B"],
    deep: Float[Tensor, "J M D"] | None = None,
    rows: Int[Tensor, "B M"] | None = None,
) -> Float[Tensor, "B E"]:
    """Text features, not normalised, of token embeddings without positions.

    Args:
        tower: the opened text tower.
        embeddings: token or context vectors; after the end token the pad token's.
        ends: row of each sequence's end token; the feature's row where the tower pools there.
        deep: vectors that replace the context's rows before blocks 1, 2, ...
        rows: where the context vectors sit; read with `deep` only.
    """
    length = embeddings.shape[1]
    hidden = run_blocks(embeddings + tower.positions[:length], tower.blocks, tower.causal, deep, rows)
    if tower.pooling == "last":
        return tower.project(hidden[:, -1])
    return tower.project(hidden[torch.arange(len(hidden), device=hidden.device), ends])
