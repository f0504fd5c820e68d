"""OrdinalLogistic: logistic regression with ordered thresholds on frozen image features, a baseline without words."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from scipy.optimize import minimize
from sklearn.model_selection import KFold
from torch import Tensor, nn

from coopt.errors import ConfigError
from coopt.methods.batch import Shots
from coopt.methods.method import Method
from coopt.methods.ridge import directions
from coopt.models import VLM

GRID = tuple(float(strength) for strength in 10.0 ** np.arange(-2, 5))
"""Inverse strengths of the penalty that are tried."""
BOUND = 100.0
"""The largest size of a threshold: one below or above all training labels would run away without end."""
FLOOR = 1e-6
"""The probability that a rank without training images gets, so that its logit is finite."""


class OrdinalLogistic(Method):
    r"""One direction in the features, cut by thresholds into ranks.

    .. math::
        P(y \le r \mid x) = \sigma(\theta_r - w^\top \hat f(x)), \qquad
        \min_{w, \theta} \; \frac{1}{2 C} \lVert w \rVert^2 + \sum_i \sum_{r} \log\bigl(1 +
        e^{-s_{ir} (\theta_r - w^\top \hat f(x_i))}\bigr)

    with :math:`\hat f` the normalised image feature and :math:`s_{ir} = 1` where :math:`y_i \le r`, else -1: the
    "all-threshold" loss, which is convex and at whose minimum the thresholds are in order. Thresholds on both sides of
    a rank without training images are the same, so that it has no probability. C is the best of 0.01, 0.1, ..., 10,000
    by the mean absolute error in cross-validation of the shots with up to 5 folds.

    Reference:
        Rennie and Srebro, "Loss Functions for Preference Levels: Regression with Discrete Ordered Labels", IJCAI
        workshop 2005, section 3; McCullagh, "Regression Models for Ordinal Data", 1980.

    Differences from the official code:
        - There is none; C weighs the penalty against a sum over images, as in scikit-learn's logistic regression.
        - In half precision there: nothing. Here features are in float32; the fit is in double precision.

    Args:
        C: fixes the inverse strength and skips the search; None searches.

    Shape:
        - weight: (E,), thresholds: (C - 1,)
        - images: (B, E), not normalised
        - logits: (B, C), logarithms of probabilities

    Raises:
        ConfigError: `C` is not above 0.
    """

    paper = "https://home.ttic.edu/~nati/Publications/RennieSrebroIJCAI05.pdf"
    kind = "regression on features"
    summary = "a direction in image features and thresholds on it; no words"
    new_classes = False
    steps = False
    uses_weights = False
    uses_words = False
    ordered = True

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, C: float | None = None) -> None:  # noqa: N803
        super().__init__(vlm, class_names)
        if C is not None and not 0 < C < float("inf"):
            raise ConfigError(f"C is {C}; the inverse strength of the penalty must be above 0, or None to search.")
        self.C = C
        # Fitted by prepare, not by gradient steps.
        self.weight = nn.Parameter(torch.zeros(vlm.embed_dim, device=vlm.device), False)
        self.thresholds = nn.Parameter(torch.zeros(len(class_names) - 1, device=vlm.device), False)

    def prepare(self, shots: Shots) -> None:
        """Search C and fit on the training features."""
        classes = shots.as_classes(self.task).train.targets
        assert classes is not None  # shots are labelled
        x, y = directions(shots.train.images), classes.cpu().numpy()
        strength = self.C if self.C is not None else search(x, y, np.array(self.task.output_values))
        self.found = {"C": strength}
        weight, thresholds = fit_thresholds(x, y, len(self.class_names), strength)
        self.weight.data.copy_(torch.from_numpy(weight))
        self.thresholds.data.copy_(torch.from_numpy(thresholds))

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        with torch.autocast(self.device.type, enabled=False):
            scores = F.normalize(images.to(self.device).float(), dim=-1) @ self.weight  # (B,)
            return (rank_probabilities(scores, self.thresholds) + FLOOR).log()


def rank_probabilities(scores: Float[Tensor, " B"], thresholds: Float[Tensor, " T"]) -> Float[Tensor, "B C"]:
    """Differences of neighbouring cumulative probabilities."""
    below = torch.sigmoid(thresholds - scores[:, None])  # (B, C - 1)
    below = F.pad(below, (0, 1), value=1.0)  # (B, C)
    return (below - F.pad(below[:, :-1], (1, 0))).clamp(min=0)


def search(x: Float64[np.ndarray, "N E"], y: Int64[np.ndarray, " N"], values: Float64[np.ndarray, " C"]) -> float:
    """The strength of the smallest error in cross-validation; the strongest penalty of several, 1 with one image."""
    n_folds = min(5, len(x))
    if n_folds < 2:
        return 1.0
    parts = list(KFold(n_folds, shuffle=True, random_state=1).split(x))
    errors = []
    for strength in GRID:
        off = []
        for rest, held in parts:
            weight, thresholds = fit_thresholds(x[rest], y[rest], len(values), strength)
            found = rank_probabilities(torch.from_numpy(x[held] @ weight), torch.from_numpy(thresholds)).numpy()
            off.append(np.abs(found @ values - values[y[held]]))
        errors.append(float(np.concatenate(off).mean()))
    return GRID[int(np.argmin(errors))]


def fit_thresholds(
    x: Float64[np.ndarray, "N E"], y: Int64[np.ndarray, " N"], n_ranks: int, strength: float
) -> tuple[Float64[np.ndarray, " E"], Float64[np.ndarray, " T"]]:
    """The direction and the thresholds of the smallest penalised loss, by L-BFGS."""
    width = x.shape[1]
    signs = np.where(y[:, None] <= np.arange(n_ranks - 1), 1.0, -1.0)  # (N, C - 1)

    def loss(numbers: Float64[np.ndarray, " P"]) -> tuple[float, Float64[np.ndarray, " P"]]:
        weight, thresholds = numbers[:width], numbers[width:]
        margins = signs * (thresholds - (x @ weight)[:, None])
        slopes = -signs * np.exp(-np.logaddexp(0, margins))  # (N, C - 1)
        total = weight @ weight / (2 * strength) + np.logaddexp(0, -margins).sum()
        return float(total), np.concatenate([weight / strength - x.T @ slopes.sum(1), slopes.sum(0)])

    bounds = [(None, None)] * width + [(-BOUND, BOUND)] * (n_ranks - 1)
    found = minimize(loss, np.zeros(width + n_ranks - 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return found[:width], np.maximum.accumulate(found[width:])
