"""`coopt methods`: all methods in a table, one in full."""

from typing import Annotated, Any

import typer

from coopt.cli.console import out, print_json
from coopt.cli.method_facts import listed
from coopt.cli.options import Json
from coopt.cli.tables import print_table


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in full; all in a table without it.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods and what each learns, or describe one: its settings, recipe, presets and source.

    Example: coopt methods coop
    """
    if name is None and not as_json:
        heads = ("method", "kind", "learns", "looks at", "new classes", "presets (--preset)")
        print_table(heads, [overview(row) for row in listed()])
        out.print("One in full: coopt methods NAME")
        return
    if name is None:
        print_json(listed())
        return
    from coopt.cli.methods_steps import facts, show
    from coopt.methods import find_method

    if as_json:
        print_json(facts(name, find_method(name)))
    else:
        show(name, find_method(name))


def overview(row: dict[str, Any]) -> list[str]:
    """A row of the table of all methods."""
    new_classes, presets = "yes" if row["new_classes"] else "no", ", ".join(row["presets"])
    return [row["name"], row["kind"], row["learns"], row["needs"], new_classes, presets]
