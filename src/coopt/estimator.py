"""`PromptClassifier`: the main job as a scikit-learn estimator."""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags

from coopt.artifacts import load_run, save_run
from coopt.data import ImageDataset, load_dataset
from coopt.data.unicode import one_form
from coopt.errors import ConfigError
from coopt.evaluate import dataset_logits
from coopt.fit import Learned, Recipe, Reporter, learn, recipe_for
from coopt.methods import Method, Predictor, find_method, method_name
from coopt.models import VLM, load_model
from coopt.tasks import Decisions, Task, check_logits


class _Unset(Enum):
    UNSET = "unset"


UNSET = _Unset.UNSET
"""The value of a parameter that nobody gave; None is a value."""
PROMPT_SETTINGS = ("n_ctx", "position", "class_specific", "ctx_init")
"""Method settings that are parameters of `PromptClassifier`; `UNSET` leaves them to the method."""


class PromptClassifier(ClassifierMixin, BaseEstimator):
    """Learns the prompt of a frozen CLIP-like model for your own classes.

    `X` is any source that `coopt.data.load_dataset` reads: a list of paths, PIL images, arrays or tensors, an array
    (N, H, W[, C]), a folder, a table file, an `ImageDataset`. `y` holds the labels (words or numbers) where X does not.

    Example:
        >>> classifier = PromptClassifier(model="builtin", method="coop", n_ctx=4, shots=16)
        >>> classifier.fit(paths, labels).predict(new_paths)  # doctest: +SKIP

    Args:
        model: name, path or loaded `VLM`.
        method: a name in `coopt.methods.METHODS`, `module:Class`, or a class that inherits from `coopt.methods.Method`.
        n_ctx, position, class_specific, ctx_init: settings of the prompt methods (see `coopt.methods.CoOp`); where they
            are not given the method or its preset decides, and a method that does not have one refuses a value.
            ``ctx_init=None`` asks for a random start.
        settings: further settings of the method, by name.
        preset: the method's settings and recipe for a protocol, by name; see `coopt methods`.
        shots: images per class to learn from; None uses all.
        seed: of shots, initial context, order and augmentation.
        epochs, lr, batch_size, views, precision: the most used parts of the recipe; None keeps the paper's.
        recipe: further parts of the recipe, by name (see `coopt.fit.Recipe`).
        task: what labels mean: a name in `coopt.tasks.TASKS`, `module:Class`, or a class that inherits from `Task`.
        task_settings: settings of the task, by name.
        class_names: map or file from label to the words of the prompt; the labels themselves when None.
        device, dtype: of the model.
        n_workers: decoding processes.
        strict: make an unreadable image an error in `fit`; `predict` always does.

    Attributes:
        classes_: the labels, in the order of `predict_proba`'s columns.
        class_names_: the words that the prompt uses for them.
        method_: the trained method.
        predictor_: what predicts with it: a module from inputs to logits.
        vlm_: the loaded model.
        learned_: what was learned from what (`coopt.fit.Learned`); None after `load`.
    """

    def __init__(
        self,
        model: str | VLM = "builtin",
        method: str | type[Method] = "coop",
        *,
        n_ctx: Any = UNSET,
        position: Any = UNSET,
        class_specific: Any = UNSET,
        ctx_init: Any = UNSET,
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
        task: str | type[Task] = "classification",
        task_settings: Mapping[str, Any] | None = None,
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
        self.task = task
        self.task_settings = task_settings
        self.class_names = class_names
        self.device = device
        self.dtype = dtype
        self.n_workers = n_workers
        self.strict = strict

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        *,
        unlabelled: Any = None,
        reporter: Reporter | None = None,
    ) -> "PromptClassifier":
        """Learn from images X with labels y.

        Args:
            X: images, as the class says.
            y: their labels, where X does not hold them.
            unlabelled: images for methods that learn from unlabelled ones too.
            reporter: told about progress.

        Raises:
            CooptError: a setting or the data cannot be used; the message says how to mend it.
        """
        settings, recipe = self._method_settings(), self._recipe()
        vlm = self.model if isinstance(self.model, VLM) else load_model(self.model, self.device, self.dtype)
        train, val = self._training_data(X, y)
        learned = learn(
            vlm,
            train,
            val=val,
            unlabelled=None if unlabelled is None else _images(unlabelled),
            method=method_name(self.method),
            settings=settings,
            preset=self.preset,
            task=self.task,
            task_settings=self.task_settings,
            shots=self.shots,
            seed=self.seed,
            recipe=recipe,
            n_workers=self.n_workers,
            strict=self.strict,
            reporter=reporter,
        )
        self.learned_: Learned | None = learned
        self._image_bits = train.image_bits
        self._take(learned.method, y)
        return self

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Logits (N, C).

        Raises:
            NotFittedError: `fit` or `load` comes first.
            DataError: an image cannot be read (a prediction for each image is promised).
        """
        self._check_fitted()
        dataset = _images(X, self._image_bits)
        found = dataset_logits(
            self.vlm_, self.predictor_, dataset, seed=self.seed, n_workers=self.n_workers, strict=True
        )
        check_logits(found.logits)
        return found.logits.cpu().numpy()

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Probabilities (N, C), columns in the order of `classes_`.

        Raises:
            ConfigError: the task's decisions have none.
        """
        probabilities = getattr(self._decide(X), "probabilities", None)
        if probabilities is None:
            raise ConfigError(f"The task {self.task!r} has no class probabilities; use predict or decision_function.")
        return probabilities.numpy()

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likeliest label of each image; for other tasks than classification the task's answer."""
        answers = self._decide(X).answers
        if answers.dtype.kind != "U":
            return answers
        return self.classes_[[self._places[answer] for answer in answers.tolist()]]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy; for other tasks the headline figure of `task.metrics`, negative where lower is better."""
        task = self.predictor_.task if hasattr(self, "predictor_") else None
        if task is None or hasattr(task.decide(torch.zeros(1, len(task.class_names))), "probabilities"):
            return float(super().score(X, y, sample_weight))
        dataset = load_dataset(X, labels=y, make_split=False).whole()
        metrics = task.metrics(torch.from_numpy(self.decision_function(X)), task.targets(dataset))
        value = metrics.figures()[metrics.shown[0].name]
        return value if metrics.shown[0].higher_is_better else -value

    def _decide(self, X: Any) -> Decisions:  # noqa: N803
        logits = torch.from_numpy(self.decision_function(X))
        return self.predictor_.task.decide(logits)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a run folder (see `coopt.artifacts`)."""
        self._check_fitted("there is nothing to save")
        if self.learned_ is None:
            raise ConfigError("This PromptClassifier was loaded from a run folder; copy that folder instead.")
        details = {**self.learned_.details(), "numeric_labels": self.classes_.dtype.kind in "iu"}
        records = [record.as_dict() for record in self.learned_.records]
        return save_run(folder, self.method_, records=records, details=details, overwrite=overwrite)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        model: str | VLM | None = None,
        device: str | None = None,
        trust_code: bool = False,
    ) -> "PromptClassifier":
        """A fitted classifier from a run folder.

        Args:
            folder: what `save` or `coopt fit` wrote.
            model: the base model, where it lies elsewhere than the run says; checked to be the same weights.
            device: where to put it.
            trust_code: leave to import a method or task from outside the package that the run names.
        """
        run = load_run(folder, trust_code=trust_code)
        vlm = model if isinstance(model, VLM) else run.load_vlm(device, model=model)
        settings = dict(run.config["settings"])
        prompt = {name: settings.pop(name) for name in PROMPT_SETTINGS if name in settings}
        pairs = list(zip(run.task.class_labels, run.class_names, strict=True))
        classifier = cls(
            model=vlm.name,
            method=run.config["method"],
            **prompt,
            settings=settings or None,
            task=run.config["task"]["name"],
            task_settings=run.config["task"]["settings"] or None,
            shots=run.config.get("shots"),
            seed=run.config.get("seed", 1),
            recipe=run.config.get("recipe"),
            class_names=dict(pairs) if any(label != name for label, name in pairs) else None,
        )
        classifier.learned_ = None
        classifier._image_bits = run.image_bits
        numeric = [int(label) for label in run.task.class_labels] if run.config.get("numeric_labels") else None
        classifier._take(run.build(vlm), numeric)
        return classifier

    def _check_fitted(self, what: str = "call fit(X, y) or PromptClassifier.load") -> None:
        if not hasattr(self, "method_"):
            raise NotFittedError(f"This PromptClassifier is not fitted yet; {what}.")

    def _take(self, method: Method, y: Any) -> None:
        """Be what a trained method makes of it; labels come back as they are in `y`."""
        self.vlm_, self.method_ = method.vlm, method
        self.predictor_: Predictor = method.predictor()
        self.class_names_ = list(method.task.class_names)
        self._set_classes(method.task.class_labels, y)
        self._places = {label: place for place, label in enumerate(method.task.class_labels)}

    def _method_settings(self) -> dict[str, Any]:
        settings = dict(self.settings or {})
        for name in PROMPT_SETTINGS:
            if getattr(self, name) is not UNSET:
                settings.setdefault(name, getattr(self, name))
        return settings

    def _recipe(self) -> Recipe:
        values = dict(self.recipe or {})
        for name in ("epochs", "lr", "batch_size", "views", "precision"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        return recipe_for(method_name(self.method), values, self.preset)

    def _training_data(self, X: Any, y: Any) -> tuple[ImageDataset, ImageDataset | None]:  # noqa: N803
        if isinstance(X, ImageDataset) and y is None:
            return X, None
        splits = load_dataset(
            X,
            labels=y,
            class_names=self.class_names,
            seed=self.seed,
            make_split=False,
            require_labels=find_method(method_name(self.method)).uses_shots,
        )
        # A source without parts of its own comes as one part, and all of it is to learn from.
        return (splits.any, None) if splits.train is None else (splits.train, splits.val)

    def _set_classes(self, labels: list[str], y: Any) -> None:
        # Labels that were numbers stay numbers, so that predictions compare equal to y.
        self.classes_ = np.asarray(labels)
        if y is not None:
            given = np.unique(np.asarray(y))
            if sorted(one_form(str(label)) for label in given) == sorted(labels):
                by_text = {one_form(str(label)): label for label in given}
                self.classes_ = np.asarray([by_text[label] for label in labels])

    def __sklearn_tags__(self) -> Tags:
        """Images, not a numeric table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags


def _images(X: Any, image_bits: int | None = None) -> ImageDataset:  # noqa: N803
    if isinstance(X, ImageDataset):
        return X if X.image_bits or image_bits is None else replace(X, image_bits=image_bits)
    return load_dataset(X, require_labels=False, make_split=False, image_bits=image_bits).whole()
