"""`coopt models`: the names that are known, and what of them is on this machine."""

from dataclasses import asdict
from typing import Literal

from rich.table import Table

from coopt.cli.console import out, print_json
from coopt.cli.options import Json
from coopt.models import list_models


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
