"""Classes from outside the package, named as `module:Class`."""

import importlib
import sys
from pathlib import Path
from typing import TypeVar

from coopt.errors import ConfigError

T = TypeVar("T")


def is_outside(name: str) -> bool:
    """Whether a name is that of a class from outside the package."""
    return ":" in name


def outside_name(kind: type) -> str:
    """`module:Class` of a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def import_class(name: str, base: type[T]) -> type[T]:
    """Import the class that `module:Class` names; the working folder is looked in too. This runs the module's code.

    Raises:
        ConfigError: there is no such module or class, or the class does not inherit from `base`.
    """
    module_name, _, class_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # a console script's path does not have the folder that the user stands in
        sys.path.append(here)
    try:
        found = importlib.import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{name!r} cannot be imported: {error}. Give module:Class, such as my_methods:MyMethod, with the module in "
            "the working folder or installed."
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{name!r} is no subclass of {outside_name(base)}; it cannot be used here.")
    return found
