"""The offline benchmark: every protocol on the built-in model, from data sets to reports, in one command.

    python -m tools.offline_benchmark                    # everything: hours on two cores
    python -m tools.offline_benchmark main methods       # some of its parts
    python -m tools.offline_benchmark --tables-only      # reports and docs/results from the records that are there

Records lie in `work/bench/PART` and are kept: typing the command again goes on where it ended. The reports' tables and
figures are copied to `docs/results/PART`, which is what docs/results.md and docs/findings.md show.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def run(*words: str | Path) -> None:
    """One `coopt` command, as a user would type it; what fails does not stop the others."""
    command = [str(word) for word in words]
    print("$ coopt", *command, flush=True)
    subprocess.run([sys.executable, "-c", "from coopt.cli import main; main()", *command], check=False)


def publish(folder: Path, place: Path) -> None:
    """The report of a part, and its tables and figures in the docs."""
    run("report", folder)
    report = folder / "report"
    if not (report / "report.md").is_file():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    text = (report / "report.md").read_text(encoding="utf-8")
    (place / "report.md").write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), encoding="utf-8")
    for figure in sorted((report / "figures").glob("*.svg")):
        (place / "figures").mkdir(exist_ok=True)
        shutil.copy(figure, place / "figures" / figure.name)


def main() -> None:
    """Make the data, run the parts that are asked for, publish their tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.offline_benchmark", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--data", type=Path, default=Path("work/offline"), help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("work/bench"), help="folder of the records")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="folder of the published tables")
    parser.add_argument("--workers", type=int, default=None, help="runs at a time; by default the machine's cores")
    parser.add_argument("--tables-only", action="store_true", help="run nothing, make the reports again")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    workers = [] if arguments.workers is None else ["--workers", str(arguments.workers)]
    if not arguments.tables_only:
        for suite in SUITES:
            run("datasets", "fetch", suite, "--root", arguments.data)
    for part in arguments.parts:
        folder = arguments.work / part
        for command in [] if arguments.tables_only else PARTS[part]:
            run("bench", *command, "--root", arguments.data, "--out", folder, *workers)
        publish(folder, arguments.results / part)


if __name__ == "__main__":
    main()
