"""Make docs/methods.md and docs/methods/NAME.md from the methods themselves: `python -m tools.method_pages [--check]`.

The pages come from docstrings, constructors, recipes and presets; the table's sizes and costs from
`benchmarks/results/method_steps.json` (`python -m benchmarks.method_steps`), everything else in it from asking a method
that was built on the built-in model. `--check` writes nothing and fails where a page is missing, stale or too many.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from coopt.files import write_text
from coopt.fit import Recipe, recipe_for
from coopt.methods import METHODS, Method, build_method
from coopt.methods.docstring import Described, Setting, describe, no_recipe
from coopt.models import VLM, load_model
from tools.markdown import markdown, table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "method_steps.json"
MADE = "<!-- Made by `python -m tools.method_pages` from the method's docstring; change that instead. -->"
CLASSES = ["red fox", "barn owl"]


def main(argv: list[str]) -> int:
    """Write the pages, or with --check name those that are not as they would be written."""
    parser = argparse.ArgumentParser(prog="python -m tools.method_pages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not up to date")
    given = parser.parse_args(argv)
    folder = ROOT / "docs"
    pages = all_pages()
    wrong = stale(folder, pages)
    if given.check:
        for name in wrong:
            print(f"docs/{name} is not up to date; run: python -m tools.method_pages", file=sys.stderr)
        return 1 if wrong else 0
    for name in wrong:
        if name in pages:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(folder / name, pages[name])
        else:
            (folder / name).unlink()
        print(f"docs/{name}")
    return 0


def stale(folder: Path, pages: dict[str, str]) -> list[str]:
    """Pages that are missing or differ, and pages of methods that do not exist."""
    wrong = [
        name
        for name, text in pages.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
    present = {f"methods/{path.name}" for path in (folder / "methods").glob("*.md")}
    return wrong + sorted(present - set(pages))


def all_pages() -> dict[str, str]:
    """Path below docs to text."""
    vlm = load_model("builtin")
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    pages = {f"methods/{key}.md": page(key, build_method(key, vlm, CLASSES)) for key in METHODS}
    return {"methods.md": overview(vlm, measured), **pages}


def page(key: str, method: Method) -> str:
    """One method in full."""
    kind = type(method)
    told = describe(kind)
    parts = [
        MADE,
        f"# {kind.__name__}",
        markdown(told.summary),
        f"`{key}` · {kind.kind} · [paper]({kind.paper}) · [all methods](../methods.md)",
        f"    {command(key)}",
        markdown(told.text),
        "## Settings\n\n" + settings_table(told.settings, key),
        "## Recipe\n\n" + recipe_text(key, method),
        "## Presets\n\n" + presets_table(key, kind),
    ]
    for name, heading in (
        ("Differences from the official code", "Differences from the official code"),
        ("Shape", "Shapes"),
        ("Reference", "Reference"),
    ):
        parts.append(f"## {heading}\n\n{markdown(told.sections[name])}")
    parts.append("## Errors\n\n" + errors_table(told))
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def command(key: str) -> str:
    """What to type."""
    shots = "" if not METHODS[key].uses_shots else " --shots 16"
    return f"coopt fit photos/ --method {key}{shots}"


def settings_table(settings: list[Setting], key: str) -> str:
    """Name, type, default and meaning of each keyword of the constructor."""
    if not settings:
        return "None."
    rows = [[f"`{s.name}`", f"`{s.type}`", f"`{s.default!r}`", markdown(s.meaning)] for s in settings]
    example = settings[0]
    given = f"`--set {example.name}=...`, `PromptClassifier(method={key!r}, settings={{{example.name!r}: ...}})`"
    return table(["setting", "type", "default", "meaning"], rows) + f"\n\nGiven as {given}."


def recipe_text(key: str, method: Method) -> str:
    """Where its training differs from CoOp's; nothing for a method without steps."""
    if not method.steps:
        return no_recipe(type(method))
    plain, own = Recipe().as_dict(), recipe_for(key).as_dict()
    rows = [[f"`{name}`", shown(own[name]), shown(plain[name])] for name in own if own[name] != plain[name]]
    if not rows:
        listed = ", ".join(f"`{name}` {shown(value)}" for name, value in plain.items())
        return f"CoOp's: {listed}."
    return "As [CoOp's](coop.md#recipe), but for:\n\n" + table(["", "this method", "CoOp"], rows)


def shown(value: Any) -> str:
    """A recipe's value in a table."""
    return "by shots" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def presets_table(key: str, kind: type[Method]) -> str:
    """The authors' settings by protocol, with their source."""
    if not kind.presets:
        return "None; the defaults are used everywhere."
    rows = []
    for name, preset in kind.presets.items():
        changes = "; ".join(f"`{text}`" for text in preset.texts()) or "as the defaults"
        rows.append([f"`{name}`", changes, markdown(preset.source)])
    first = next(iter(kind.presets))
    return table(["preset", "sets", "source"], rows) + f"\n\n    {command(key)} --preset {first}"


def errors_table(told: Described) -> str:
    """What is raised when."""
    rows = [[f"`{name}`", markdown(when)] for name, when in told.errors.items()]
    return table(["error", "when"], rows)


COLUMNS = [
    "method",
    "kind",
    "learns",
    "numbers",
    "looks at",
    "plain classifier",
    "new classes",
    "uses validation",
    "step",
    "one image",
]


NOTES = """\
- **numbers**: how many a run folder holds, with default settings and {classes} classes ({shots} shots each, where
  training images are kept), on the built-in model / on ViT-B/16.
- **looks at**: image features, which are computed once, or pixels, which go through the image tower in every step; a
  number of views where several crops of an image are looked at.
- **plain classifier**: whether what was learned can be written as a matrix on image features, so that predicting needs
  no text tower.
- **new classes**: whether what was learned takes other class names at prediction time.
- **uses validation**: whether it chooses something on validation shots; where there are none it cross-validates the
  shots. No method chooses anything by the labels of test images.
- **step**: {clock} of a training step as a multiple of CoOp's, at batch {batch} and {classes} classes, each method with
  its default settings (CoOp has 16 context vectors), on the built-in model / on ViT-B/16. One step says nothing of how
  many a method takes: that is its recipe.
- **one image**: the same for predicting one more image, with class features known where they do not depend on it.
- The images of an epoch come in the order in which the authors' loader draws them after its seed. Runs of the authors'
  code have another order, because making the model draws random numbers first.

Measured by `{command}` on {cpu}, {threads} thread, PyTorch {torch}; medians of repetitions that alternate with CoOp's.
ViT-B/16 has random weights, which changes no time. Ratios of a few milliseconds vary by a tenth or two from run to run.
"""
CLOCKS = {"processor": "processor time of one thread", "wall": "time by the clock on the wall"}


def overview(vlm: VLM, measured: dict[str, Any]) -> str:
    """The table of all methods."""
    records = {(record["model"], record["method"]): record for record in measured["records"]}
    rows = [overview_row(key, build_method(key, vlm, CLASSES), records) for key in METHODS]
    facts = {**measured["case"], **measured["machine"], "command": measured["command"]}
    return "\n\n".join(
        [
            "<!-- Made by `python -m tools.method_pages`. -->",
            "# Methods",
            "One line each; the name leads to its page. `coopt methods` lists what each learns and looks at, whether "
            "it takes new classes, and its presets; `coopt methods NAME` prints one method in full.",
            table(COLUMNS, rows),
            NOTES.format(**facts | {"clock": CLOCKS[facts["clock"]]}),
        ]
    )


def overview_row(key: str, method: Method, records: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """What a built method says of itself, and what was measured."""
    kind = type(method)
    pair = [records.get((model, key)) for model in ("builtin", "ViT-B/16")]
    views = method.inputs.test_views or method.inputs.train_views
    looks = "pixels" if method.inputs.kind == "pixels" else "features"
    return [
        f"[{key}](methods/{key}.md)",
        kind.kind,
        markdown(kind.summary),
        both(pair, lambda record: f"{record['n_parameters']:,}"),
        f"{looks}, {views} views" if views else looks,
        yes(method.predictor().linear is not None),
        yes(method.new_classes),
        yes(kind.uses_validation),
        both(pair, lambda record: f"{record['step']['ratio']:.2g}x" if "step" in record else "none"),
        both(pair, lambda record: f"{record['predict']['ratio']:.2g}x"),
    ]


def both(records: list[dict[str, Any] | None], read: Any) -> str:
    """One figure for each model; "missing" where it was not measured."""
    figures = ["missing" if record is None else read(record) for record in records]
    return figures[0] if len(set(figures)) == 1 else " / ".join(figures)


def yes(value: bool) -> str:
    """For a table."""
    return "yes" if value else "no"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
