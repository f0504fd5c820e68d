"""Which data sets a call means, read and checked for its protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coopt.bench.protocols import PROTOCOLS, Asked, Protocol, classes_of
from coopt.data import ImageDataset
from coopt.datasets import BENCHMARKS, SHIFTS, SUITES, Benchmark, find_benchmark, load_benchmark
from coopt.datasets.own import OwnBenchmark, read_data_file
from coopt.errors import ConfigError, CooptError, DataError, did_you_mean
from coopt.models import VLM
from coopt.prompting import check_class_names, equal_prompts_allowed
from coopt.tasks import DEFAULT_TASK


@dataclass(frozen=True)
class Places:
    """Where the data sets of a call are."""

    root: str
    """The folder that holds a folder for each data set."""
    data_file: str | None = None
    """A YAML file of the user's own data sets."""
    allow_duplicates: bool = False
    """Whether test images of own data sets may be copies of training images."""

    @property
    def own(self) -> dict[str, OwnBenchmark]:
        """The data sets of `data_file` by name."""
        return read_data_file(self.data_file) if self.data_file is not None else {}

    def load(self, name: str) -> Benchmark:
        """Read the data set of this name."""
        return load_benchmark(name, self.root, extra=self.data_file, allow_duplicates=self.allow_duplicates)

    def canonical(self, name: str) -> str:
        """A data set's name as the tables write it; raises a DataError where there is no such data set."""
        if name in self.own:
            return name
        try:
            return find_benchmark(name).name
        except DataError as error:
            raise DataError(f"{error}{did_you_mean(name, self.own)}") from None


@dataclass(frozen=True)
class Choice:
    """The data sets that a call names."""

    names: Sequence[str] = ()
    suite: str | None = None
    sources: Sequence[str] = ()
    """What the protocols that transfer learn from."""

    @property
    def whole_suite(self) -> bool:
        """Whether a suite is meant, and not data sets that were named."""
        return self.suite is not None and not self.names


def choose(choice: Choice, protocol: Protocol, places: Places) -> tuple[Asked, list[str]]:
    """The data sets of a call, read, and notes about what was left out or decided.

    Raises:
        ConfigError: nothing is named, or an unknown suite.
        DataError: unknown names, or data sets that are not there or that the protocol cannot use (all at once).
    """
    names = named(choice, places)
    sources = [places.canonical(name) for name in choice.sources]
    if sources and not protocol.transfers:
        transfers = " and ".join(other.name for other in PROTOCOLS.values() if other.transfers)
        raise ConfigError(f"--source goes with {transfers}; {protocol.name} learns on each of --datasets.")
    benchmarks = load_all([*sources, *names], places)
    notes: list[str] = []
    if protocol.to_variants:
        sources, benchmarks = shift_sources(sources, names, benchmarks, places)
    elif protocol.transfers:
        sources, benchmarks = cross_sources(sources, benchmarks, choice.whole_suite, notes)
    else:
        untrained = [name for name, b in benchmarks.items() if b.train is None]
        if protocol.learns and choice.whole_suite and untrained:  # a suite may hold data sets without training images
            benchmarks = {name: b for name, b in benchmarks.items() if name not in untrained}
            notes.append(f"for testing only, left out: {', '.join(untrained)}")
        sources = list(benchmarks)
    check(benchmarks, sources if protocol.learns else (), protocol)
    return Asked(benchmarks, sources), [*notes, *(f"{n}: {note}" for n, b in benchmarks.items() for note in b.notes)]


def named(choice: Choice, places: Places) -> list[str]:
    """The data sets of `--datasets`, or of `--suite`, each once; with both, those of the suite that are named."""
    names = [places.canonical(name) for name in choice.names]
    if choice.suite is not None:
        if choice.suite not in SUITES:
            raise ConfigError(
                f"There is no suite {choice.suite!r}; the suites are {', '.join(SUITES)}."
                f"{did_you_mean(choice.suite, SUITES)}"
            )
        others = [name for name in names if name not in SUITES[choice.suite]]
        if others:
            raise ConfigError(
                f"--datasets names {', '.join(others)}, which --suite {choice.suite} does not have: it has "
                f"{', '.join(SUITES[choice.suite])}. Leave out --suite to compare on other data sets."
            )
        names = names or SUITES[choice.suite]
    if not names and not choice.sources:
        raise ConfigError(f"Name data sets with --datasets a,b or --suite ({', '.join(SUITES)}).")
    return list(dict.fromkeys(names))


def load_all(names: Sequence[str], places: Places) -> dict[str, Benchmark]:
    """Data sets by name; raises a DataError that lists all that cannot be read."""
    found, problems = {}, []
    for name in dict.fromkeys(names):
        try:
            found[name] = places.load(name)
        except CooptError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return found


def variants_of(source: str, benchmarks: Mapping[str, Benchmark], places: Places) -> list[str]:
    """Variants of a source: those that were named, or all that are known where none was."""
    named = [b.name for b in benchmarks.values() if b.variant_of == source]
    return named or [*SHIFTS.get(source, []), *(o.name for o in places.own.values() if o.variant_of == source)]


def shift_sources(
    sources: list[str], names: Sequence[str], benchmarks: dict[str, Benchmark], places: Places
) -> tuple[list[str], dict[str, Benchmark]]:
    """What shift learns from, and that with its variants, in the order in which they were named."""
    asked = sources or list(names)
    sources = [name for name in asked if variants_of(name, benchmarks, places)]
    sources = sources or list(dict.fromkeys(b.variant_of for b in benchmarks.values() if b.variant_of is not None))
    if not sources:
        raise DataError(
            f"None of {', '.join(asked)} has variants to test on. Sources with variants: {', '.join(SHIFTS)}; an own "
            "data set becomes one with 'variant_of: SOURCE' in --data-file."
        )
    needed = [*sources, *(variant for source in sources for variant in variants_of(source, benchmarks, places))]
    benchmarks = {**benchmarks, **load_all([name for name in needed if name not in benchmarks], places)}
    return sources, {n: b for n, b in benchmarks.items() if n in sources or b.variant_of in sources}


def cross_sources(
    sources: list[str], benchmarks: dict[str, Benchmark], from_suite: bool, notes: list[str]
) -> tuple[list[str], dict[str, Benchmark]]:
    """What cross-dataset learns from, and all it tests on: variants of a suite's own sets belong to `shift`."""
    if from_suite:
        left_out = [n for n, b in benchmarks.items() if b.variant_of is not None and n not in sources]
        benchmarks = {n: b for n, b in benchmarks.items() if n not in left_out}
        if left_out:
            notes.append(f"left to the protocol shift: {', '.join(left_out)}")
    if not sources:
        candidates = [name for name, b in benchmarks.items() if b.train is not None]
        usual = [name for name in candidates if name in BENCHMARKS and BENCHMARKS[name].usual_source]
        sources = (usual or candidates)[:1]
        notes.append(f"learning from {', '.join(sources)}; --source names another")
    if len(benchmarks) < 2:
        raise ConfigError(f"cross-dataset needs at least 2 data sets; got {', '.join(benchmarks)}.")
    return sources, benchmarks


def check(benchmarks: Mapping[str, Benchmark], sources: Sequence[str], protocol: Protocol) -> None:
    """Refuse data sets that the protocol cannot use, before anything is learned; the DataError names all of them."""
    problems = [f"{name} has no test images." for name, b in benchmarks.items() if b.test is None]
    problems += [
        f"{name} is of the task {b.task or DEFAULT_TASK!r}; {protocol.name} takes data sets of {protocol.task!r}: the "
        f"suite ordinal-offline, or an own one with 'task: {protocol.task}' in --data-file."
        for name, b in benchmarks.items()
        if protocol.task is not None and (b.task or DEFAULT_TASK) != protocol.task
    ]
    for name in sources:
        benchmark = benchmarks[name]
        if benchmark.train is None:
            variant = f" (it is a variant of {benchmark.variant_of})" if benchmark.variant_of else ""
            problems.append(f"{name} is for testing only{variant}: {protocol.name} cannot learn from it.")
        elif protocol.halves:
            try:
                classes_of(benchmark, "base")
            except DataError as error:
                problems.append(str(error))
    for name, b in benchmarks.items():
        source = benchmarks.get(b.variant_of or "")
        if protocol.to_variants and source is not None and b.test is not None:
            try:
                align_labels(b.test, source)
            except DataError as error:
                problems.append(f"{name} is no variant of {source.name}: {error}")
    if problems:
        raise DataError("\n".join(problems))


def align_labels(test: ImageDataset, source: Benchmark) -> list[int]:
    """For each class of a variant its label in the source; raises a DataError where the source lacks a class."""
    part = next(iter(source.parts.values()))
    one_each = replace(test, images=test.class_names, names=test.class_names, labels=np.arange(len(test.class_names)))
    labels = one_each.align(part.class_labels or part.class_names, part.class_names).labels
    assert labels is not None  # they were given
    return labels.tolist()


def check_names(benchmarks: Mapping[str, Benchmark], vlm: VLM) -> None:
    """Refuse own data sets with classes whose names are the same tokens, all of them in one DataError."""
    problems = []
    for name, benchmark in benchmarks.items():
        try:
            with equal_prompts_allowed(benchmark.allow_equal_prompts):
                check_class_names(vlm, benchmark.class_names)
        except DataError as error:
            problems.append(f"{name}: {error} In the data file the key is allow_equal_prompts.")
    if problems:
        raise DataError("\n".join(problems))


def check_shots(benchmarks: Mapping[str, Benchmark], sources: Sequence[str], shots: Sequence[int]) -> list[str]:
    """Notes on data sets where some classes have fewer images than shots; a DataError where all classes have fewer."""
    problems, notes = [], []
    for name in sources:
        train = benchmarks[name].train
        if train is None or not shots:
            continue
        counts = train.class_counts()
        if max(shots) > int(counts.max()):
            problems.append(
                f"{name} has at most {int(counts.max())} training images in a class; {max(shots)} shots would be the "
                "same as fewer. Lower --shots."
            )
        elif max(shots) > int(counts.min()):
            few = f"{int((counts < max(shots)).sum())} of {len(counts)} classes"
            notes.append(f"{name}: {few} have fewer than {max(shots)} images and give them all")
    if problems:
        raise DataError("\n".join(problems))
    return notes
