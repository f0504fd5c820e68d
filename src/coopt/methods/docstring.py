"""A method's docstring in parts: what `coopt methods NAME` and the pages in docs/methods are made from."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from coopt.methods.method import Method

SECTIONS = ("Reference", "Differences from the official code", "Shape")
"""Sections of a method's docstring beside Args and Raises."""


@dataclass(frozen=True)
class Setting:
    """One keyword argument of a method's constructor."""

    name: str
    type: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Described:
    """What a method's docstring and constructor say."""

    summary: str
    """The docstring's first sentence."""
    text: str
    """Everything between the summary and the first section, with its formulas."""
    sections: dict[str, str]
    """The text of each of `SECTIONS`, not indented."""
    meanings: dict[str, str]
    """Args, by name."""
    errors: dict[str, str]
    """Raises, by error."""
    settings: list[Setting]


def describe(method: type[Method]) -> Described:
    """Take a method's docstring and constructor apart."""
    from docstring_parser.google import DEFAULT_SECTIONS, GoogleParser, Section, SectionType

    own = [Section(name, name, SectionType.SINGULAR) for name in SECTIONS]
    parsed = GoogleParser([*DEFAULT_SECTIONS, *own]).parse(inspect.getdoc(method))
    meanings = {name: _line(p.description) for p in parsed.params for name in p.arg_name.split(", ")}
    return Described(
        summary=parsed.short_description or "",
        text=parsed.long_description or "",
        sections={meta.args[0]: meta.description or "" for meta in parsed.meta if meta.args[0] in SECTIONS},
        meanings=meanings,
        errors={str(error.type_name): _line(error.description) for error in parsed.raises},
        settings=[
            Setting(name, type_name(p.annotation), p.default, meanings.get(name, ""))
            for name, p in method.setting_parameters().items()
        ],
    )


def type_name(annotation: Any) -> str:
    """`str | Path | None` as a reader types it, without modules."""
    return re.sub(r"\b\w+\.(?=\w)", "", inspect.formatannotation(annotation))


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def no_recipe(method: type[Method]) -> str:
    """What is said in place of a recipe of a method that takes no steps."""
    crops = (
        f" Its views crop at least {method.recipe['min_crop']:g} of an image." if "min_crop" in method.recipe else ""
    )
    return f"No gradient steps, so no recipe.{crops}"
