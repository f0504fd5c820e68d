"""What `coopt datasets` tells of a data set and of a check."""

from pathlib import Path
from typing import Any

from coopt.cli.console import out
from coopt.datasets import CERTAINTIES, SHIFTS, SUITES, BenchmarkFacts, find_benchmark
from coopt.datasets.check import Check
from coopt.datasets.fetch import MIRROR
from coopt.datasets.load import read_listing
from coopt.datasets.splits import write_split_file


def facts_of(facts: BenchmarkFacts, root: Path | None) -> dict[str, Any]:
    """A data set's facts as JSON values."""
    plain = ("name", "title", "folder", "images", "split_file", "n_classes", "certainty", "template", "variant_of")
    return {
        **{key: getattr(facts, key) for key in (*plain, "licence", "homepage", "by_hand")},
        "suite": next((suite for suite, members in SUITES.items() if facts.name in members), ""),
        "n_images": facts.counts,
        "certainty_words": CERTAINTIES[facts.certainty],
        "variants": SHIFTS.get(facts.name, []),
        "package": facts.package or None,
        "mirror": f"{MIRROR}: {facts.mirror}" if facts.mirror else None,
        "official": [remote.url + (" (dead)" if remote.dead else "") for remote in facts.official],
        "here": None if root is None else (root / facts.folder).is_dir(),
    }


def show(found: Check) -> None:
    """Print a check in lines."""
    sizes = ", ".join(f"{n:,} {part}" for part, n in found.n_images.items())
    state = "complete" if found.ok else "not as expected"
    out.print(f"{found.name}: {state}" + (f" ({found.n_classes} classes; {sizes})" if sizes else ""))
    for line in [*(f"problem: {problem}" for problem in found.problems), *(f"note: {note}" for note in found.notes)]:
        out.print(f"  {line}")


def write_split_of(found: Check, root: Path) -> None:
    """Write the split that was made, where the field has a file for it and there is none yet."""
    facts = find_benchmark(found.name)
    if facts.split_file is None or not found.n_images:
        return
    path = root / facts.folder / facts.split_file
    if not path.exists():
        write_split_file(read_listing(facts, root), facts, path)
        found.notes.append(f"{facts.split_file} was written")
