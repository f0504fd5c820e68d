"""The one check of a run's configuration: a file from anywhere, of which nothing is believed."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coopt.artifacts.earlier import BINDING, FORMAT, READABLE, upgrade
from coopt.artifacts.place import CONFIG, WEIGHTS
from coopt.errors import CooptError, RunError, first_line
from coopt.version import __version__

MAX_DEPTH = 8
"""How deep values may lie in each other; what coopt writes has a depth of 5."""
MAX_NUMBER = 10**6
"""Of whole numbers among the settings: a method makes arrays of such sizes."""
MAX_SEED = 2**63


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_task(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("settings"), dict)


Check = tuple[Callable[[Any], bool], str]
TEXT: Check = (lambda value: isinstance(value, str), "a str")
TEXT_OR_NONE: Check = (lambda value: value is None or isinstance(value, str), "a str or null")
OBJECT: Check = (lambda value: isinstance(value, dict), "a dict")
TRUTH: Check = (lambda value: isinstance(value, bool), "true or false")
SIZE: Check = (lambda value: _is_whole(value) and value >= 0, "a whole number from 0")
TEXTS: Check = (_are_texts, "a list of texts")

NEEDED: dict[str, Check] = {
    "method": TEXT,
    "settings": OBJECT,
    "task": (_is_task, "a dict with a name and settings"),
    "base_model_name_or_path": TEXT,
    "fingerprint": TEXT,
    "class_names": TEXTS,
    "new_classes": TRUTH,
}
"""What a run cannot be used without."""
ALLOWED: dict[str, Check] = {
    "class_labels": TEXTS,
    "found": OBJECT,
    "n_parameters": SIZE,
    "numeric_labels": TRUTH,
    "revision": TEXT_OR_NONE,
    "revision_asked": TEXT_OR_NONE,
    "preset": TEXT_OR_NONE,
    "shots": (lambda value: value is None or (_is_whole(value) and value > 0), "a whole number from 1, or null"),
    "seed": (lambda value: _is_whole(value) and 0 <= value < MAX_SEED, "a whole number"),
    "recipe": (lambda value: value is None or isinstance(value, dict), "a dict or null"),
    "data": OBJECT,
    "versions": OBJECT,
    "files": (lambda value: isinstance(value, dict) and all(isinstance(v, str) for v in value.values()), "a dict"),
}
"""What else is read where it is there."""
DATA: dict[str, Check] = {
    "source": TEXT_OR_NONE,
    "split": TEXT_OR_NONE,
    "n_train": SIZE,
    "trained_on": TEXTS,
    "digests": TEXTS,
}
"""What is read of the entry "data"; the last two are of earlier versions."""


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of a run as the present format has it.

    Raises:
        RunError: it is no JSON of ours, of another version, or a value is missing or of another kind.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        file_format, method = config["format"], config["method"]
        if not isinstance(method, str):
            raise TypeError(f"method is {method!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged or not a coopt run: {error!r}.") from error
    if not _is_whole(file_format) or file_format not in READABLE:
        versions = config.get("versions")
        writer = versions.get("coopt", "unknown") if isinstance(versions, dict) else "unknown"
        raise RunError(
            f"{path.parent} has run format {file_format!r}, written by coopt {writer}; coopt {__version__} reads "
            f"format {FORMAT}. Use the version that wrote it, or train again."
        )
    if _is_too_deep(config):
        raise RunError(f"{path} is damaged: its values lie more than {MAX_DEPTH} deep in each other.")
    config = upgrade(config)
    wrong = problems(config)
    if wrong:
        raise RunError(f"{path} is damaged: {'; '.join(wrong)}.")
    return config


def problems(config: Mapping[str, Any]) -> list[str]:
    """All that is wrong with a configuration, in words."""
    wrong = [f"{name} is missing, it must be {what}" for name, (_, what) in NEEDED.items() if name not in config]
    wrong += _misfits(config, {**NEEDED, **ALLOWED})
    if wrong:
        return wrong
    names, labels = config["class_names"], config.get("class_labels", config["class_names"])
    if len(labels) != len(names):
        wrong.append(f"there are {len(labels)} class_labels for {len(names)} class_names")
    if len(names) < 2:
        wrong.append(f"class_names has {len(names)} names; a classifier needs at least 2")
    wrong += [f"settings: {problem}" for problem in _number_problems(config["settings"])]
    wrong += [f"data: {problem}" for problem in _misfits(config.get("data", {}), DATA)]
    if config["format"] >= BINDING and WEIGHTS not in config.get("files", {}):
        wrong.append(f"files has no digest of {WEIGHTS}")
    return wrong


def _misfits(values: Mapping[str, Any], checks: Mapping[str, Check]) -> list[str]:
    """Values that are there and are not what they must be."""
    return [
        f"{name} must be {what}, not {shorten(values[name])}"
        for name, (is_right, what) in checks.items()
        if name in values and not is_right(values[name])
    ]


def shorten(value: Any) -> str:
    """A value in a message, whatever its length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _number_problems(settings: Mapping[str, Any]) -> list[str]:
    """Settings, also of methods inside, that no memory holds or that are no numbers."""
    wrong = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            wrong += _number_problems(value)
        elif _is_whole(value) and abs(value) > MAX_NUMBER:
            wrong.append(f"{name} is {shorten(value)}; allowed are whole numbers up to {MAX_NUMBER:,}")
        elif isinstance(value, float) and math.isnan(value):
            wrong.append(f"{name} is not a number")
    return wrong


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return any(isinstance(item, dict | list) for item in level)


@contextmanager
def refusing(folder: Path, what: str) -> Iterator[None]:
    """What cannot be made of a configuration is a fault of the configuration, whatever the error is.

    Raises:
        RunError: in place of an error that no user's setting explains.
    """
    try:
        yield
    except CooptError:
        raise
    except Exception as error:
        raise RunError(
            f"{folder / CONFIG} is damaged: no {what} can be made of it ({type(error).__name__}: {first_line(error)})."
        ) from error
