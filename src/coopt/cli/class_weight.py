"""`--class-weight`: what the images of each class count."""

from collections.abc import Sequence

from coopt.errors import ConfigError

CLASS_WEIGHT_HELP = "'balanced', or LABEL=NUMBER for a class (may be repeated; 1 for the others)."


def read_class_weight(texts: Sequence[str]) -> str | dict[str, float] | None:
    """`["balanced"]` or `["cat=2", "dog=0.5"]` as `learn` takes it; None where nothing was given.

    Raises:
        ConfigError: a text is neither, or a label is given twice.
    """
    if not texts:
        return None
    if list(texts) == ["balanced"]:
        return "balanced"
    weights: dict[str, float] = {}
    for text in texts:
        label, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            equals = ""
        if not equals or not label:
            raise ConfigError(f"--class-weight is {text!r}; allowed is 'balanced' by itself, or LABEL=NUMBER.")
        if label in weights:
            raise ConfigError(f"--class-weight gives {label!r} twice: {weights[label]:g} and {value:g}.")
        weights[label] = value
    return weights
