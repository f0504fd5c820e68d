"""`PromptRegressor`: learning a quantity as a scikit-learn regressor."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils import Tags

from coopt.artifacts import Pretrained
from coopt.data import load_dataset
from coopt.errors import ConfigError, DataError
from coopt.estimator import UNSET, PromptClassifier
from coopt.fit import Reporter
from coopt.methods import Method
from coopt.models import VLM
from coopt.tasks import Ordinal
from coopt.tasks.ordinal_decisions import RankDecisions

OF_TASK = ("ranks", "interval")
"""Parameters that are settings of the task."""


class PromptRegressor(Pretrained, RegressorMixin, BaseEstimator):
    """Learns a quantity (an age, a count, a grade) from few images with a frozen CLIP-like model.

    It is `PromptClassifier` with the task `ordinal` (`coopt.tasks.Ordinal`): `X` and all parameters that both have mean
    the same. `y` holds numbers, or categories that `ranks` lists in their order and that count as 0, 1, 2, ...

    Example:
        >>> regressor = PromptRegressor(method="ordinalclip", preset="frozen-tower", ranks="0:100", shots=8)
        >>> regressor.fit(paths, ages).predict(new_paths)  # doctest: +SKIP

    Args:
        model: name, path or loaded `VLM`.
        method: a name in `coopt.methods.METHODS`, `module:Class`, or a class that inherits from `coopt.methods.Method`.
        ranks: the numbers that can be answered: "0:100", "0:100:5", "low,medium,high", or a list; None takes the
            numbers of `y`.
        interval: share of the distribution between the two numbers of `predict_interval`.
        n_ctx, position, class_specific, ctx_init: settings of the prompt methods, as for `PromptClassifier`.
        settings: further settings of the method, by name.
        preset: the method's settings and recipe for a protocol, by name; see `coopt methods`.
        shots: images per rank to learn from; None uses all.
        seed: of shots, initial context, order and augmentation.
        epochs, lr, batch_size, views, precision: the most used parts of the recipe; None keeps the paper's.
        recipe: further parts of the recipe, by name (see `coopt.fit.Recipe`).
        task_settings: further settings of the task, by name (`loss`).
        class_names: map or file from label to the words of the prompt; the labels themselves when None.
        device, dtype: of the model.
        n_workers: decoding processes.
        strict: make an unreadable image an error in `fit`; `predict` always does.

    Attributes:
        ranks_: the numbers of the ranks.
        classifier_: the fitted `PromptClassifier` that does the work: its method, predictor and model.
    """

    def __init__(
        self,
        model: str | VLM = "builtin",
        method: str | type[Method] = "coop",
        *,
        ranks: Any = None,
        interval: float = 0.9,
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
        task_settings: Mapping[str, Any] | None = None,
        class_names: Any = None,
        device: str | None = None,
        dtype: str | None = None,
        n_workers: int = 0,
        strict: bool = False,
    ) -> None:
        self.model = model
        self.method = method
        self.ranks = ranks
        self.interval = interval
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
    ) -> "PromptRegressor":
        """Learn from images X with numbers y.

        Args:
            X: images, as for `PromptClassifier`.
            y: their numbers, where X does not hold them.
            unlabelled: images for methods that learn from unlabelled ones too.
            reporter: told about progress.

        Raises:
            CooptError: a setting or the data cannot be used; the message says how to mend it.
        """
        own = {name: value for name, value in self.get_params(deep=False).items() if name != "task_settings"}
        of_task = {name: own.pop(name) for name in OF_TASK}
        if of_task["ranks"] is None:
            del of_task["ranks"]  # a preset may say them
        classifier = PromptClassifier(task="ordinal", task_settings={**of_task, **(self.task_settings or {})}, **own)
        classifier.fit(X, None if y is None else label_texts(y), unlabelled=unlabelled, reporter=reporter)
        return self._take(classifier)

    def predict(self, X: Any) -> Float64[np.ndarray, " N"]:  # noqa: N803
        """The number of each image: the expectation of its distribution over the ranks.

        Raises:
            NotFittedError: `fit` or `load` comes first.
            DataError: an image cannot be read (a prediction for each image is promised).
        """
        return self._decide(X).values.double().numpy()

    def predict_interval(self, X: Any) -> Float64[np.ndarray, "N 2"]:  # noqa: N803
        """The ends of each image's interval: quantiles of its distribution, which are ranks."""
        decided = self._decide(X)
        ends = [decided.ends(row) for row in range(len(decided.distribution))]
        return self.ranks_[np.array(ends, dtype=np.int64).reshape(-1, 2)]

    def predict_distribution(self, X: Any) -> Float64[np.ndarray, "N C"]:  # noqa: N803
        """The probability of each rank, columns in the order of `ranks_`."""
        return self._decide(X).distribution.double().numpy()

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """R², the share of the variance of `y` that the predictions explain."""
        task = self._task()
        if y is None:
            data = load_dataset(X, make_split=False).whole()
            true = task.targets(data).double().numpy()
        else:
            true = np.array(
                [task.ranks.value(text) if not task.ranks.numeric else float(text) for text in label_texts(y)]
            )
        return float(r2_score(true, self.predict(X), sample_weight=sample_weight))

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a run folder, which every command takes (see `coopt.artifacts`)."""
        self._task()
        return self.classifier_.save(folder, overwrite=overwrite)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        model: str | VLM | None = None,
        device: str | None = None,
        revision: str | None = None,
        trust_code: bool = False,
    ) -> "PromptRegressor":
        """A fitted regressor from a run folder of the task `ordinal`.

        Args:
            folder: what `save` or `coopt fit --task ordinal` wrote, or OWNER/NAME of a run on the Hugging Face hub.
            model: the base model, where it lies elsewhere than the run says; checked to be the same weights.
            device: where to put it.
            revision: branch, tag or commit of a run on the hub.
            trust_code: leave to import a method from outside the package that the run names.

        Raises:
            ConfigError: the run is of another task.
        """
        classifier = PromptClassifier.load(folder, model=model, device=device, revision=revision, trust_code=trust_code)
        task = classifier.predictor_.task
        if not isinstance(task, Ordinal):
            raise ConfigError(
                f"The run {folder} is of the task {task.key!r}; PromptRegressor takes runs of 'ordinal', others are "
                "for PromptClassifier."
            )
        given = classifier.get_params(deep=False)
        of_task = dict(given["task_settings"] or {})
        shared = {name: given[name] for name in cls._get_param_names() if name in given and name != "task_settings"}
        own = {name: of_task.pop(name) for name in OF_TASK if name in of_task}
        return cls(**shared, **own, task_settings=of_task or None)._take(classifier)

    def _take(self, classifier: PromptClassifier) -> "PromptRegressor":
        self.classifier_ = classifier
        self.ranks_ = np.array(self._task().ranks.values)
        return self

    def _task(self) -> Ordinal:
        if not hasattr(self, "classifier_"):
            raise NotFittedError("This PromptRegressor is not fitted yet; call fit(X, y) or PromptRegressor.load.")
        task = self.classifier_.predictor_.task
        assert isinstance(task, Ordinal)  # fit and load see to it
        return task

    def _decide(self, X: Any) -> RankDecisions:  # noqa: N803
        task = self._task()
        return task.decide(torch.from_numpy(self.classifier_.decision_function(X)))

    def __sklearn_tags__(self) -> Tags:
        """Images, not a numeric table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags


def label_texts(y: Any) -> list[str]:
    """Numbers as texts, whole ones without a point, and texts as they are.

    Raises:
        DataError: a value is missing, or is neither a number nor a text.
    """
    values = y.tolist() if hasattr(y, "tolist") else list(y)
    texts = []
    for place, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
            raise DataError(f"y[{place}] is {value!r}; a number, or a text that is a rank, is needed for each image.")
        if isinstance(value, str):
            texts.append(value)
        elif not math.isfinite(value):
            raise DataError(f"y[{place}] is {value!r}; give a finite number for each image, or leave the image out.")
        else:
            texts.append(str(int(value)) if float(value).is_integer() else repr(float(value)))
    return texts
