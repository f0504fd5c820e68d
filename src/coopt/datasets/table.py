"""`BENCHMARKS`: every data set that coopt knows by name; the suites; which data set shifts into which."""

from coopt.datasets.facts import BenchmarkFacts
from coopt.datasets.offline import OFFLINE, OFFLINE_SHIFTED
from coopt.datasets.paper import PAPER, SHIFTED
from coopt.errors import DataError, did_you_mean

BENCHMARKS: dict[str, BenchmarkFacts] = {facts.name: facts for facts in (*PAPER, *SHIFTED, *OFFLINE, *OFFLINE_SHIFTED)}

SUITES: dict[str, list[str]] = {
    "paper": [facts.name for facts in PAPER],
    "shift": [facts.name for facts in SHIFTED],
    "offline": [facts.name for facts in OFFLINE],
    "offline-shift": [facts.name for facts in OFFLINE_SHIFTED],
}
"""The 11 data sets of the paper, ImageNet's variants, and the same for what runs without a hub.

The suites "shift" and "offline-shift" have only test images: `SHIFTS` says what is learned on."""


SHIFTS: dict[str, list[str]] = {}
"""By source: the data sets of its classes in another domain, which are only for testing."""
for _facts in BENCHMARKS.values():
    if _facts.variant_of is not None:
        SHIFTS.setdefault(_facts.variant_of, []).append(_facts.name)


def find_benchmark(name: str) -> BenchmarkFacts:
    """The facts of a data set by its name, in any case, with '_' or '-', as the authors spell it, or by its title.

    Raises:
        DataError: no data set is called so.
    """
    if (known := known_benchmark(name)) is not None:
        return known
    raise DataError(
        f"There is no data set '{name}'.{did_you_mean(name, BENCHMARKS)} `coopt datasets list` shows all; one of your "
        f"own joins with a line of YAML (docs/datasets.md)."
    )


def known_benchmark(name: str) -> BenchmarkFacts | None:
    """What `find_benchmark` finds, or None."""
    spellings: dict[str, BenchmarkFacts] = {}
    for facts in BENCHMARKS.values():
        for spelling in (facts.name, *facts.aliases, facts.title, facts.folder):
            spellings.setdefault(_plain(spelling), facts)
    return spellings.get(_plain(name))


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
