"""A packing as tensors: embedded token rows, and every index that the way through the tower needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.models import TextTower
from coopt.prompting.packing import Key, Packing


@dataclass(frozen=True)
class TokenRows:
    """Token rows with H holes, in which context vectors sit."""

    embeddings: Float[Tensor, "R D"]
    """Token embeddings with positions added; in holes only the position."""
    holes: Int[Tensor, " H"]
    """The rows of the holes."""
    vectors: Int[Tensor, " H"]
    """Which context vector each hole takes."""

    @classmethod
    @torch.no_grad()
    def build(cls, tower: TextTower, keys: Sequence[Key], positions: Sequence[int]) -> "TokenRows":
        """Embed tokens, each at its position; a key of two numbers is a hole and the place of its vector."""
        device = tower.positions.device
        holes = torch.tensor([row for row, key in enumerate(keys) if len(key) == 2], dtype=torch.int64, device=device)
        vectors = torch.tensor([key[1] for key in keys if len(key) == 2], dtype=torch.int64, device=device)
        ids = torch.tensor([key[0] if len(key) == 1 else 0 for key in keys], dtype=torch.int64, device=device)
        places = torch.tensor(list(positions), dtype=torch.int64, device=device)
        embeddings = tower.token_embedding(ids).index_fill(0, holes, 0)  # (R, D)
        return cls(embeddings + tower.positions[places], holes, vectors)

    def embed(self, ctx: Float[Tensor, "B K D"]) -> Float[Tensor, "B R D"]:
        """The rows with context vectors in the holes, positions added."""
        rows = self.embeddings.expand(len(ctx), -1, -1)
        filled = self.embeddings[self.holes] + ctx.to(rows.dtype)[:, self.vectors]  # (B, H, D)
        return rows.index_copy(1, self.holes, filled)

    def replace(self, x: Float[Tensor, "B R D"], deep: Float[Tensor, "M D"]) -> Float[Tensor, "B R D"]:
        """The rows with a deep layer's context vectors in the holes, as they are; the same for every class."""
        filled = deep.to(x.dtype)[self.vectors % len(deep)]  # (H, D)
        return x.index_copy(1, self.holes, filled.expand(len(x), -1, -1))


@dataclass(frozen=True)
class PackedRows:
    """The rows that go through the tower together: those of the prefix, unless it went before, then G bins of S rows.

    P is the length of the prefix that the bins attend to, 0 where a bin holds everything.
    """

    tokens: TokenRows
    n_prefix: int
    """Rows of the prefix among these rows: P, or 0 where its keys and values come from elsewhere."""
    mask: Float[Tensor, "G 1 S PS"]
    """Added to the scores: 0 where a row attends to the prefix's or its own bin's row, minus infinity elsewhere."""
    end_rows: Int[Tensor, " GQ"]
    """The rows of the end tokens, Q in each bin; a bin with fewer repeats its last."""
    end_mask: Float[Tensor, "G 1 Q PS"]
    pick: Int[Tensor, " C"]
    """Where each class's end token is among `end_rows`."""

    @classmethod
    def build(cls, tower: TextTower, packing: Packing, *, with_prefix: bool) -> "PackedRows":
        """Embed and index a packing, with or without the rows of its prefix."""
        device = tower.positions.device
        length, prefix = packing.bin_length, packing.prefix if with_prefix else []
        keys, positions = list(prefix), list(range(len(prefix)))
        for slots in packing.bins:
            keys += [slot.key for slot in slots] + [(0,)] * (length - len(slots))
            positions += [slot.position for slot in slots] + [0] * (length - len(slots))
        ends: list[list[int]] = [[] for _ in packing.bins]
        pick = torch.empty(len(packing.ends), dtype=torch.int64)
        most = max(torch.bincount(torch.tensor([group for group, _ in packing.ends])).tolist())
        for number, (group, place) in enumerate(packing.ends):
            pick[number] = group * most + len(ends[group])
            ends[group].append(place)
        padded = torch.tensor([group + group[-1:] * (most - len(group)) for group in ends])  # (G, E)
        bins = torch.arange(len(packing.bins))[:, None]  # (G, 1)
        mask = torch.zeros(1, dtype=tower.positions.dtype).where(packing.mask(), -torch.inf)  # (G, S, P + S)
        return cls(
            tokens=TokenRows.build(tower, keys, positions),
            n_prefix=len(prefix),
            mask=mask[:, None].to(device),
            end_rows=(len(prefix) + bins * length + padded).flatten().to(device),
            end_mask=mask[bins, padded][:, None].to(device),
            pick=pick.to(device),
        )
