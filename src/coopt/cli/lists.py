"""`coopt methods` and `coopt models`."""

from dataclasses import asdict
from typing import Any, Literal

from rich.table import Table

from coopt.cli.console import out, print_json
from coopt.cli.options import Json
from coopt.methods import METHODS, method_settings
from coopt.models import list_models


def methods(as_json: Json = False) -> None:
    """List the methods, what each learns, and its settings.

    Example: coopt methods
    """
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "learns": method.summary,
            "settings": {key: p.default for key, p in method_settings(method).items()},
            "needs": "pixels" if method.needs_pixels else "features",
            "new_classes": method.new_classes,
            "presets": {key: preset.source for key, preset in method.presets.items()},
            "paper": method.paper,
        }
        for name, method in METHODS.items()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table()
    for heading in ("method", "learns", "settings (--set)", "paper"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        settings = ", ".join(f"{key}={value}" for key, value in row["settings"].items())
        table.add_row(row["name"], row["learns"], settings, row["paper"])
    out.print(table)


def models(as_json: Json = False) -> None:
    """List known model names, with size, image size, embedding width, and whether each is on this machine.

    Any CLIP or SigLIP on a model hub or in a local folder works beside these.

    Example: coopt models
    """
    found = list_models()
    if as_json:
        print_json([asdict(info) for info in found])
        return
    table = Table()
    for heading in ("name", "source", "size", "image size", "width", "here"):
        justify: Literal["right", "left"] = "right" if heading in ("size", "image size", "width") else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for info in found:
        size = f"{info.download_mb:,} MB" if info.download_mb else "in package"
        table.add_row(
            info.name,
            info.source,
            size,
            str(info.image_size),
            str(info.embed_dim),
            "yes" if info.on_this_machine else "",
        )
    out.print(table)
