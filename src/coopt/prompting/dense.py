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

    Where `causal`, a row attends only to itself and the rows before it. `deep` has M vectors for each of the blocks 1,
    2, ..., which replace the context's `rows` before that block; the later blocks keep what flows on.
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
    """Text features, not normalised, of token embeddings without positions; after the end token the pad token's.

    `ends` are the rows of the end tokens. `deep` replaces the context's `rows` before blocks 1, 2, ...
    """
    length = embeddings.shape[1]
    hidden = run_blocks(embeddings + tower.positions[:length], tower.blocks, tower.causal, deep, rows)
    if tower.pooling == "last":
        return tower.project(hidden[:, -1])
    return tower.project(hidden[torch.arange(len(hidden), device=hidden.device), ends])
