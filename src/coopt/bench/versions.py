"""Versions of what a result depends on."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from coopt.version import __version__


@cache
def _found() -> tuple[tuple[str, str], ...]:
    found = {"coopt": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "numpy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return tuple(found.items())


def versions() -> dict[str, str]:
    """By name."""
    return dict(_found())
