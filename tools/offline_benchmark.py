"""The offline benchmark: every protocol on the built-in model, from data sets to reports, in one command.

    python -m tools.offline_benchmark                    # everything: hours on two cores
    python -m tools.offline_benchmark main methods       # some of its parts
    python -m tools.offline_benchmark --tables-only      # run nothing: the pages again, from the committed records

Runs write into `work/bench/PART` and are kept there: typing the command again goes on where it ended. What a part has
measured is then copied to `docs/results/PART/records`, a bench folder with one file per protocol, which is committed.
The tables and figures in `docs/results/PART` are made only from those records; docs/results.md and docs/findings.md
show them.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from coopt.bench.records import GRID, BenchFolder, read_failures, read_records
from coopt.errors import RunError
from coopt.evaluate.record import Record
from coopt.report import build_report, read_bench, write_report
from coopt.report.records import Bench

SUITES = ("offline", "offline-shift")
BASELINES = "zero-shot; linear-probe; coop"
SMALL, LARGE = "icons,digits,animals,textiles", "icon-names,emoji-names"
# A hundred classes learned from 16 shots by the paper's recipe take 10,000 steps: the two sets that have them are
# learned from fewer shots here, and left out where the layout of the prompt is the question.
LAYOUTS = (
    "zero-shot; coop; coop class_specific=true; coop n_ctx=4; coop n_ctx=4, position=middle; "
    "coop n_ctx=4, position=front; coop ctx_init=a photo of a"
)

PARTS: dict[str, list[list[str]]] = {
    "main": [
        ["fewshot", "--datasets", SMALL, "--methods", BASELINES],
        ["base-to-new", "--datasets", "icons,digits,animals", "--methods", BASELINES],
        ["base-to-new", "--datasets", LARGE, "--methods", BASELINES, "--shots", "4"],
        # CoOp's preset for shift is its recipe for ImageNet: 50 epochs are too few for small sources.
        ["shift", "--source", "icons,digits,animals", "--methods", BASELINES, "--no-presets"],
        ["cross-dataset", "--suite", "offline", "--source", "icons", "--methods", BASELINES],
    ],
    # In a folder of its own, so that the averages of the main part are over the same sets at every number of shots.
    "hundred": [["fewshot", "--datasets", LARGE, "--methods", BASELINES, "--shots", "1,2"]],
    "methods": [
        ["fewshot", "--datasets", SMALL, "--methods", "all", "--shots", "4", "--seeds", "1"],
        ["base-to-new", "--datasets", "icons,digits,animals", "--methods", "all", "--shots", "4", "--seeds", "1"],
    ],
    "layouts": [["fewshot", "--datasets", "digits,animals,textiles", "--methods", LAYOUTS, "--shots", "1,4,16"]],
}
"""Name of a part -> the `coopt bench` commands that fill its folder."""


CHOSEN = (
    "The last two stages of the built-in model were chosen by figures on digits, Font Awesome and OpenMoji "
    "([model card](../../model-card.md#against-the-targets)): numbers on `digits`, `icons` and the sets drawn from "
    "OpenMoji are kinder than those on sets that no choice has seen."
)
"""What every page with such numbers says."""


def run(*words: str | Path) -> None:
    """One `coopt` command, as a user would type it; what fails does not stop the others."""
    command = [str(word) for word in words]
    print("$ coopt", *command, flush=True)
    subprocess.run([sys.executable, "-c", "from coopt.cli import main; main()", *command], check=False)


def keep_records(folder: Path, place: Path) -> None:
    """Replace the committed records of a part by those in the bench folder `folder`; `place` is a bench folder too.

    One file per protocol instead of one per run. A failed run keeps its reason; its traceback, which names files of the
    machine, is left out.
    """
    by_protocol: dict[str, list[Record]] = defaultdict(list)
    for record in read_records(folder):
        by_protocol[record.protocol].append(record)
    if not by_protocol:
        return
    failures = read_failures(folder)
    shutil.rmtree(place, ignore_errors=True)
    kept = BenchFolder(place)
    (place / "runs").mkdir(parents=True)
    for protocol, records in by_protocol.items():
        kept.write_records(protocol, records)
    for failure in failures:
        kept.write_failure(replace(failure, traceback=None))
    if (folder / GRID).is_file():
        shutil.copy(folder / GRID, place / GRID)


def publish(place: Path) -> None:
    """The tables and figures of a part, from its committed records and from nothing else."""
    bench = read_bench(place / "records")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch)
        write_report(build_report(bench), report)
        text = origin(bench, place.name) + (report / "report.md").read_text(encoding="utf-8")
        (place / "report.md").write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), encoding="utf-8")
        shutil.rmtree(place / "figures", ignore_errors=True)
        if (report / "figures").is_dir():
            shutil.copytree(report / "figures", place / "figures")


def origin(bench: Bench, part: str) -> str:
    """The first lines of a page: the weights that its records were made with, and the command that makes it."""
    models = sorted({f"`{e.model}`, fingerprint {e.fingerprint}" for e in bench.evaluations})
    command = f"python -m tools.offline_benchmark {part} --tables-only"
    return (
        f"Model {'; '.join(models)}.\nMade from the [records](records) beside this page by `{command}`.\n\n{CHOSEN}\n\n"
    )


def main() -> None:
    """Make the data, run the parts that are asked for, publish their tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.offline_benchmark", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--data", type=Path, default=Path("work/offline"), help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("work/bench"), help="folder that runs write into")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="folder of the pages and records")
    parser.add_argument("--workers", type=int, default=None, help="runs at a time; by default the machine's cores")
    parser.add_argument("--tables-only", action="store_true", help="run nothing, make the pages from the records")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    workers = [] if arguments.workers is None else ["--workers", str(arguments.workers)]
    if not arguments.tables_only:
        for suite in SUITES:
            run("datasets", "fetch", suite, "--root", arguments.data)
    for part in arguments.parts:
        folder, place = arguments.work / part, arguments.results / part
        if not arguments.tables_only:
            for command in PARTS[part]:
                run("bench", *command, "--root", arguments.data, "--out", folder, *workers)
            keep_records(folder, place / "records")
        try:
            publish(place)
        except RunError as error:
            sys.exit(f"{part}: {error} Without records there are no tables; leave out --tables-only to make them.")


if __name__ == "__main__":
    main()
