"""What a distribution over ranks decides: a number with an interval, and the most likely rank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.tasks.ranks import Ranks
from coopt.tasks.task import Decisions


@dataclass(frozen=True)
class RankDecisions(Decisions):
    """Numbers with intervals, and the most likely ranks, of N images."""

    columns: ClassVar[Sequence[str]] = ("value", "low", "high", "rank", "score")

    distribution: Float[Tensor, "N C"]
    ranks: Ranks
    interval: float
    top_k: int = 1
    """How many of the most likely ranks are named, in JSON and for people."""

    @property
    def title(self) -> str:  # type: ignore[override]
        """Of the decisions' column in a table for people."""
        what = "value" if self.ranks.numeric else "category"
        return f"{what} ({100 * self.interval:g}% interval), most likely rank"

    @property
    def values(self) -> Float[Tensor, " N"]:
        """The expectation of each image's distribution."""
        return expectation(self.distribution, self.ranks)

    @property
    def answers(self) -> np.ndarray:
        """Numbers; for categories the most likely one."""
        if self.ranks.numeric:
            return self.values.double().numpy()
        return np.asarray(self.ranks.labels)[self.distribution.argmax(-1).numpy()]

    def ends(self, row: int) -> tuple[int, int]:
        """The first and the last rank of one image's interval."""
        low, high = interval_ends(self.distribution[row][None], self.interval)
        return int(low), int(high)

    def as_dict(self, row: int) -> dict[str, Any]:
        """One image's number, interval and most likely rank, for JSON."""
        best = int(self.distribution[row].argmax())
        low, high = (self.written(place) for place in self.ends(row))
        made = {
            "value": round(float(self.values[row]), 6),
            "interval": [low, high],
            "rank": self.written(best),
            "score": round(float(self.distribution[row, best]), 6),
        }
        if self.top_k > 1:
            made["ranks"] = [{"rank": self.written(place), "score": round(p, 6)} for place, p in self.best(row)]
        return made

    def best(self, row: int) -> list[tuple[int, float]]:
        """Places and probabilities of the most likely ranks of one image."""
        scores, places = self.distribution[row].topk(min(self.top_k, len(self.ranks.labels)))
        return [(int(place), float(score)) for place, score in zip(places, scores, strict=True)]

    def written(self, place: int) -> int | float | str:
        """A rank as JSON has it: a number, or a category's name."""
        value = self.ranks.values[place]
        return self.ranks.labels[place] if not self.ranks.numeric else int(value) if value.is_integer() else value

    def lines(self, row: int) -> list[list[Any]]:
        """One line."""
        made = self.as_dict(row)
        return [[f"{made['value']:.6f}", *made["interval"], made["rank"], f"{made['score']:.6f}"]]

    def text(self, row: int) -> str:
        """`34.2 (30 to 39), 34 12.5%`; categories: `medium 54.0% (low to high)`."""
        low, high = (self.ranks.labels[place] for place in self.ends(row))
        best = ", ".join(f"{self.ranks.labels[place]} {100 * score:.1f}%" for place, score in self.best(row))
        if not self.ranks.numeric:
            return f"{best} ({low} to {high})"
        return f"{float(self.values[row]):.2f} ({low} to {high}), {best}"


def expectation(probabilities: Float[Tensor, "N C"], ranks: Ranks) -> Float[Tensor, " N"]:
    """The mean of each distribution over the ranks."""
    return probabilities @ probabilities.new_tensor(ranks.values)


def interval_ends(probabilities: Float[Tensor, "N C"], share: float) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
    """Places of the quantiles (1 - share) / 2 and (1 + share) / 2: the first ranks up to which so much lies."""
    below = probabilities.double().cumsum(-1)
    below[:, -1] = 1.0
    ends = below.new_tensor([(1 - share) / 2, (1 + share) / 2]) - 1e-6  # sums of rounded shares may be a little low
    places = torch.searchsorted(below, ends.expand(len(below), 2).contiguous())  # (N, 2)
    return places[:, 0], places[:, 1]
