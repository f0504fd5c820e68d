"""The errors that coopt raises for a user's mistake or a failure outside: each message says what to do.

The command line prints these without a traceback; everything else is a defect of coopt and keeps its traceback.
"""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class CooptError(Exception):
    """Base of all errors that are not a defect of coopt."""


class ConfigError(CooptError, ValueError):
    """A setting has a value that is not allowed."""


class DataError(CooptError, ValueError):
    """Images, labels or class names cannot be used as they are."""


class ModelError(CooptError, RuntimeError):
    """A backbone cannot be found, reached or read."""


class RunError(CooptError, RuntimeError):
    """A run folder cannot be written, read or used."""


class TrainingError(CooptError, RuntimeError):
    """Training cannot go on (for example, the loss is not a number)."""


class Interrupted(Exception):  # noqa: N818
    """Work was asked to stop (Ctrl-C or a termination signal) and has saved its state if it has a place for it."""

    remedy = "Type the same command with --resume to go on."


class MissingExtraError(CooptError, ImportError):
    """An optional dependency is needed and is not installed."""


def did_you_mean(name: str, allowed: Iterable[str], n: int = 3) -> str:
    """`" Did you mean 'a' or 'b'?"`, with the nearest of `allowed`, or an empty string when none is near."""
    by_lower: dict[str, str] = {}
    for word in allowed:
        by_lower.setdefault(word.lower(), word)
    near = difflib.get_close_matches(name.lower(), by_lower, n=n, cutoff=0.5)
    if not near:
        return ""
    return f" Did you mean {' or '.join(repr(by_lower[word]) for word in near)}?"


def first_line(error: BaseException) -> str:
    """The first line of an error's own message, without a full stop, or its class where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


def require_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional `module`, or say which extra of coopt brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package '{module.split('.')[0]}', which is not installed ({error}). "
            f"Install it with: pip install 'coopt[{extra}]'"
        ) from error
