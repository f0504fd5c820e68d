"""Ridge: ridge regression on frozen image features, a baseline for quantities that needs no words."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from coopt.errors import ConfigError
from coopt.methods.batch import Shots
from coopt.methods.method import Method
from coopt.models import VLM

GRID = tuple(float(strength) for strength in 10.0 ** np.arange(-4, 5))
"""Strengths of the penalty that are tried."""
LEAST_SPREAD = 1e-3
"""The smallest spread of the answers, as a share of the distance of the two outermost ranks."""


class Ridge(Method):
    r"""A number from a linear function of the image feature, fitted with a quadratic penalty.

    .. math::
        \hat y(x) = w^\top \frac{f(x)}{\lVert f(x) \rVert} + b, \qquad
        \min_{w, b} \sum_i (\hat y(x_i) - y_i)^2 + \alpha \lVert w \rVert^2, \qquad
        \mathrm{logit}_r(x) = -\frac{(v_r - \hat y(x))^2}{2 \sigma^2}

    with :math:`v_r` the number of rank r: the answer is a normal distribution around :math:`\hat y`, on the ranks. Its
    spread :math:`\sigma` is the root mean square error of the shots when each is left out of the fit. The penalty
    :math:`\alpha` is the best of 1e-4, 1e-3, ..., 1e4 by that error.

    The expectation of the distribution is near :math:`\hat y`; it cannot lie beyond the outermost ranks, and where the
    ranks are further apart than the spread it is the nearest rank.

    Reference:
        Hoerl and Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 1970.

    Differences from the official code:
        - There is none; the fit and the errors of left-out images are scikit-learn's `RidgeCV`.
        - In half precision there: nothing. Here features are in float32; the fit is in double precision.

    Args:
        alpha: fixes the penalty and skips the search; None searches.

    Shape:
        - weight: (E,), bias: scalar, spread: scalar
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: `alpha` is not above 0.
    """

    paper = "https://doi.org/10.1080/00401706.1970.10488634"
    kind = "regression on features"
    summary = "a linear function of image features; no words"
    new_classes = False
    steps = False
    uses_weights = False
    uses_words = False
    ordered = True

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, alpha: float | None = None) -> None:
        super().__init__(vlm, class_names)
        if alpha is not None and not 0 < alpha < float("inf"):
            raise ConfigError(f"alpha is {alpha}; the penalty must be above 0, or None to search.")
        self.alpha = alpha
        # Fitted by prepare, not by gradient steps.
        self.weight = nn.Parameter(torch.zeros(vlm.embed_dim, device=vlm.device), False)
        self.bias = nn.Parameter(torch.tensor(0.0, device=vlm.device), False)
        self.spread = nn.Parameter(torch.tensor(1.0, device=vlm.device), False)

    def prepare(self, shots: Shots) -> None:
        """Search alpha and fit on the training features."""
        assert shots.train.targets is not None  # shots are labelled
        x, y = directions(shots.train.images), shots.train.targets.cpu().double().numpy()
        strengths = GRID if self.alpha is None else (self.alpha,)
        model = RidgeCV(alphas=list(strengths), store_cv_results=True).fit(x, y)
        chosen = float(model.alpha_)
        self.found = {"alpha": chosen}
        errors = model.cv_results_[:, strengths.index(chosen)]  # (N,) squared
        least = LEAST_SPREAD * (self.task.output_values[-1] - self.task.output_values[0])
        self.weight.data.copy_(torch.from_numpy(model.coef_))
        self.bias.data.fill_(float(model.intercept_))
        self.spread.data.fill_(max(float(np.sqrt(errors.mean())), least))

    def answers(self, images: Float[Tensor, "B E"]) -> Float[Tensor, " B"]:
        """The numbers."""
        with torch.autocast(self.device.type, enabled=False):
            return nn.functional.normalize(images.to(self.weight.device).float(), dim=-1) @ self.weight + self.bias

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        values = torch.tensor(self.task.output_values, device=self.device)  # (C,)
        return -((values - self.answers(images)[:, None]) ** 2) / (2 * self.spread**2)


def directions(images: Float[Tensor, "N E"]) -> Float64[np.ndarray, "N E"]:
    """Normalised features in double precision, for scikit-learn."""
    return nn.functional.normalize(images.cpu().double(), dim=-1).numpy()
