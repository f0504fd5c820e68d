"""LinearProbe: logistic regression on frozen image features, the baseline that needs no words."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor, nn

from coopt.errors import ConfigError, DataError
from coopt.methods.batch import Examples, Shots
from coopt.methods.method import Method
from coopt.methods.predictor import Classifier, Predictor
from coopt.models import VLM

GRID = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)
"""Inverse regularisation strengths tried first; the best is refined by `STEPS` halvings of a decade each side."""
STEPS = 8


class LinearProbe(Method):
    r"""Multinomial logistic regression with the paper's search for the regularisation strength.

    .. math::
        \min_{W, b} \; \frac{1}{2} \lVert W \rVert^2 + C \sum_i \ell(W f(x_i) + b, y_i)

    by L-BFGS on image features that are not normalised. C is the best of 1e6, 1e4, ..., 1e-6 and then of 8 steps of
    binary search on a logarithmic scale around it, by accuracy on validation images: the few-shot validation set where
    there is one (min(shots, 4) per class in the paper), else by cross-validation on the shots themselves. With one
    shot and no validation set nothing can be compared, and C is 1.

    Reference:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, appendix
        A.3; the linear probe baseline of CoOp (figure 3 and appendix).

    Differences from the official code:
        - It learns from the same shots as all other methods, so that the methods are compared on the same images; the
          code of this baseline (lpclip/linear_probe.py) draws its own with numpy, class by class.
        - Cross-validation where no validation set is given; the test set is never looked at.
        - The search's last step decides, as there; the code reports the test accuracy of each step, we do not.
        - In half precision there: the frozen model and its features. Here they are in float32; the fit is in double
          precision, as there.

    Args:
        C: fixes the strength and skips the search; None searches.

    Shape:
        - weight: (C, E), bias: (C,)
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: `C` is not above 0.
        DataError: a class has no training image.
    """

    paper = "https://arxiv.org/abs/2103.00020"
    kind = "classifier on features"
    summary = "a linear classifier on image features; no words"
    steps = False
    uses_validation = True
    uses_words = False
    new_classes = False

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, C: float | None = None) -> None:  # noqa: N803
        super().__init__(vlm, class_names)
        if C is not None and not C > 0:
            raise ConfigError(f"C is {C}; the inverse regularisation strength must be above 0, or None to search.")
        self.C = C
        # Fitted by prepare, not by gradient steps.
        self.weight = nn.Parameter(torch.zeros(len(class_names), vlm.embed_dim, device=vlm.device), False)
        self.bias = nn.Parameter(torch.zeros(len(class_names), device=vlm.device), False)

    def prepare(self, shots: Shots) -> None:
        """Search C and fit on the training features."""
        shots = shots.as_classes(self.task)
        x, y = as_arrays(shots.train)
        groups = None if shots.train.groups is None else shots.train.groups.numpy()
        missing = sorted(set(range(len(self.class_names))) - set(y.tolist()))
        if missing:
            raise DataError(
                f"The linear probe needs an image of every class; none of: "
                f"{', '.join(repr(self.class_names[c]) for c in missing)}."
            )
        weight = None if shots.train.weight is None else shots.train.weight.double().numpy()
        score = validation_score(x, y, shots.val, groups, weight)
        self.C = self.C if self.C is not None else search_strength(score)
        self.found = {"C": self.C}  # the run folder says what was found
        model = fit_logistic(x, y, self.C, weight)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(self.class_names) == 2:
            # scikit-learn keeps one row for two classes; as two rows its logits differ by the same amount.
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercepts = np.concatenate([-intercepts, intercepts]) / 2
        self.weight.data.copy_(torch.from_numpy(coefficients))
        self.bias.data.copy_(torch.from_numpy(intercepts))

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        return images.to(self.weight.device).float() @ self.weight.T + self.bias

    def predictor(self) -> Predictor:
        """The fitted matrix."""
        matrix = Classifier(self.weight.detach(), self.bias.detach(), normalize=False)
        return Predictor(self.inputs, self.task, matrix)


def as_arrays(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, E) in double precision and labels (N,), for scikit-learn."""
    assert examples.targets is not None  # shots are labelled
    return examples.images.cpu().double().numpy(), examples.targets.cpu().numpy()


def search_strength(score: Callable[[float], float]) -> float:
    """The C that the paper's search ends at: the best of `GRID`, then `STEPS` steps of binary search around it."""
    scores = [score(strength) for strength in GRID]
    peak = GRID[int(np.argmax(scores))]
    left, right = 0.1 * peak, 10.0 * peak
    best = peak
    for _ in range(STEPS):
        middle = float(np.sqrt(left * right))  # halfway on a logarithmic scale
        if score(left) < score(right):
            best, left = right, middle
        else:
            best, right = left, middle
    return best


def validation_score(
    x: np.ndarray,
    y: np.ndarray,
    val: Examples | None,
    groups: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Callable[[float], float]:
    """Accuracy as a function of C: on `val`, or cross-validated on (`x`, `y`) where there is none."""
    if val is not None:
        val_x, val_y = as_arrays(val)
        return lambda strength: fit_logistic(x, y, strength, weight).score(val_x, val_y)
    parts = cross_validation(x, y, groups)
    if not parts:
        # One image of some class: every strength scores alike, and C = 1 is what the search must give.
        return lambda strength: -abs(np.log10(strength))

    def cross_validated(strength: float) -> float:
        scores = []
        for fit, held in parts:
            model = fit_logistic(x[fit], y[fit], strength, None if weight is None else weight[fit])
            scores.append(model.score(x[held], y[held], None if weight is None else weight[held]))
        return float(np.mean(scores))

    return cross_validated


def cross_validation(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and held-out positions of up to 5 folds, groups kept together; none where a class has one only.

    Folds without images of some class to train on are left out.
    """
    units = np.arange(len(y)) if groups is None else groups
    folds = min(5, *(len(np.unique(units[y == label])) for label in np.unique(y)))
    if folds < 2:
        return []
    if groups is None:
        return list(StratifiedKFold(folds).split(x, y))
    parts = StratifiedGroupKFold(folds).split(x, y, groups)
    return [(fit, held) for fit, held in parts if len(held) and len(np.unique(y[fit])) == len(np.unique(y))]


def fit_logistic(x: np.ndarray, y: np.ndarray, strength: float, weight: np.ndarray | None = None) -> LogisticRegression:
    """Fit with the paper's solver; the warning that 1,000 iterations were not enough is left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(solver="lbfgs", max_iter=1000, C=strength).fit(x, y, weight)
