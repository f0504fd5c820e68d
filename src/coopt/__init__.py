"""coopt: adapt frozen CLIP-like models to your own classes by learning the prompt."""

from coopt.version import __version__

__all__ = ["__version__"]
