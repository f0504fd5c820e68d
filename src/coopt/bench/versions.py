"""Versions of what a result depends on."""

import platform
from importlib.metadata import version

from coopt.version import __version__

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions by the name of the package, as records have them."""
    return {"coopt": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
