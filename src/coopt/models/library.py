"""Classes of the transformers library, and why they cannot be had: the installed packages, not a model's files."""

from typing import Any

import torch

from coopt.errors import ModelError


def library_class(name: str) -> Any:
    """A class of transformers, which is imported only when a model is loaded.

    Raises:
        ModelError: it cannot be imported; the message says the true cause.
    """
    try:
        import transformers  # a slow import

        return getattr(transformers, name)
    except Exception as error:  # an installation fails in many ways
        raise ModelError(import_problem("transformers", error)) from error


def is_import_problem(error: BaseException | None) -> bool:
    """Whether packages that do not fit each other cause an error: a failed import, or a missing operator."""
    while error is not None:
        if isinstance(error, ImportError) or "torchvision::" in str(error):
            return True
        error = error.__cause__
    return False


def import_problem(package: str, error: BaseException) -> str:
    """What is wrong with the installed packages, and how to mend it."""
    cause, deepest = error, error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    texts = {" ".join(str(part).split())[:300].rstrip(".") or type(part).__name__ for part in (cause, deepest)}
    message = f"{package} is installed but cannot be used ({': '.join(sorted(texts, key=len, reverse=True))})."
    if any("torchvision" in text for text in texts):
        return (
            f"{message} This happens when torchvision was built for another PyTorch than this one "
            f"({torch.__version__}): install the torchvision build that belongs to it, from the same package index as "
            "torch, or uninstall torchvision. The model's files are not the cause."
        )
    return f"{message} Install a release that fits torch {torch.__version__}. The model's files are not the cause."
