"""The protocols: what is learned from, and what it is tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from coopt.data import split_classes
from coopt.datasets import Benchmark
from coopt.errors import ConfigError, DataError, did_you_mean


class Evaluation(NamedTuple):
    """One evaluation: the test images of a data set, or of one half of its classes."""

    dataset: str
    subset: str


class Training(NamedTuple):
    """One training set and what it is tested on."""

    source: str
    subset: str
    """Which of its classes are learned from: "all" or "base"."""
    tests: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Asked:
    """The data sets of a call."""

    benchmarks: Mapping[str, Benchmark]
    """All that play a part, by name, in the order of the tables."""
    sources: Sequence[str]
    """Those that are learned from."""


@dataclass(frozen=True)
class Protocol:
    """A protocol, with all that other files ask of it."""

    name: str
    title: str
    """The title of its section in a report; '{}' is the headline figure."""
    shots: tuple[int, ...]
    """The default numbers of shots; none where nothing is learned."""
    presets: tuple[str, ...]
    """Names of the presets of a method that belong to it; the first one that a method has is used."""
    transfers: bool = False
    """Whether it learns from one data set and tests on others."""
    to_variants: bool = False
    """Whether the others are variants of it, each tested among the classes of the source that it has."""
    halves: bool = False
    """Whether one half of the classes is learned from and each half is tested by itself."""
    task: str | None = None
    """The task that its data sets must have; None takes any."""
    methods: str = "zero-shot,linear-probe,coop"
    """Those that are compared where none are named."""
    n_seeds: int = 3
    """How many seeds where nobody says."""

    @property
    def learns(self) -> bool:
        """Whether anything is learned."""
        return bool(self.shots)

    @property
    def single(self) -> bool:
        """Whether a training has one evaluation, on the data set that was learned from."""
        return not (self.transfers or self.halves)

    def trainings(self, asked: Asked, learns: bool, applies: bool) -> list[Training]:
        """Trainings for a method, given whether it learns and whether what it learns applies to new classes."""
        if self.halves:
            halves = ("base", "new") if applies else ("base",)
            return [Training(name, "base", tuple(Evaluation(name, half) for half in halves)) for name in asked.sources]
        trainings = []
        for source in asked.sources if learns else asked.benchmarks:
            tests = [source]
            if learns and (self.to_variants or (self.transfers and applies)):
                others = [b for b in asked.benchmarks.values() if b.name != source]
                tests += [b.name for b in others if (b.variant_of == source) == self.to_variants]
            trainings.append(Training(source, "all", tuple(Evaluation(name, "all") for name in tests)))
        return trainings


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("fewshot", "Few-shot {}", (1, 2, 4, 8, 16), ("few-shot",)),
        Protocol("base-to-new", "Base-to-new generalisation", (16,), ("base-to-new",), halves=True),
        Protocol("cross-dataset", "Cross-dataset transfer", (16,), ("cross-dataset",), transfers=True),
        Protocol("shift", "Robustness to shift", (16,), ("shift", "cross-dataset"), transfers=True, to_variants=True),
        Protocol("zero-shot", "Zero-shot {}", (), ()),
        Protocol(
            "ordinal",
            "Ordered labels: {}",
            (1, 2, 4, 8, 16, 32, 64),
            ("frozen-tower",),
            task="ordinal",
            methods="zero-shot,nearest-neighbours,ridge,ordinal-logistic,coop,ordinalclip",
            n_seeds=5,
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """A protocol by name; raises a ConfigError where there is none."""
    if name not in PROTOCOLS:
        raise ConfigError(
            f"There is no protocol {name!r}; the protocols are {', '.join(PROTOCOLS)}.{did_you_mean(name, PROTOCOLS)}"
        )
    return PROTOCOLS[name]


def classes_of(benchmark: Benchmark, subset: str) -> list[int]:
    """The labels of "all" classes, of the first half rounded up ("base"), or of the rest ("new").

    A DataError where a half would have fewer than two classes.
    """
    labels = range(len(benchmark.class_names))
    if subset != "all" and len(split_classes(labels, "new").classes) < 2:
        raise DataError(
            f"{benchmark.name} has {len(labels)} classes; base-to-new needs at least 4, two base and two new. Leave it "
            "out."
        )
    return split_classes(labels, subset).classes.tolist()
