"""`PromptClassifier`: the main job as a scikit-learn estimator."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags

from coopt.artifacts import Run, load_run, save_run
from coopt.data import ImageDataset, image_digest, load_dataset
from coopt.errors import ConfigError
from coopt.evaluate import check_logits, dataset_logits
from coopt.fit import Learned, Recipe, Reporter, learn, recipe_for
from coopt.methods import Method
from coopt.models import VLM, load_model

PROMPT_SETTINGS = ("n_ctx", "position", "class_specific", "ctx_init")
"""Method settings that are parameters of `PromptClassifier`; None leaves them to the method."""


class PromptClassifier(ClassifierMixin, BaseEstimator):
    """Learns the prompt of a frozen CLIP-like model for your own classes.

    `X` is any source that `coopt.data.load_dataset` reads: a list of paths, PIL images, arrays or tensors, an array
    (N, H, W[, C]), a folder, a table file, an `ImageDataset`. `y` holds the labels (words or numbers) where X does not.

    Example:
        >>> classifier = PromptClassifier(model="builtin", method="coop", n_ctx=4, shots=16)
        >>> classifier.fit(paths, labels).predict(new_paths)  # doctest: +SKIP

    Args:
        model: name, path or loaded `VLM`.
        method: a name in `coopt.methods.METHODS`.
        n_ctx, position, class_specific, ctx_init: settings of the prompt methods (see `coopt.methods.CoOp`); None
            leaves them to the method or its preset, and a method that does not have one refuses a value.
        settings: further settings of the method, by name.
        preset: the method's settings and recipe for a protocol, by name; see `coopt methods`.
        shots: images per class to learn from; None uses all.
        seed: of shots, initial context, order and augmentation.
        epochs, lr, batch_size, views, precision: the most used parts of the recipe; None keeps the paper's.
        recipe: further parts of the recipe, by name (see `coopt.fit.Recipe`).
        class_names: map or file from label to the words of the prompt; the labels themselves when None.
        device, dtype: of the model.
        n_workers: decoding processes.
        strict: make an unreadable image an error in `fit`; `predict` always does.

    Attributes:
        classes_: the labels, in the order of `predict_proba`'s columns.
        class_names_: the words that the prompt uses for them.
        method_: the trained method.
        vlm_: the loaded model.
        learned_: what was learned from what (`coopt.fit.Learned`); None after `load`.
    """

    def __init__(
        self,
        model: str | VLM = "builtin",
        method: str = "coop",
        *,
        n_ctx: int | None = None,
        position: str | None = None,
        class_specific: bool | None = None,
        ctx_init: str | None = None,
        settings: Mapping[str, Any] | None = None,
        preset: str | None = None,
        shots: int | None = 16,
        seed: int = 1,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        views: int | str | None = None,
        precision: str | None = None,
        recipe: Mapping[str, Any] | None = None,
        class_names: Any = None,
        device: str | None = None,
        dtype: str | None = None,
        n_workers: int = 0,
        strict: bool = False,
    ) -> None:
        self.model = model
        self.method = method
        self.n_ctx = n_ctx
        self.position = position
        self.class_specific = class_specific
        self.ctx_init = ctx_init
        self.settings = settings
        self.preset = preset
        self.shots = shots
        self.seed = seed
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.views = views
        self.precision = precision
        self.recipe = recipe
        self.class_names = class_names
        self.device = device
        self.dtype = dtype
        self.n_workers = n_workers
        self.strict = strict

    def fit(self, X: Any, y: Any = None, *, reporter: Reporter | None = None) -> "PromptClassifier":  # noqa: N803
        """Learn from images X with labels y.

        Raises:
            CooptError: a setting or the data cannot be used; the message says how to mend it.
        """
        settings, recipe = self._method_settings(), self._recipe()
        vlm = self.model if isinstance(self.model, VLM) else load_model(self.model, self.device, self.dtype)
        train, val = self._training_data(X, y)
        self.learned_: Learned | None = learn(
            vlm,
            train,
            val=val,
            method=self.method,
            settings=settings,
            preset=self.preset,
            shots=self.shots,
            seed=self.seed,
            recipe=recipe,
            n_workers=self.n_workers,
            strict=self.strict,
            reporter=reporter,
        )
        self.vlm_ = vlm
        self.method_: Method = self.learned_.method
        self.class_names_ = list(train.class_names)
        self._set_classes(list(train.class_labels or train.class_names), y)
        return self

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Logits (N, C).

        Raises:
            NotFittedError: `fit` or `load` comes first.
            DataError: an image cannot be read (a prediction for each image is promised).
        """
        if not hasattr(self, "method_"):
            raise NotFittedError("This PromptClassifier is not fitted yet; call fit(X, y) or PromptClassifier.load.")
        dataset = _images(X)
        found = dataset_logits(self.vlm_, self.method_, dataset, seed=self.seed, n_workers=self.n_workers, strict=True)
        check_logits(found.logits)
        return found.logits.cpu().numpy()

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Probabilities (N, C), columns in the order of `classes_`."""
        return torch.from_numpy(self.decision_function(X)).softmax(-1).numpy()

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likeliest label of each image."""
        best = self.decision_function(X).argmax(-1)  # (N,)
        return self.classes_[best]

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a run folder (see `coopt.artifacts`)."""
        if not hasattr(self, "method_"):
            raise NotFittedError("This PromptClassifier is not fitted yet; there is nothing to save.")
        if self.learned_ is None:
            raise ConfigError("This PromptClassifier was loaded from a run folder; copy that folder instead.")
        details = run_details(self.learned_, self.shots, self.seed, [str(c) for c in self.classes_])
        details["numeric_labels"] = self.classes_.dtype.kind in "iu"
        records = [record.as_dict() for record in self.learned_.records]
        return save_run(folder, self.method_, records=records, details=details, overwrite=overwrite)

    @classmethod
    def load(
        cls, folder: Path | str, *, model: str | VLM | None = None, device: str | None = None
    ) -> "PromptClassifier":
        """A fitted classifier from a run folder.

        Args:
            folder: what `save` or `coopt fit` wrote.
            model: the base model, where it lies elsewhere than the run says; checked to be the same weights.
            device: where to put it.
        """
        run: Run = load_run(folder)
        vlm = model if isinstance(model, VLM) else run.load_vlm(device, model=model)
        settings = dict(run.config["settings"])
        prompt = {name: settings.pop(name) for name in PROMPT_SETTINGS if name in settings}
        classifier = cls(
            model=vlm.name,
            method=run.config["method"],
            **prompt,
            settings=settings or None,
            shots=run.config.get("shots"),
            seed=run.config.get("seed", 1),
            recipe=run.config.get("recipe"),
        )
        classifier.vlm_ = vlm
        classifier.method_ = run.build(vlm)
        classifier.learned_ = None
        classifier.class_names_ = run.class_names
        labels = run.config.get("class_labels") or run.class_names
        classifier._set_classes(labels, [int(x) for x in labels] if run.config.get("numeric_labels") else None)
        return classifier

    def _method_settings(self) -> dict[str, Any]:
        settings = dict(self.settings or {})
        for name in PROMPT_SETTINGS:
            if getattr(self, name) is not None:
                settings.setdefault(name, getattr(self, name))
        return settings

    def _recipe(self) -> Recipe:
        values = dict(self.recipe or {})
        for name in ("epochs", "lr", "batch_size", "views", "precision"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        return recipe_for(self.method, values, self.preset)

    def _training_data(self, X: Any, y: Any) -> tuple[ImageDataset, ImageDataset | None]:  # noqa: N803
        if isinstance(X, ImageDataset) and y is None:
            return X, None
        splits = load_dataset(X, labels=y, class_names=self.class_names, seed=self.seed, make_split=False)
        # A source without parts of its own comes as one part, and all of it is to learn from.
        return (splits.any, None) if splits.train is None else (splits.train, splits.val)

    def _set_classes(self, labels: list[str], y: Any) -> None:
        # Labels that were numbers stay numbers, so that predictions compare equal to y.
        self.classes_ = np.asarray(labels)
        if y is not None:
            given = np.unique(np.asarray(y))
            if sorted(str(label) for label in given) == sorted(labels):
                by_text = {str(label): label for label in given}
                self.classes_ = np.asarray([by_text[label] for label in labels])

    def __sklearn_tags__(self) -> Tags:
        """Images, not a numeric table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags


N_DIGESTS = 5


def run_details(learned: Learned, shots: int | None, seed: int, class_labels: list[str]) -> dict[str, Any]:
    """What a run folder keeps beyond the method itself."""
    return {
        "class_labels": class_labels,
        "shots": shots,
        "seed": seed,
        "recipe": learned.recipe.as_dict(),
        "data": {
            "source": learned.train.source,
            "n_train": len(learned.train),
            "n_val": 0 if learned.val is None else len(learned.val),
            "skipped": [list(item) for item in learned.skipped],
            "trained_on": learned.train.names,
            # Enough to recognise the same images in another place, where names alone may agree by chance.
            "digests": [image_digest(learned.train.load(i)) for i in range(min(N_DIGESTS, len(learned.train)))],
        },
    }


def _images(X: Any) -> ImageDataset:  # noqa: N803
    if isinstance(X, ImageDataset):
        return X
    return load_dataset(X, require_labels=False, make_split=False).whole()
