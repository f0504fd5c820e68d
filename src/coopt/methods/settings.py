"""A method's settings are its constructor's keyword arguments: this reads, checks and binds them."""

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from coopt.errors import ConfigError, did_you_mean
from coopt.methods.method import Method, Preset
from coopt.methods.table import find_method
from coopt.models import VLM


def method_settings(method: type[Method]) -> dict[str, inspect.Parameter]:
    """The keyword settings of a method, by name, with their annotations and defaults."""
    parameters = inspect.signature(method.__init__).parameters
    return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def check_settings(key: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of method `key`, resolved: those given, and defaults for the others.

    Raises:
        ConfigError: the method is unknown, or it has no setting of a given name (all wrong names are listed).
    """
    allowed = method_settings(find_method(key))
    unknown = [name for name in settings if name not in allowed]
    if unknown:
        listed = ", ".join(allowed) if allowed else "none"
        hints = "".join(did_you_mean(name, allowed, n=1) for name in unknown)
        raise ConfigError(
            f"The method {key!r} has no setting {' or '.join(map(repr, unknown))}; its settings are: {listed}.{hints}"
        )
    return {name: settings.get(name, parameter.default) for name, parameter in allowed.items()}


def find_preset(key: str, name: str | None) -> Preset:
    """A method's preset by name; an empty one for None.

    Raises:
        ConfigError: the method has no such preset.
    """
    if name is None:
        return Preset(source="the method's defaults")
    presets = find_method(key).presets
    if name not in presets:
        listed = ", ".join(presets) if presets else "none"
        raise ConfigError(
            f"The method {key!r} has no preset {name!r}; its presets are: {listed}.{did_you_mean(name, presets)}"
        )
    return presets[name]


def build_method(key: str, vlm: VLM, class_names: Sequence[str], settings: Mapping[str, Any] | None = None) -> Method:
    """Make method `key`; it remembers its key and resolved settings, so that a run folder can name them."""
    resolved = check_settings(key, settings or {})
    method = find_method(key)(vlm, class_names, **resolved)
    # What a constructor has put there itself is what it made of the settings.
    method.key, method.settings = key, {**resolved, **method.settings}
    return method


def parse_settings(key: str, pairs: Sequence[str]) -> dict[str, Any]:
    """`["n_ctx=4", "ctx_init=a photo of a"]` to typed values, by the constructor's annotations.

    Raises:
        ConfigError: a pair without "=", an unknown setting, or a value of the wrong type.
    """
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, such as n_ctx=4; got {pair!r}.")
        values[name.strip()] = text
    allowed = method_settings(find_method(key))
    check_settings(key, values)
    return {name: _parse_value(key, name, text, allowed[name].annotation) for name, text in values.items()}


def _parse_value(key: str, name: str, text: str, annotation: Any) -> Any:
    kinds = _flatten(annotation)
    if type(None) in kinds and text.lower() in ("none", "null"):
        return None
    if bool in kinds:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
        raise ConfigError(f"{key}: {name} is true or false; got {text!r}.")
    for kind, what in ((int, "a whole number"), (float, "a number")):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                raise ConfigError(f"{key}: {name} is {what}; got {text!r}.") from None
    return text


def _flatten(annotation: Any) -> set[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return set().union(*(_flatten(part) for part in typing.get_args(annotation)))
    return {annotation}
