"""What a fitted classifier does with images: logits, probabilities, labels, a score."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from torch import Tensor

from coopt.data import DataWarning, Skipped
from coopt.data.label_values import LabelValues, label_values
from coopt.data.labels import label_text
from coopt.data.wording import count
from coopt.errors import ConfigError
from coopt.estimator.inputs import images_of, labelled
from coopt.estimator.progress import progress_of
from coopt.evaluate import dataset_logits
from coopt.fit.weights import read_weight
from coopt.messages import tell
from coopt.methods import Method, Predictor
from coopt.models import VLM
from coopt.tasks import Decisions, Task, check_logits

ON_ERROR = ("raise", "skip")


class FittedClassifier(ClassifierMixin, BaseEstimator):
    """The base of `PromptClassifier`: what follows from a trained method. It has no `fit` of its own."""

    seed: Any
    n_workers: Any
    verbose: bool | int
    vlm_: VLM
    method_: Method
    predictor_: Predictor
    classes_: np.ndarray
    class_names_: list[str]
    _stacked: bool

    def decision_function(self, X: Any, *, on_error: str = "raise") -> np.ndarray:  # noqa: N803
        """Logits (N, C); with two classes (N,), the second class's minus the first's, as scikit-learn has it.

        Args:
            X: images, as the class says.
            on_error: "raise", or "skip" to warn of images that cannot be read and give them rows of NaN.

        Raises:
            NotFittedError: `fit` or `load` comes first.
            DataError: an image cannot be read and `on_error` is "raise".
        """
        logits, rows, n_images = self._logits(X, on_error)
        values = logits.numpy()
        if self._has_probabilities() and values.shape[1] == 2:
            values = values[:, 1] - values[:, 0]
        return _with_gaps(values, rows, n_images)

    def predict_proba(self, X: Any, *, on_error: str = "raise") -> np.ndarray:  # noqa: N803
        """Probabilities (N, C), columns in the order of `classes_`; rows of NaN for skipped images.

        Raises:
            ConfigError: the task's decisions have none.
        """
        decisions, rows, n_images = self._decide(X, on_error)
        probabilities = getattr(decisions, "probabilities", None)
        if probabilities is None:
            name = self.predictor_.task.key
            raise ConfigError(f"The task {name!r} has no class probabilities; use predict or decision_function.")
        return _with_gaps(probabilities.numpy(), rows, n_images)

    def predict(self, X: Any, *, on_error: str = "raise") -> np.ndarray:  # noqa: N803
        """The likeliest label of each image; for other tasks than classification the task's answer.

        Labels are those of `y` (or of the data), in their type; never the words of the prompt. With
        ``on_error="skip"`` the result for a skipped image is None, in an array of objects.
        """
        decisions, rows, n_images = self._decide(X, on_error)
        answers = decisions.answers
        if answers.dtype.kind == "U":
            answers = self.classes_[[self._place(answer) for answer in answers.tolist()]]
        if len(rows) == n_images:
            return answers
        found = np.full(n_images, None, dtype=object)
        found[rows] = answers
        return found

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy; for other tasks the headline figure of `task.metrics`, negative where lower is better.

        Args:
            X: images.
            y: their labels, where X does not hold them.
            sample_weight: what each image counts in the accuracy.

        Raises:
            ConfigError: `sample_weight` is given and the task's figure has no weights.
        """
        self._check_fitted()
        task: Task = self.predictor_.task
        data = images_of(X) if y is None else labelled(X, label_values(y, "y"))
        if self._has_probabilities():
            # By text: 0, 0.0 and "0" are one label; scikit-learn's own accuracy refuses labels such as 0.5.
            found = [label_text(label) for label in self.predict(X)]
            true = (
                [label_text(self.classes_[c]) for c in task.targets(data)] if y is None else label_values(y, "y").names
            )
            weight = None if sample_weight is None else read_weight(sample_weight, len(data), "sample_weight")
            return float(np.average([t == f for t, f in zip(true, found, strict=True)], weights=weight))
        if sample_weight is not None:
            raise ConfigError(f"sample_weight cannot be used: the figure of the task {task.key!r} has no weights.")
        logits, _, _ = self._logits(data, "raise")
        metrics = task.metrics(logits, task.targets(data))
        value = metrics.figures()[metrics.shown[0].name]
        return value if metrics.shown[0].higher_is_better else -value

    def _logits(self, X: Any, on_error: str) -> tuple[Float[Tensor, "M C"], Int64[np.ndarray, " M"], int]:  # noqa: N803
        """Logits of the images that can be read, their rows, and how many images there are."""
        self._check_fitted()
        if on_error not in ON_ERROR:
            raise ConfigError(f"on_error is {on_error!r}; allowed is 'raise' or 'skip'.")
        strict = on_error == "raise"
        dataset = images_of(X, stacked=self._stacked, check_files=strict)
        with progress_of(self.verbose) as reporter:
            found = dataset_logits(
                self.vlm_,
                self.predictor_,
                dataset,
                seed=int(self.seed),
                n_workers=int(self.n_workers),
                strict=strict,
                progress=reporter.encoding(f"{len(dataset)} images"),
            )
        _tell_skipped(found.skipped, len(dataset))
        check_logits(found.logits)
        return found.logits.cpu(), found.indices.cpu().numpy(), len(dataset)

    def _decide(self, X: Any, on_error: str) -> tuple[Decisions, Int64[np.ndarray, " M"], int]:  # noqa: N803
        logits, rows, n_images = self._logits(X, on_error)
        return self.predictor_.task.decide(logits), rows, n_images

    def _has_probabilities(self) -> bool:
        task = self.predictor_.task
        return hasattr(task.decide(torch.zeros(1, len(task.class_names))), "probabilities")

    def _place(self, label: str) -> int:
        return self.predictor_.task.class_labels.index(label)

    def _check_fitted(self, what: str = "call fit(X, y) or PromptClassifier.load") -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"This PromptClassifier is not fitted yet; {what}.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "method_")

    def _take(self, method: Method, values: LabelValues | None, *, stacked: bool = False) -> None:
        """Be what a trained method makes of it; labels come back as they are in `values`."""
        self.vlm_, self.method_ = method.vlm, method
        self.predictor_ = method.predictor()
        self.class_names_ = list(method.task.class_names)
        labels = method.task.class_labels
        self.classes_ = np.asarray(labels) if values is None else values.for_classes(labels)
        self._stacked = stacked

    def __sklearn_tags__(self) -> Tags:
        """Images, not a numeric table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags


def _with_gaps(values: np.ndarray, rows: np.ndarray, n_images: int) -> np.ndarray:
    """The rows of images that could be read among rows of NaN."""
    if len(rows) == n_images:
        return values
    found = np.full((n_images, *values.shape[1:]), np.nan, dtype=values.dtype)
    found[rows] = values
    return found


def _tell_skipped(skipped: list[Skipped], n_images: int) -> None:
    if skipped:
        listed = ", ".join(f"'{name}' ({reason})" for name, reason in skipped[:3])
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        tell(f"{count(len(skipped), 'image', 'images')} of {n_images} skipped: {listed}{more}.", DataWarning)
