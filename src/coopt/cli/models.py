"""`coopt models`: the names that are known, and what of them is on this machine."""

from dataclasses import asdict

from coopt.cli.console import print_json
from coopt.cli.options import Json
from coopt.cli.tables import print_table


def models(as_json: Json = False) -> None:
    """List known model names, with size, image size, embedding width, and whether each is on this machine.

    Any CLIP or SigLIP on a model hub or in a local folder works beside these.

    Example: coopt models
    """
    from coopt.models import list_models

    found = list_models()
    if as_json:
        print_json([asdict(info) for info in found])
        return
    rows = [
        (
            info.name,
            info.source,
            f"{info.download_mb:,} MB" if info.download_mb else "in package",
            info.image_size,
            info.embed_dim,
            "yes" if info.on_this_machine else "",
        )
        for info in found
    ]
    heads = ("name", "source", "size", "image size", "width", "here")
    print_table(heads, rows, right=("size", "image size", "width"))
