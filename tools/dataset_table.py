"""Print the tables of docs/datasets.md from the facts in the package.

python tools/dataset_table.py
"""

from coopt.datasets import BENCHMARKS, REMEMBERED, SUITES, BenchmarkFacts

HEADING = (
    "| name | classes | train | val | test | prompt | {last} | licence |\n"
    "| --- | ---: | ---: | ---: | ---: | --- | --- | --- |"
)


def table(suite: str) -> str:
    """The Markdown table of a suite; the last fact is where the set lies, or which package it comes from."""
    shifted = "shift" in suite
    made = all(BENCHMARKS[name].make for name in SUITES[suite])
    last = "package" if made else "folder"
    heading = HEADING.format(last=last)
    if shifted:
        heading = heading.replace("| name |", "| name | shifts |").replace("| --- | ---: |", "| --- | --- | ---: |", 1)
    return "\n".join([heading, *(row(BENCHMARKS[name], shifted, made) for name in SUITES[suite])])


def row(facts: BenchmarkFacts, shifted: bool, made: bool) -> str:
    """One line; a number that no source was at hand for has a question mark."""
    mark = "?" if facts.certainty == REMEMBERED else ""
    counts = [f"{n:,}{mark}" if n is not None else "-" for n in facts.counts.values()]
    source = f"`{facts.variant_of}` | " if shifted else ""
    last = facts.package if made else f"`{facts.folder}`"
    n_classes = "-" if facts.n_classes is None else f"{facts.n_classes:,}"
    cells = [n_classes, *counts, facts.template, last, facts.licence]
    return f"| `{facts.name}` | {source}" + " | ".join(cells) + " |"


def main() -> None:
    """Print every suite's table."""
    for suite in SUITES:
        print(f"{suite}\n\n{table(suite)}\n")


if __name__ == "__main__":
    main()
