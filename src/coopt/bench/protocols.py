"""The protocols: what is learned from, and what it is tested on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from coopt.data import split_classes
from coopt.datasets import Benchmark
from coopt.errors import ConfigError, DataError, did_you_mean


class Evaluation(NamedTuple):
    """One evaluation: the test images of a data set, or of one half of its classes."""

    dataset: str
    subset: str


@dataclass(frozen=True)
class Training:
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


Trainings = Callable[[Asked, bool, bool], list[Training]]
"""Trainings for a method, given whether it learns and whether what it learns applies to new classes."""


@dataclass(frozen=True)
class Protocol:
    """A protocol, with all that other files ask of it."""

    name: str
    what: str
    title: str
    """Of its section in a report; '{}' is the headline figure."""
    shots: tuple[int, ...]
    """By default; none where nothing is learned."""
    presets: tuple[str, ...]
    """Names of the presets of a method that belong to it; the first one that a method has is used."""
    trainings: Trainings
    transfers: bool = False
    """Whether it learns from one data set and tests on others."""
    to_variants: bool = False
    """Whether these others are variants of it, each tested among those of its classes that the variant has."""
    halves: bool = False
    """Whether one half of the classes is learned from and each half tested by itself."""

    @property
    def learns(self) -> bool:
        """Whether anything is learned."""
        return bool(self.shots)

    @property
    def single(self) -> bool:
        """Whether a training has one evaluation, on the data set that was learned from."""
        return not (self.transfers or self.halves)


def within(asked: Asked, learns: bool, applies: bool) -> list[Training]:
    """Learn and test on each data set."""
    names = asked.sources if learns else asked.benchmarks
    return [Training(name, "all", (Evaluation(name, "all"),)) for name in names]


def base_to_new(asked: Asked, learns: bool, applies: bool) -> list[Training]:
    """Learn on the base classes; test base classes among base and new among new."""
    halves = ("base", "new") if applies else ("base",)
    return [Training(name, "base", tuple(Evaluation(name, half) for half in halves)) for name in asked.sources]


def cross_dataset(asked: Asked, learns: bool, applies: bool) -> list[Training]:
    """Learn on a source; test there and, where the method applies to new classes, on every other data set."""
    if not learns:
        return within(asked, learns, applies)
    trainings = []
    for source in asked.sources:
        others = [b.name for b in asked.benchmarks.values() if b.name != source and b.variant_of != source]
        tests = [source, *(others if applies else ())]
        trainings.append(Training(source, "all", tuple(Evaluation(name, "all") for name in tests)))
    return trainings


def shift(asked: Asked, learns: bool, applies: bool) -> list[Training]:
    """Learn on a source; test there and on its variants, each among the variant's own classes."""
    if not learns:
        return within(asked, learns, applies)
    trainings = []
    for source in asked.sources:
        variants = [b.name for b in asked.benchmarks.values() if b.variant_of == source]
        trainings.append(Training(source, "all", tuple(Evaluation(name, "all") for name in (source, *variants))))
    return trainings


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "fewshot", "learn from a few shots, test on the same classes", "Few-shot {}",
            (1, 2, 4, 8, 16), ("few-shot",), within,
        ),
        Protocol(
            "base-to-new", "learn one half of the classes, test both", "Base-to-new generalisation",
            (16,), ("base-to-new",), base_to_new, halves=True,
        ),
        Protocol(
            "cross-dataset", "learn on one data set, test on others", "Cross-dataset transfer",
            (16,), ("cross-dataset",), cross_dataset, transfers=True,
        ),
        Protocol(
            "shift", "learn on one data set, test on its variants", "Robustness to shift",
            (16,), ("shift", "cross-dataset"), shift, transfers=True, to_variants=True,
        ),
        Protocol("zero-shot", "hand-written prompts, nothing learned", "Zero-shot {}", (), (), within),
    )
}  # fmt: skip
"""By name."""


def find_protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        ConfigError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise ConfigError(
            f"There is no protocol {name!r}; the protocols are {', '.join(PROTOCOLS)}.{did_you_mean(name, PROTOCOLS)}"
        )
    return PROTOCOLS[name]


def classes_of(benchmark: Benchmark, subset: str) -> list[int]:
    """The labels of "all" classes, of the first half rounded up ("base"), or of the rest ("new").

    Raises:
        DataError: a half would have fewer than two classes.
    """
    labels = range(len(benchmark.class_names))
    if subset != "all" and len(split_classes(labels, "new").classes) < 2:
        raise DataError(
            f"{benchmark.name} has {len(labels)} classes; base-to-new needs at least 4, two base and two new. Leave it "
            "out."
        )
    return split_classes(labels, subset).classes.tolist()
