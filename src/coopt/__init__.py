"""coopt: adapt frozen CLIP-like models to your own classes by learning the prompt.

    from coopt import PromptClassifier
    classifier = PromptClassifier(model="builtin", shots=16).fit(paths, labels)

Heavy imports wait until a name is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from coopt.version import __version__

if TYPE_CHECKING:
    from coopt.artifacts import import_checkpoint, load_run, push_run, save_run
    from coopt.data import ImageDataset, load_dataset, sample_few_shot, split_classes
    from coopt.estimator import PromptClassifier
    from coopt.fit import Recipe, learn
    from coopt.models import VLM, list_models, load_model
    from coopt.regressor import PromptRegressor

_HOME = {
    "ImageDataset": "coopt.data",
    "PromptClassifier": "coopt.estimator",
    "PromptRegressor": "coopt.regressor",
    "Recipe": "coopt.fit",
    "VLM": "coopt.models",
    "import_checkpoint": "coopt.artifacts",
    "learn": "coopt.fit",
    "list_models": "coopt.models",
    "load_dataset": "coopt.data",
    "load_model": "coopt.models",
    "load_run": "coopt.artifacts",
    "push_run": "coopt.artifacts",
    "sample_few_shot": "coopt.data",
    "save_run": "coopt.artifacts",
    "split_classes": "coopt.data",
}

__all__ = [
    "VLM",
    "ImageDataset",
    "PromptClassifier",
    "PromptRegressor",
    "Recipe",
    "__version__",
    "import_checkpoint",
    "learn",
    "list_models",
    "load_dataset",
    "load_model",
    "load_run",
    "push_run",
    "sample_few_shot",
    "save_run",
    "split_classes",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'coopt' has no attribute {name!r}")
