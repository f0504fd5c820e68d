"""Ordinal logistic regression against plain formulas."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from coopt.errors import ConfigError
from coopt.methods import Examples, OrdinalLogistic, Shots, build_method
from coopt.methods.ordinal_logistic import fit_thresholds, rank_probabilities
from coopt.tasks import Ordinal
from tests.goldens.golden import golden_vlm
from tests.methods.regression_cases import RANKS, check_learned, quantities


def test_numbers_are_learned_and_kept() -> None:
    check_learned("ordinal-logistic")


def test_two_ranks_of_ordinal_logistic_are_logistic_regression() -> None:
    images, numbers = quantities(30, noise=2.0)
    x, y = F.normalize(images.double(), dim=-1).numpy(), (numbers > 3).long().numpy()
    weight, thresholds = fit_thresholds(x, y, 2, 3.0)
    model = LogisticRegression(C=3.0, tol=1e-8, max_iter=1000).fit(x, y)
    assert weight == pytest.approx(model.coef_[0], abs=1e-2)
    assert -thresholds[0] == pytest.approx(model.intercept_[0], abs=1e-2)


def test_thresholds_are_in_order_and_a_rank_without_images_has_no_share() -> None:
    images, numbers = quantities(60, noise=1.0)
    kept = numbers != 4
    method = build_method("ordinal-logistic", golden_vlm("vit_b"), RANKS, {"C": 10.0}, Ordinal(RANKS))
    assert isinstance(method, OrdinalLogistic)
    method.prepare(Shots(Examples(images[kept], numbers[kept])))
    assert bool((method.thresholds.diff() >= 0).all())
    probabilities = method(images).softmax(-1)
    assert float(probabilities[:, 3].max()) < 1e-2
    assert float(method.task.metrics(method(images), numbers).mae) < 1.5


def test_probabilities_of_thresholds_by_hand() -> None:
    scores, thresholds = torch.tensor([0.5, -2.0]), torch.tensor([-1.0, 0.0, 2.0])
    found = rank_probabilities(scores, thresholds)

    def below(t: float, s: float) -> float:
        return 1 / (1 + math.exp(s - t))

    for i, s in enumerate(scores.tolist()):
        ends = [0.0, *(below(t, s) for t in thresholds.tolist()), 1.0]
        assert found[i].tolist() == pytest.approx([b - a for a, b in zip(ends, ends[1:], strict=False)], abs=1e-6)


def test_settings_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="C is -1.0; the inverse strength"):
        OrdinalLogistic(golden_vlm("vit_b"), RANKS, C=-1.0)
