"""`coopt cache info` and `coopt cache clear`: what the feature cache holds, and removing it."""

from typing import Annotated, Any

import typer

from coopt.cli.console import out, print_json
from coopt.cli.options import Json
from coopt.cli.tables import print_table
from coopt.errors import ConfigError
from coopt.files import user_cache_folder

cache = typer.Typer(
    name="cache",
    help="The image features that were kept, so that no image is encoded twice.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)


@cache.command()
def info(as_json: Json = False) -> None:
    """Where the cache lies, how large it is and may become, and what it holds of each model.

    Example: coopt cache info
    """
    from coopt.features.cache import FeatureCache

    kept = _cache()
    backbones = kept.backbones()
    size = sum(backbone.size for backbone in backbones)
    if as_json:
        print_json(
            {
                "folder": str(kept.folder),
                "in_use": FeatureCache.from_environment() is not None,
                "bytes": size,
                "max_bytes": kept.max_bytes,
                "images": sum(backbone.images for backbone in backbones),
                "backbones": [vars(backbone) for backbone in backbones],
            }
        )
        return
    state = "" if FeatureCache.from_environment() else " (off: COOPT_CACHE or COOPT_CACHE_GB says so)"
    out.print(f"Folder: {kept.folder}{state}")
    out.print(f"Size: {size_text(size)} of at most {size_text(kept.max_bytes)}")
    if not backbones:
        out.print("No features are kept.")
        return
    rows = [(one.model, one.fingerprint, f"{one.images:,}", size_text(one.size)) for one in backbones]
    print_table(("model", "fingerprint", "features", "size"), rows, right=("features", "size"))


@cache.command()
def clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove all kept features; they are made again when they are needed. Downloaded models stay.

    Example: coopt cache clear --yes
    """
    kept = _cache()
    size = sum(backbone.size for backbone in kept.backbones())
    if not yes:
        if as_json:
            raise ConfigError("coopt cache clear --json asks nothing; add --yes to remove the features.")
        if not typer.confirm(f"Remove {size_text(size)} of features in {kept.folder}?"):
            out.print("Nothing was removed.")
            return
    freed = kept.clear()
    if as_json:
        print_json({"folder": str(kept.folder), "freed_bytes": freed})
    else:
        out.print(f"Freed {size_text(freed)} in {kept.folder}.")


def size_text(size: int) -> str:
    """`1.3 MB`: bytes in units of 1,000, 10^6 or 10^9."""
    unit, name = next(((unit, name) for unit, name in ((10**9, "GB"), (10**6, "MB")) if size >= unit), (10**3, "kB"))
    return f"{size / unit:,.1f} {name}"


def _cache() -> Any:
    from coopt.features.cache import FeatureCache, cap_bytes

    # Also where the cache is switched off: what was kept before is still there to see and to remove.
    return FeatureCache(user_cache_folder() / "features", cap_bytes())
