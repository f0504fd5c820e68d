"""Which methods to compare, and with which settings, as a user types it.

zero-shot,coop                                    methods as they are
zero-shot; coop; coop n_ctx=4, position=middle    with settings: items part at ';', settings at ', name='
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from coopt.datasets import BENCHMARKS
from coopt.errors import ConfigError, did_you_mean
from coopt.fit import Recipe, recipe_for, recipe_value, used_settings
from coopt.methods import METHODS, find_method, find_preset, parse_settings
from coopt.prompting import TEMPLATES, read_templates

OWN = "own"
"""The name, in a list of templates, of the data set's own template."""
HAND_WRITTEN = "zero-shot"
"""The method of hand-written prompts, which others are compared with."""
ENSEMBLE = f"{HAND_WRITTEN} templates=imagenet-7 + own"
"""The prompt ensemble of the CoOp paper (section 4.1 and its appendix)."""
GENERIC = "a photo of a {}."
"""A default template that says nothing about the data: the one for the data set replaces it."""
WITHOUT_WORDS = {"n_ctx", "class_specific"}
"""A row that sets one of these does not take the words of a preset: it asks for vectors that start without words."""
RECIPE = [field.name for field in fields(Recipe)]
NEXT_SETTING = re.compile(r",\s*(?=[A-Za-z_][\w.]*\s*=)")


@dataclass(frozen=True)
class Variant:
    """A method with settings: one row of the tables."""

    method: str
    name: str
    """The method and the settings that were given, in the order of its constructor."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    """The name of a preset, or "none" for none; None leaves the choice to the protocol."""

    @property
    def uses_shots(self) -> bool:
        """Whether it looks at training images."""
        return find_method(self.method).uses_shots


def read_variants(texts: Sequence[str], common: Sequence[str] = ()) -> list[Variant]:
    """All variants of `--methods` (which may be repeated), each once, with the settings of `--set` added.

    Raises:
        ConfigError: an unknown method or setting, a value that is not allowed, or a `--set` that no method has.
    """
    items = [item for text in texts for item in split_items(text)]
    if not items:
        raise ConfigError("--methods names no method; give some, such as zero-shot,linear-probe,coop, or all.")
    expanded = [part for item in items for part in ([*METHODS, ENSEMBLE] if item == "all" else [item])]
    parsed = [split_settings(item) for item in expanded]
    unused = {setting_name(pair): pair for pair in common}
    variants: dict[str, Variant] = {}
    for method, pairs in parsed:
        known = {*find_method(method).setting_parameters(), *used_settings(method)}
        own, shared = {setting_name(pair) for pair in pairs}, []
        for pair in common:
            name = setting_name(pair)
            outer = name.split(".")[0]  # "base" of "base.n_ctx", a setting of the method that is the value of "base"
            if outer in known:
                unused.pop(name, None)
                shared += [] if own & {name, outer} else [pair]
        variant = make_variant(method, [*pairs, *shared])
        variants.setdefault(variant.name, variant)
    if unused:
        names = {name for method, _ in parsed for name in find_method(method).setting_parameters()} | set(RECIPE)
        hints = "".join(did_you_mean(name, names, n=1) for name in unused)
        raise ConfigError(f"--set {', '.join(unused.values())}: no method of --methods has such a setting.{hints}")
    return list(variants.values())


def setting_name(pair: str) -> str:
    """`"n_ctx=4"` to `"n_ctx"`."""
    return pair.partition("=")[0].strip()


def split_items(text: str) -> list[str]:
    """`"a,b"` or `"a; b x=1, y=2"`: with a ';' or a '=' in it, commas belong to the settings."""
    separator = ";" if ";" in text or "=" in text else ","
    return [item.strip() for item in text.split(separator) if item.strip()]


def split_settings(item: str) -> tuple[str, list[str]]:
    """`"coop n_ctx=4, ctx_init=a photo, of a"` to `("coop", ["n_ctx=4", "ctx_init=a photo, of a"])`."""
    method, _, rest = item.partition(" ")
    if "," in method or "=" in method:
        raise ConfigError(
            f"--methods has {item!r}. With settings, separate methods by ';', as in "
            "'zero-shot; coop n_ctx=4, position=middle'."
        )
    find_method(method)
    return method, [pair.strip() for pair in NEXT_SETTING.split(rest) if pair.strip()]


def make_variant(method: str, pairs: Sequence[str]) -> Variant:
    """A variant from `name=value` pairs of the method, of the recipe, or `preset=NAME`."""
    known = find_method(method).setting_parameters()
    texts: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise ConfigError(f"A setting of {method!r} is name=value, such as n_ctx=4; got {pair!r}.")
        if name in texts:
            raise ConfigError(f"{method!r} is given {name} twice: {texts[name]!r} and {value!r}.")
        texts[name] = value
    preset = texts.get("preset")
    for_recipe = {name: recipe_value(texts[name]) for name in RECIPE if name in texts and name not in known}
    others = texts.keys() - for_recipe.keys() - {"preset", "templates"}
    settings = parse_settings(method, [f"{name}={text}" for name, text in texts.items() if name in others])
    if "templates" in texts:
        parse_settings(method, ["templates=x"])  # refuses it where the method has none
        settings["templates"] = read_template_list(texts["templates"])
    recipe_for(method, for_recipe, None if preset == "none" else preset)  # refuses unknown presets and wrong values
    order = ("preset", *known, *RECIPE)
    ordered = sorted(texts, key=lambda name: (order.index(name.split(".")[0]), "." in name))
    name = f"{method} {', '.join(f'{name}={texts[name]}' for name in ordered)}" if ordered else method
    return Variant(method, name, settings, for_recipe, preset)


def read_template_list(text: str) -> list[str]:
    """`"imagenet-7 + own + a sketch of a {}."`: names, files and templates; `own` is kept for the data set to fill."""
    parts = [part.strip() for part in text.split(" + ")]
    return [template for part in parts for template in ([OWN] if part == OWN else read_templates(part))]


def own_template(method: str, dataset: str, template: str) -> str | list[str]:
    """What `OWN` stands for: the hand-written prompt of the method's authors on a data set, else the data set's own."""
    found = (find_method(method).own_templates or {}).get(dataset, template)
    return found if isinstance(found, str) else list(found)


def fill_templates(templates: Any, own: str | list[str], dataset: str) -> Any:
    """`templates` with those of `own_template` in place of `OWN`; a single template as text.

    On some data sets the authors' ensemble is the seven templates without the data set's own.
    """
    if not isinstance(templates, list) or OWN not in templates:
        return templates
    if templates == [OWN]:
        return own
    facts = BENCHMARKS.get(dataset)
    if templates == [*TEMPLATES["imagenet-7"], OWN] and facts is not None and not facts.joins_ensemble:
        return templates[:-1]
    own = [own] if isinstance(own, str) else own
    return [filled for template in templates for filled in (own if template == OWN else [template])]


def resolve(
    variant: Variant, presets: Sequence[str], dataset: str = "", n_shots: int | None = None
) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """The preset's name, the settings and the recipe's changes for a protocol that looks for `presets`, in order.

    The preset is taken as it is on `dataset`. Settings of the variant go before those of the preset. Templates stay a
    list with `OWN` in it.
    """
    method = find_method(variant.method)
    name = variant.preset
    if name is None:
        name = next((preset for preset in presets if preset in method.presets), None)
    name = None if name == "none" else name
    preset = find_preset(variant.method, name).at(dataset, n_shots)
    settings = {**preset.settings, **variant.settings}
    has_words = "ctx_init" in preset.settings and "ctx_init" not in variant.settings
    if has_words and WITHOUT_WORDS & set(variant.settings):
        settings["ctx_init"] = None
    parameters = method.setting_parameters()
    generic = "templates" in parameters and parameters["templates"].default == GENERIC
    if generic and "templates" not in settings and method.own_templates is not None:
        settings["templates"] = [OWN]
    return name, settings, {**preset.recipe, **variant.recipe}
