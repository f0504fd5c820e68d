"""`BENCHMARKS`: every data set that coopt knows by name; the suites; which data sets are shifted variants of which.

The facts are in `benchmarks.json`, by suite. Those of the suites "paper" and "shift" are the authors' code
(github.com/KaiyangZhou/CoOp: datasets/*.py, DATASETS.md, trainers/zsclip.py), as are the numbers of images unless
their certainty says otherwise; checksums are those that torchvision publishes for the same files. The sets of
"offline" and "offline-shift" are made from a package of pip or npm, so that every protocol runs without a hub; the same
version of the package gives the same files, and the built-in model has seen none of this artwork. The labels of
"ordinal" and "ordinal-offline" are numbers or ordered categories; none of the former can be fetched without its terms.
"""

import json
from pathlib import Path
from typing import Any

from coopt.datasets import imagenet, ordinal_readers, readers
from coopt.datasets.facts import BenchmarkFacts, RemoteFile
from coopt.datasets.makers import demo, drawn, quantities, scanned, solar, textiles
from coopt.errors import DataError, did_you_mean

FUNCTIONS = (
    readers.read_aircraft, readers.read_cars, readers.read_class_folders, readers.read_flowers, readers.read_made,
    readers.read_pets, readers.read_sun, readers.read_ucf,
    imagenet.read_imagenet, imagenet.read_imagenet_folders, imagenet.read_imagenet_v2,
    ordinal_readers.read_aadb, ordinal_readers.read_adience, ordinal_readers.read_decades,
    ordinal_readers.read_koniq, ordinal_readers.read_morph, ordinal_readers.read_utkface,
    demo.make_demo_emoji, demo.make_demo_emoji_names, demo.make_demo_icons,
    drawn.make_animal_emoji, drawn.make_icon_names, drawn.make_unicon_names, drawn.make_unicons,
    scanned.make_animals, scanned.make_mnist, scanned.write_digits, solar.make_solar_cells,
    textiles.make_textiles, quantities.make_dots, quantities.make_icon_angles, quantities.make_icon_counts,
)  # fmt: skip
"""The readers and makers that `benchmarks.json` names."""


def _read_facts() -> dict[str, list[BenchmarkFacts]]:
    functions: dict[str, Any] = {function.__name__: function for function in FUNCTIONS}
    suites = json.loads(Path(__file__).with_name("benchmarks.json").read_text(encoding="utf-8"))
    for entry in (entry for entries in suites.values() for entry in entries):
        entry["read"] = functions[entry["read"]]
        entry["make"] = functions[entry["make"]] if "make" in entry else None
        entry["official"] = [RemoteFile(**remote) for remote in entry.get("official", [])]
    return {suite: [BenchmarkFacts(**entry) for entry in entries] for suite, entries in suites.items()}


_FACTS = _read_facts()
BENCHMARKS: dict[str, BenchmarkFacts] = {facts.name: facts for entries in _FACTS.values() for facts in entries}
SUITES: dict[str, list[str]] = {suite: [facts.name for facts in entries] for suite, entries in _FACTS.items()}
"""The 11 data sets of the paper, ImageNet's variants, and the same for what runs without a hub.

The suites "shift" and "offline-shift" have only test images: `SHIFTS` says which set is trained on."""
SHIFTS: dict[str, list[str]] = {}
"""By source: the data sets of its classes in another domain, which are only for testing."""
for _facts in BENCHMARKS.values():
    if _facts.variant_of is not None:
        SHIFTS.setdefault(_facts.variant_of, []).append(_facts.name)


def find_benchmark(name: str) -> BenchmarkFacts:
    """The facts of a data set by its name, in any case, with '_' or '-', as the authors spell it, or by its title.

    Raises:
        DataError: no data set has this name.
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
