"""A method's docstring in parts: what `coopt methods NAME` and the pages in docs/methods are made from."""

import inspect
import re
import types
import typing
from dataclasses import dataclass
from typing import Any

from coopt.methods.method import Method
from coopt.methods.settings import method_settings

HEADING = re.compile(r"^([A-Z][A-Za-z ]+):$")
ITEM = re.compile(r"^(\w[\w, ]*): (.*)$")


@dataclass(frozen=True)
class Setting:
    """One keyword argument of a method's constructor."""

    name: str
    type: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Described:
    """What a method says of itself."""

    summary: str
    """The docstring's first sentence."""
    text: str
    """Everything before the first section and between sections, with its formulas."""
    sections: dict[str, str]
    """"Reference", "Differences from the official code", "Args", "Shape", "Raises" to their text, not indented."""
    settings: list[Setting]


def describe(method: type[Method]) -> Described:
    """Take a method's docstring and constructor apart."""
    summary, _, rest = (inspect.getdoc(method) or "").partition("\n")
    text, sections = split_sections(rest)
    meanings = read_items(sections.get("Args", ""))
    settings = [
        Setting(name, type_name(parameter.annotation), parameter.default, meanings.get(name, ""))
        for name, parameter in method_settings(method).items()
    ]
    return Described(summary.strip(), text, sections, settings)


def split_sections(text: str) -> tuple[str, dict[str, str]]:
    """Plain text, and the indented text below each heading such as ``Args:``."""
    plain: list[str] = []
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        heading = HEADING.match(line)
        if heading:
            current = sections.setdefault(heading[1], [])
        elif current is not None and (not line or line.startswith(" ")):
            current.append(line)
        else:  # a paragraph behind a section belongs to the text again
            current = None
            plain.append(line)
    joined = {name: inspect.cleandoc("\n" + "\n".join(lines)) for name, lines in sections.items()}
    return "\n".join(plain).strip(), joined


def read_items(text: str) -> dict[str, str]:
    """``name: meaning`` lines with their continuation, which is indented; "a, b: meaning" stands for both."""
    items: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        item = ITEM.match(line)
        if item:
            names = [name.strip() for name in item[1].split(",")]
            items |= dict.fromkeys(names, item[2])
        else:
            for name in names:
                items[name] = f"{items[name]} {line.strip()}".strip()
    return items


def type_name(annotation: Any) -> str:
    """`str | Path | None` as a reader types it, without modules."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(type_name(part) for part in typing.get_args(annotation))
    if annotation is type(None):
        return "None"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(type_name(part) for part in arguments)}]"
    return getattr(annotation, "__name__", str(annotation))
