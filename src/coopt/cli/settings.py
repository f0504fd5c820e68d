"""What a method is asked to do, from the words of a command."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from coopt.errors import ConfigError
from coopt.fit import Recipe, recipe_for, recipe_value
from coopt.methods import find_method, parse_settings

DEFAULT_SHOTS = 16


def read_shots(text: str | None, method: str) -> int | None:
    """`"16"` to 16, `"all"` to None, 16 where nothing is asked for; None for a method that looks at no images.

    Raises:
        ConfigError: neither.
    """
    if text not in (None, "all") and (not text.isdigit() or int(text) < 1):
        raise ConfigError(f"--shots is {text!r}; allowed is a whole number from 1, or 'all'.")
    if text == "all" or not find_method(method).uses_shots:
        return None
    return DEFAULT_SHOTS if text is None else int(text)


def shots_notes(text: str | None, method: str) -> list[str]:
    """That shots were asked for in vain: commands may be typed alike for all methods, so it is no error."""
    if text is None or find_method(method).uses_shots:
        return []
    return [f"the method {method!r} looks at no training images: --shots {text} is not used"]


def read_settings(
    method: str, preset: str | None, pairs: Sequence[str], truncate_names: bool, changes: dict[str, Any]
) -> tuple[dict[str, Any], Recipe]:
    """The method's settings and the recipe, from its preset, --set pairs and the recipe's own options.

    A name that both have is the method's in a --set pair.

    Raises:
        ConfigError: a preset or a setting that neither has or the method does not use, or a value that is not allowed.
    """
    own = find_method(method).setting_parameters()
    kinds = {field.name for field in fields(Recipe)} - own.keys()
    values = {name: value for name, value in changes.items() if value is not None}
    for_method = []
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name.strip() in kinds:
            values[name.strip()] = text
        else:
            for_method.append(pair)
    settings = parse_settings(method, for_method)
    if truncate_names:
        if "truncate_names" not in own:
            raise ConfigError(f"--truncate-names goes with methods that learn prompts; {method!r} has no such setting.")
        settings["truncate_names"] = True
    return settings, recipe_for(method, {name: recipe_value(value) for name, value in values.items()}, preset)
