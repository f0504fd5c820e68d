"""A method's settings are its constructor's keyword arguments: this reads, checks and binds them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from coopt.errors import ConfigError, did_you_mean
from coopt.messages import option
from coopt.methods.method import Method, Preset
from coopt.methods.table import METHODS, find_method
from coopt.models import VLM
from coopt.outside import class_key
from coopt.prompting import TEMPLATES, read_templates
from coopt.tasks import Task

METHOD = "method"
"""In the value of a setting that is a method itself: the name of that method; its other keys are settings."""

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
READERS: list[tuple[type, str, Callable[[str], Any]]] = [
    (bool, "true or false", lambda text: TRUTH[text.lower()]),
    (int, "a whole number", int),
    (float, "a number", float),
]
"""How the text of a setting becomes its value: the first of these types that its annotation names, else text."""


def method_name(method: str | type[Method]) -> str:
    """The name under which a method is found: in `METHODS`, or `module:Class`."""
    return class_key(method, METHODS, Method)


def check_settings(key: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of method `key`, resolved: those given, and defaults for the others.

    Raises:
        ConfigError: the method is unknown, it has no setting of a given name (all wrong names are listed), or a
            setting without a default is missing.
    """
    allowed = find_method(key).setting_parameters()
    unknown = [name for name in settings if name not in allowed]
    if unknown:
        listed = ", ".join(allowed) if allowed else "none"
        hints = "".join(did_you_mean(name, allowed, n=1) for name in unknown)
        raise ConfigError(
            f"The method {key!r} has no setting {' or '.join(map(repr, unknown))}; its settings are: {listed}.{hints}"
        )
    resolved = {name: plain(settings.get(name, parameter.default)) for name, parameter in allowed.items()}
    missing = [name for name, value in resolved.items() if value is inspect.Parameter.empty]
    if missing:
        example = option(f"--set {missing[0]}=...", f"settings={{{missing[0]!r}: ...}}")
        raise ConfigError(f"The method {key!r} needs a value for {', '.join(missing)}, such as {example}.")
    for name, parameter in allowed.items():
        if _is_method(parameter.annotation) and not _is_made(resolved[name], parameter.annotation):
            inner, inner_settings = _method_value(key, name, resolved[name])
            resolved[name] = {METHOD: inner, **check_settings(inner, inner_settings)}
    return resolved


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


def build_method(
    key: str,
    vlm: VLM,
    class_names: Sequence[str],
    settings: Mapping[str, Any] | None = None,
    task: Task | None = None,
) -> Method:
    """Make method `key`, and the methods that its settings name; `task` says what the outputs mean."""
    resolved = check_settings(key, settings or {})
    kind = find_method(key)
    for name, parameter in kind.setting_parameters().items():
        if _is_method(parameter.annotation) and not _is_made(resolved[name], parameter.annotation):
            inner = resolved[name]  # as check_settings made it
            resolved[name] = build_method(inner[METHOD], vlm, class_names, {k: inner[k] for k in inner if k != METHOD})
    if "templates" in resolved:
        resolved["templates"] = _without_file(resolved["templates"])
    method = kind(vlm, class_names, **resolved)
    method.key = key
    if task is not None:
        set_task(method, task)
    return method


def set_task(method: Method, task: Task) -> None:
    """Say what the outputs of a method, and of the methods inside it, mean."""
    for part in method.modules():
        if isinstance(part, Method):
            part.task = task


def for_classes(method: Method, task: Task, changes: Mapping[str, Any] | None = None) -> Method:
    """The method with what it learned, for the classes of another task, with `changes` of its settings."""
    settings = jsonable({**method.settings, **(changes or {})})
    made = build_method(method.key, method.vlm, task.class_names, settings, task)
    made.load_tensors(method.state_dict())
    return made


def jsonable(value: Any) -> Any:
    """Settings as JSON has them: paths as text, tuples as lists, NumPy's numbers as plain ones, methods by name."""
    if isinstance(value, Method):
        return {METHOD: value.key, **jsonable(value.settings)}
    if isinstance(value, Mapping):
        return {str(name): jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return plain(value)


def plain(value: Any) -> Any:
    """A number of NumPy as Python's own; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def parse_settings(key: str, pairs: Sequence[str]) -> dict[str, Any]:
    """`["n_ctx=4", "ctx_init=a photo of a"]` to typed values, by the constructor's annotations.

    A setting that is a method takes its settings after a dot: `["base=kgcoop", "base.n_ctx=4"]`.

    Raises:
        ConfigError: a pair without "=", an unknown setting, or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    inner_pairs: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, such as n_ctx=4; got {pair!r}.")
        outer, dot, inner = name.strip().partition(".")
        if dot:
            inner_pairs.setdefault(outer, []).append(f"{inner}={text}")
        else:
            values[outer] = text
    allowed = find_method(key).setting_parameters()
    for name, of_inner in inner_pairs.items():
        if name not in values or name not in allowed or not _is_method(allowed[name].annotation):
            raise ConfigError(
                f"--set {name}.{of_inner[0]} needs a setting {name!r} that is a method, such as --set {name}=coop; "
                f"the settings of {key!r} are: {', '.join(allowed) or 'none'}."
            )
        values[name] = {METHOD: values[name], **parse_settings(values[name], of_inner)}
    check_settings(key, values)
    return {
        name: value if isinstance(value, dict) else _parse_value(key, name, value, allowed[name].annotation)
        for name, value in values.items()
    }


def _parse_value(key: str, name: str, text: str, annotation: Any) -> Any:
    kinds = get_args(annotation) or (annotation,)
    if type(None) in kinds and text.lower() in ("none", "null"):
        return None
    for kind, what, read in READERS:
        if kind in kinds:
            try:
                return read(text)
            except (KeyError, ValueError):
                raise ConfigError(f"{key}: {name} is {what}; got {text!r}.") from None
    return text


def _without_file(templates: Any) -> Any:
    """The templates of a file themselves: a run does not need the file, nor to know where it was."""
    is_text = isinstance(templates, str) and ("{" in templates or templates in TEMPLATES)
    return read_templates(templates) if isinstance(templates, str | Path) and not is_text else templates


def _is_made(value: Any, annotation: Any) -> bool:
    """Whether the value of a setting that is a method needs no making: a method, or None where that is allowed."""
    return isinstance(value, Method) or (value is None and type(None) in get_args(annotation))


def _is_method(annotation: Any) -> bool:
    return any(inspect.isclass(kind) and issubclass(kind, Method) for kind in get_args(annotation) or (annotation,))


def _method_value(key: str, name: str, value: Any) -> tuple[str, dict[str, Any]]:
    """The name and the settings of a method that is the value of a setting."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and isinstance(value.get(METHOD), str):
        return value[METHOD], {inner: item for inner, item in value.items() if inner != METHOD}
    raise ConfigError(
        f"{key}: {name} is {value!r}; give the name of a method, or its settings with the name under {METHOD!r}."
    )
