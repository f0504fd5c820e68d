"""Classes from outside the package, named as `module:Class`."""

import importlib
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

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
    remedy = "Give module:Class, such as my_code:MyClass, with the module in the working folder or installed."
    if not module_name or not class_name:
        raise ConfigError(f"{name!r} names no class. {remedy}")
    try:
        found = importlib.import_module(module_name)
    except Exception as error:  # whatever the module's own code raises
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{name!r} cannot be imported: {error}. {remedy}") from error
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (last.filename, last.lineno)
        raise ConfigError(
            f"The module of {name!r} failed while it was imported: {type(error).__name__}: {error} "
            f"({place[0]}, line {place[1]}). Mend it, or name another class."
        ) from error
    try:
        for part in class_name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise ConfigError(f"{name!r} cannot be imported: {error}. {remedy}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{name!r} is no subclass of coopt's {base.__name__}; it cannot be used here.")
    return found


def class_key(given: Any, table: Mapping[str, type], base: type) -> str:
    """The name of a class that is given as its name or as itself: its key in `table`, or `module:Class`.

    Raises:
        ConfigError: it is neither a name nor a class that inherits from `base`.
    """
    if isinstance(given, str):
        return given
    if not (isinstance(given, type) and issubclass(given, base)):
        raise ConfigError(
            f"{given!r} is no {base.__name__}; give a name, module:Class, or a class that inherits from it."
        )
    return next((key for key, kind in table.items() if kind is given), outside_name(given))
