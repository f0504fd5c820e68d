"""`coopt methods`: all methods in a table, one in full."""

import re
from typing import Annotated, Any

import typer
from rich.text import Text

from coopt.cli.console import out, print_json
from coopt.cli.options import Json
from coopt.cli.tables import print_table
from coopt.fit import Recipe, recipe_for
from coopt.methods import METHODS, Method, find_method
from coopt.methods.docstring import describe, no_recipe


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in full; all in a table without it.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods and what each learns, or describe one: its settings, recipe, presets and source.

    Example: coopt methods coop
    """
    methods = METHODS if name is None else {name: find_method(name)}
    rows = [facts(key, method) for key, method in methods.items()]
    if as_json:
        print_json(rows[0] if name is not None else rows)
    elif name is not None:
        show(name, methods[name])
    else:
        heads = ("method", "kind", "learns", "looks at", "new classes", "presets (--preset)")
        print_table(heads, [overview(row) for row in rows])
        out.print("One in full: coopt methods NAME")


def facts(key: str, method: type[Method]) -> dict[str, Any]:
    """What --json prints of a method."""
    return {
        "name": key,
        "kind": method.kind,
        "learns": method.summary,
        "settings": {setting: p.default for setting, p in method.setting_parameters().items()},
        "recipe": dict(method.recipe),
        "needs": "pixels" if method.inputs.kind == "pixels" else "features",
        "new_classes": method.new_classes,
        "task": "ordinal" if method.ordered else None,
        "uses_validation": method.uses_validation,
        "presets": {name: preset.source for name, preset in method.presets.items()},
        "paper": method.paper,
    }


def overview(row: dict[str, Any]) -> list[str]:
    """A row of the table of all methods."""
    new_classes, presets = "yes" if row["new_classes"] else "no", ", ".join(row["presets"])
    return [row["name"], row["kind"], row["learns"], row["needs"], new_classes, presets]


def show(key: str, method: type[Method]) -> None:
    """One method in full, from its docstring and constructor."""
    told = describe(method)
    out.print(Text(f"{method.__name__} ({key}): {told.summary}", style="bold"))
    out.print(Text(f"{method.kind}; {method.paper}\n"))
    out.print(Text(plain(told.text)))
    heading("Settings (--set name=value)")
    settings = [[s.name, s.type, repr(s.default), plain(s.meaning)] for s in told.settings]
    print_table(("name", "type", "default", "meaning"), settings)
    own, usual = recipe_for(key).as_dict(), Recipe().as_dict()
    changed = [f"{name}={own[name]}" for name in own if own[name] != usual[name]]
    if method.uses_shots:
        heading("Recipe")
        with_steps = f"CoOp's with {', '.join(changed)}." if changed else "CoOp's."
        out.print(Text(with_steps if method.steps else no_recipe(method)))
    if method.presets:
        heading("Presets (--preset name)")
        presets = [[name, "; ".join(preset.texts()), preset.source] for name, preset in method.presets.items()]
        print_table(("name", "sets", "source"), presets)
    for section in ("Differences from the official code", "Shape", "Reference"):
        if section in told.sections:  # a method from outside may say less of itself
            heading(section)
            out.print(Text(plain(told.sections[section])))
    heading("Errors")
    print_table(("error", "when"), [[k, plain(v)] for k, v in told.errors.items()])


def heading(text: str) -> None:
    """A line above a part."""
    out.print(Text(f"\n{text}", style="bold"))


def plain(text: str) -> str:
    """A docstring without reStructuredText marks; formulas stay as TeX."""
    text = text.replace(".. math::\n", "")
    text = re.sub(r":math:`([^`]+)`", r"\1", text)
    return re.sub(r"``([^`]+)``", r"\1", text)
