"""How the distinct tokens of many prompts are packed: a shared prefix, and the rest in bins of equal length.

A causal tower computes the same for two prompts as long as they read the same, so prompts are a tree: the prefix that
all of them share is its trunk, and names that begin alike ("red fox", "red deer") share a branch. Every token of the
tree is computed once. A token's ancestors are what it attends to.

Branches of several classes lie behind one another in a *bin*, a row of S tokens; the mask keeps them apart. Bins are
as few and as large as pays: larger ones waste attention on pairs of classes that the mask then removes, smaller ones
waste rows, since the last rows of a bin stay empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Key = tuple[int, ...]
"""What a token is: equal keys at equal places compute the same. (id,), or (-1, place) for a context vector."""

CAPACITIES = (16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Bin lengths that are tried, beside the longest branch and everything in one bin."""
ATTENTION_PRICE = 4
"""A multiplication in attention takes about this many times longer than one in a linear layer (2 CPU cores)."""


@dataclass(frozen=True)
class Slot:
    """One token of the tree in its bin."""

    key: Key
    position: int
    """Row in its own prompt: which positional embedding it takes."""
    parent: int
    """Its predecessor's place in the same bin; -1 where that is the shared prefix, or nothing."""


@dataclass(frozen=True)
class Packing:
    """The tokens of C prompts in G bins of S rows, behind a prefix of P tokens that all of them share.

    P is 0 where one bin holds everything, the shared tokens included.
    """

    prefix: list[Key]
    bins: list[list[Slot]]
    ends: list[tuple[int, int]]
    """(bin, place) of each prompt's last token, in the order of the prompts."""

    @property
    def bin_length(self) -> int:
        """S: the fullest bin."""
        return max(len(slots) for slots in self.bins)

    @property
    def n_tokens(self) -> int:
        """Distinct tokens, the empty rows of bins not counted."""
        return len(self.prefix) + sum(len(slots) for slots in self.bins)

    def mask(self) -> Tensor:
        """Who attends to whom, (G, S, P + S) bool: the prefix, the ancestors, itself. Empty rows see themselves."""
        n_prefix, length = len(self.prefix), self.bin_length
        seen = torch.zeros(len(self.bins), length, length, dtype=torch.bool)
        for number, slots in enumerate(self.bins):
            for place, slot in enumerate(slots):
                if slot.parent >= 0:
                    seen[number, place] = seen[number, slot.parent]
                seen[number, place, place] = True
        empty = torch.tensor([[place >= len(slots) for place in range(length)] for slots in self.bins])
        seen |= torch.eye(length, dtype=torch.bool) & empty[:, :, None]
        before = ~empty[:, :, None].expand(-1, -1, n_prefix)  # nothing reads what empty rows make of the prefix
        return torch.cat([before, seen], dim=-1)


def shared_prefix(prompts: Sequence[list[Key]]) -> int:
    """How many leading tokens all prompts have in common, each prompt's last token not counted."""
    first, last = min(prompts), max(prompts)  # what the extremes share, all share
    return min(_common(first, last), min(len(prompt) for prompt in prompts) - 1)


def pack(prompts: Sequence[list[Key]], width: int, n_prefix: int | None = None) -> Packing:
    """The cheapest packing for a tower of this width.

    Args:
        prompts: C token sequences, without padding.
        width: D, which decides how much attention costs beside the linear layers.
        n_prefix: length of the prefix, where it is computed elsewhere; None chooses between the longest and one bin
            for everything.
    """
    order = sorted(range(len(prompts)), key=lambda c: prompts[c])  # neighbours share most
    if n_prefix is not None:
        return min(_candidates(prompts, order, n_prefix), key=lambda packing: _cost(packing, width))
    shared = _candidates(prompts, order, shared_prefix(prompts))
    whole = [_fill(prompts, order, 0, sum(map(len, prompts)))]
    return min(whole + shared, key=lambda packing: _cost(packing, width))


def _candidates(prompts: Sequence[list[Key]], order: list[int], n_prefix: int) -> list[Packing]:
    longest = max(map(len, prompts)) - n_prefix
    return [_fill(prompts, order, n_prefix, size) for size in (longest, *CAPACITIES) if size >= longest]


def _fill(prompts: Sequence[list[Key]], order: list[int], n_prefix: int, capacity: int) -> Packing:
    """Bin after bin in the order given; a branch that two bins would share is in both."""
    bins: list[list[Slot]] = [[]]
    ends = [(0, 0)] * len(prompts)
    path: list[int] = []  # places of the previous prompt's tokens, in the bin that is being filled
    previous: Sequence[Key] = ()
    for c in order:
        prompt = prompts[c][n_prefix:]
        n_common = _common(previous, prompt) if path else 0
        if len(bins[-1]) + len(prompt) - n_common > capacity:
            bins.append([])
            path, n_common = [], 0
        path = path[:n_common]
        for depth in range(n_common, len(prompt)):
            bins[-1].append(Slot(prompt[depth], n_prefix + depth, path[-1] if path else -1))
            path.append(len(bins[-1]) - 1)
        ends[c] = (len(bins) - 1, path[-1])
        previous = prompt
    return Packing(list(prompts[0][:n_prefix]), bins, ends)


def _common(first: Sequence[Key], second: Sequence[Key]) -> int:
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return n


def _cost(packing: Packing, width: int) -> float:
    """Multiplications per block, divided by the width."""
    n_prefix, rows = len(packing.prefix), len(packing.bins) * packing.bin_length
    pairs = n_prefix**2 + rows * (n_prefix + packing.bin_length)
    copies = len(packing.bins) * n_prefix  # each bin's own copy of the prefix's keys and values, read from memory
    return 12.0 * width * (n_prefix + rows) + 2 * ATTENTION_PRICE * pairs + 100 * copies
