"""The parameters of a `PromptClassifier` as `learn` takes them."""

from enum import Enum
from typing import Any

from coopt.fit import Recipe, recipe_for
from coopt.methods import method_name


class _Unset(Enum):
    UNSET = "unset"

    def __repr__(self) -> str:
        return self.name


UNSET = _Unset.UNSET
"""The value of a parameter that nobody gave; None is a value."""
PROMPT_SETTINGS = ("n_ctx", "position", "class_specific", "ctx_init")
"""Method settings that are parameters of `PromptClassifier`; `UNSET` leaves them to the method."""
RECIPE_SETTINGS = ("epochs", "lr", "batch_size", "views", "precision")
"""Parts of the recipe that are parameters; None leaves them to the method."""


def method_settings(classifier: Any) -> dict[str, Any]:
    """The settings of the method, given by name or as parameters."""
    given = {name: getattr(classifier, name) for name in PROMPT_SETTINGS}
    return {name: value for name, value in given.items() if value is not UNSET} | dict(classifier.settings or {})


def training_recipe(classifier: Any) -> Recipe:
    """The recipe, with the parts that are parameters.

    Raises:
        ConfigError: a part that a recipe does not have, or a value that is not allowed.
    """
    given = {name: getattr(classifier, name) for name in RECIPE_SETTINGS}
    values = dict(classifier.recipe or {}) | {name: value for name, value in given.items() if value is not None}
    return recipe_for(method_name(classifier.method), values, classifier.preset)
