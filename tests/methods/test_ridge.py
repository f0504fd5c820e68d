"""Ridge regression against its closed form."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.methods import Ridge
from tests.goldens.golden import golden_vlm
from tests.methods.regression_cases import RANKS, check_learned, fitted, quantities


def test_numbers_are_learned_and_kept() -> None:
    check_learned("ridge")


def test_ridge_is_the_closed_form() -> None:
    """(X'X + alpha I) w = X'y on centred data, and the errors of left-out images by fitting without each of them."""
    method = fitted("ridge", alpha=0.1)
    assert isinstance(method, Ridge)
    images, numbers = quantities(42)
    x, y = F.normalize(images.double(), dim=-1).numpy(), numbers.double().numpy()

    def solve(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
        centred = x - x.mean(0)
        w = np.linalg.solve(centred.T @ centred + 0.1 * np.eye(64), centred.T @ (y - y.mean()))
        return w, float(y.mean() - x.mean(0) @ w)

    w, b = solve(x, y)
    assert method.weight.numpy() == pytest.approx(w, abs=1e-5)
    assert float(method.bias) == pytest.approx(b, rel=1e-5)
    left_out = []
    for i in range(42):
        rest = np.arange(42) != i
        w, b = solve(x[rest], y[rest])
        left_out.append((x[i] @ w + b - y[i]) ** 2)
    assert float(method.spread) == pytest.approx(math.sqrt(np.mean(left_out)), rel=1e-4)
    one = method.answers(images[:1])
    away = (torch.arange(1.0, 8) - one) ** 2
    assert torch.allclose(method(images[:1])[0], -away / (2 * method.spread**2))
    assert fitted("ridge").found["alpha"] in [10.0**power for power in range(-4, 5)]


def test_settings_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="alpha is 0.0; the penalty must be above 0"):
        Ridge(golden_vlm("vit_b"), RANKS, alpha=0.0)
