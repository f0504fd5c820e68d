"""How the distinct tokens of many prompts are packed: a shared prefix, and the rest in bins of equal length.

A causal tower computes the same for two prompts as long as they read the same, so prompts are a tree: the prefix that
all of them share is its trunk, and names that begin alike ("red fox", "red deer") share a branch. Every token of the
tree is computed once. A token's ancestors are what it attends to.

Branches of several classes lie one after another in a *bin*, a row of S tokens; the mask keeps them apart. Bins are
as few and as large as pays: larger ones waste attention on pairs of classes that the mask then removes, smaller ones
waste rows, since the last rows of a bin stay empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

Key = tuple[int, ...]
"""What a token is: equal keys at equal places compute the same. (id,), or (-1, place) for a context vector."""

Group = list[int]
"""Prompts that lie together, in an order in which neighbours share most."""

CAPACITIES = (16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256)
"""Bin lengths that are tried, beside the longest branch and everything in one bin."""
# What a multiplication in attention and the extra steps of a separate prefix cost, in multiplications of linear
# layers; from timings on two CPU cores. They decide how prompts are packed, never what comes out.
ATTENTION_PRICE = 4.0
SPLIT_PRICE = 4e6
COPY_PRICE = 50.0


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
    """The tokens of C prompts in G bins of S rows, after a prefix of P tokens that all of them share.

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
    """The cheapest packing for a tower of this width, which decides what attention costs beside the linear layers.

    `n_prefix` is the length of the prefix, where it is computed elsewhere; None chooses between the longest and one
    bin for everything.
    """
    order = sorted(range(len(prompts)), key=lambda c: prompts[c])
    if n_prefix is None:
        everything = sum(_new_tokens(prompts, order, 0))
        split = best_bins(prompts, order, shared_prefix(prompts), width)
        if everything * (12.0 * width + 2 * ATTENTION_PRICE * everything) <= split[0] + SPLIT_PRICE / width:
            return _fill(prompts, [order], 0)
        return _fill(prompts, split[1], shared_prefix(prompts))
    return _fill(prompts, best_bins(prompts, order, n_prefix, width)[1], n_prefix)


def best_bins(prompts: Sequence[list[Key]], order: Group, n_prefix: int, width: int) -> tuple[float, list[Group]]:
    """The cheapest bins that were tried, and their price: multiplications in a block, divided by the width."""
    # What differs in its first token after the prefix shares nothing.
    groups = [list(group) for _, group in groupby(order, key=lambda c: prompts[c][n_prefix])]
    branches = [(sum(_new_tokens(prompts, group, n_prefix)), group) for group in groups]
    longest = max(len(prompt) for prompt in prompts) - n_prefix
    tried = []
    for capacity in (longest, *(capacity for capacity in CAPACITIES if capacity > longest)):
        bins = _best_fit(_pieces(prompts, branches, n_prefix, capacity), capacity)
        rows = len(bins) * max(size for size, _ in bins)
        pairs = n_prefix**2 + rows * (n_prefix + rows / len(bins))
        price = 12 * width * (n_prefix + rows) + 2 * ATTENTION_PRICE * pairs + COPY_PRICE * 2 * n_prefix * len(bins)
        tried.append((price, [group for _, group in bins]))
    return min(tried, key=lambda found: found[0])


def _new_tokens(prompts: Sequence[list[Key]], group: Group, n_prefix: int) -> list[int]:
    """How many tokens each prompt adds to those before it."""
    before: list[Key] = []
    added = []
    for c in group:
        added.append(len(prompts[c]) - max(n_prefix, _common(before, prompts[c])))
        before = prompts[c]
    return added


def _pieces(
    prompts: Sequence[list[Key]], branches: list[tuple[int, Group]], n_prefix: int, capacity: int
) -> list[tuple[int, Group]]:
    """The branches with their sizes, cut where they are larger than a bin; what both sides share is then in both."""
    pieces: list[tuple[int, Group]] = []
    for size, group in branches:
        if size <= capacity:
            pieces.append((size, group))
            continue
        filled, piece = 0, Group()
        for c, added in zip(group, _new_tokens(prompts, group, n_prefix), strict=True):
            if filled + added > capacity:
                pieces.append((filled, piece))
                filled, piece, added = 0, [], len(prompts[c]) - n_prefix
            filled, piece = filled + added, [*piece, c]
        pieces.append((filled, piece))
    return pieces


def _best_fit(pieces: list[tuple[int, Group]], capacity: int) -> list[tuple[int, Group]]:
    """Pieces from the largest to the smallest, each into the fullest bin that still has room for it."""
    bins: list[tuple[int, Group]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]  # room -> bins
    for size, group in sorted(pieces, key=lambda piece: -piece[0]):
        room = next((room for room in range(size, capacity + 1) if with_room[room]), None)
        if room is None:
            room, number = capacity, len(bins)
            bins.append((0, []))
        else:
            number = with_room[room].pop()
        with_room[room - size].append(number)
        bins[number] = (bins[number][0] + size, bins[number][1] + group)
    return bins


def _fill(prompts: Sequence[list[Key]], groups: list[Group], n_prefix: int) -> Packing:
    """One bin for each group, every prompt after the one before it."""
    bins: list[list[Slot]] = []
    ends = [(0, 0)] * len(prompts)
    for number, group in enumerate(groups):
        slots: list[Slot] = []
        path: list[int] = []  # places of the previous prompt's tokens
        previous: list[Key] = []
        for c in group:
            prompt = prompts[c][n_prefix:]
            n_common = _common(previous, prompt)
            path = path[:n_common]
            for depth in range(n_common, len(prompt)):
                slots.append(Slot(prompt[depth], n_prefix + depth, path[-1] if path else -1))
                path.append(len(slots) - 1)
            ends[c] = (number, path[-1])
            previous = prompt
        bins.append(slots)
    return Packing(list(prompts[0][:n_prefix]), bins, ends)


def _common(first: list[Key], second: list[Key]) -> int:
    """How many leading tokens are equal."""
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return n
