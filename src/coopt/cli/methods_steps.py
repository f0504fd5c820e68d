"""What `coopt methods` tells of a method that it has to load."""

import re
from typing import Any

from rich.text import Text

from coopt.cli.console import out
from coopt.cli.tables import print_table
from coopt.fit import Recipe, recipe_for
from coopt.methods import Method
from coopt.methods.docstring import describe, no_recipe


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
