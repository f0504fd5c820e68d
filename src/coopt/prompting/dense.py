"""The plain path: every class's whole sequence through every block. The reference that fast paths are held to."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from coopt.models import Block, TextTower


def run_blocks(x: Float[Tensor, "B L D"], blocks: list[Block], causal: bool) -> Float[Tensor, "B L D"]:
    """Pre-norm transformer layers over whole sequences."""
    batch, length, width = x.shape
    for block in blocks:
        normed = block.norm_1(x)
        heads = (batch, length, block.n_heads, width // block.n_heads)
        q, k, v = (project(normed).view(heads).transpose(1, 2) for project in (block.q, block.k, block.v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=causal)  # (B, heads, L, D / heads)
        x = x + block.out(attended.transpose(1, 2).reshape(batch, length, width))
        x = x + block.mlp(block.norm_2(x))
    return x


def encode_dense(tower: TextTower, embeddings: Float[Tensor, "B L D"], ends: Int[Tensor, " B"]) -> Float[Tensor, "B E"]:
    """Text features, not normalised, of token embeddings without positions.

    Args:
        tower: the opened text tower.
        embeddings: token or context vectors; behind the end token the pad token's.
        ends: row of each sequence's end token; the feature's row where the tower pools there.
    """
    length = embeddings.shape[1]
    hidden = run_blocks(embeddings + tower.positions[:length], tower.blocks, tower.causal)
    if tower.pooling == "last":
        return tower.project(hidden[:, -1])
    return tower.project(hidden[torch.arange(len(hidden), device=hidden.device), ends])
