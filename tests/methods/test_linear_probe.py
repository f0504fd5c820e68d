"""LinearProbe: the paper's search in plain steps, the fitted matrix against scikit-learn's own, no look at test data."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from coopt.errors import ConfigError, DataError
from coopt.methods import Examples, LinearProbe, Shots
from coopt.methods.linear_probe import GRID, fit_logistic, search_strength, validation_score
from tests.goldens.golden import golden_vlm


def blobs(n: int, n_classes: int, seed: int, spread: float = 1.5) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_classes, 64, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(n) % n_classes
    return Examples(centres[labels] + spread * torch.randn(n, 64, generator=generator), labels)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_logits_give_scikit_learns_probabilities(n_classes: int) -> None:
    train, test = blobs(41, n_classes, 1), blobs(29, n_classes, 2)
    probe = LinearProbe(golden_vlm("vit_b"), [f"class {c}" for c in range(n_classes)], C=0.3)
    probe.prepare(Shots(train))
    reference = LogisticRegression(C=0.3, max_iter=1000).fit(train.images.double().numpy(), train.targets.numpy())
    expected = reference.predict_proba(test.images.double().numpy())
    assert np.allclose(probe(test.images).softmax(-1).numpy(), expected, atol=1e-5)


def test_the_solver_is_the_authors() -> None:
    """lpclip/linear_probe.py of CoOp: lbfgs, an L2 penalty, at most 1,000 iterations; the rest is scikit-learn's."""
    train = blobs(30, 3, 1)
    model = fit_logistic(train.images.double().numpy(), train.targets.numpy(), 0.25)
    expected = LogisticRegression(solver="lbfgs", max_iter=1000, C=0.25).get_params()
    assert model.get_params() == expected
    assert (expected["solver"], expected["max_iter"], expected["C"]) == ("lbfgs", 1000, 0.25)
    assert (expected["tol"], expected["fit_intercept"], expected["class_weight"]) == (1e-4, True, None)
    assert GRID == (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)


def test_the_search_is_the_grid_then_eight_halvings() -> None:
    """Scores with a peak at 10**-1.3 and no other: the grid finds 1e-2, the steps close in from [1e-3, 1e-1]."""
    asked: list[float] = []

    def score(strength: float) -> float:
        asked.append(float(np.log10(strength)))
        return -abs(np.log10(strength) + 1.3)

    best = search_strength(score)
    assert asked[:7] == [np.log10(c) for c in GRID]
    assert len(asked) == 7 + 2 * 8
    assert np.allclose(asked[7:11], [-3, -1, -2, -1])
    # The interval halves eight times from two decades: the end is within 2 / 2**7 of the peak.
    assert abs(np.log10(best) + 1.3) < 2 / 2**7


def test_equal_scores_move_to_the_stronger_regularisation() -> None:
    """The authors compare left < right, so a tie keeps the left (smaller C); argmax keeps the first peak (1e6)."""
    assert search_strength(lambda strength: 0.5) == pytest.approx(1e5)


def test_the_validation_set_decides_where_there_is_one() -> None:
    train, val = blobs(20, 4, 1, spread=4.0), blobs(16, 4, 2, spread=4.0)
    seen = []
    x, y = train.images.double().numpy(), train.targets.numpy()
    for strength in (1e-6, 1.0):
        model = LogisticRegression(C=strength, max_iter=1000).fit(x, y)
        seen.append(model.score(val.images.double().numpy(), val.targets.numpy()))
        assert validation_score(x, y, val)(strength) == seen[-1]
    probe = LinearProbe(golden_vlm("vit_b"), list("abcd"))
    probe.prepare(Shots(train, val))
    assert probe.C == search_strength(validation_score(x, y, val))


def test_one_shot_without_validation_takes_one() -> None:
    probe = LinearProbe(golden_vlm("vit_b"), list("abc"))
    probe.prepare(Shots(blobs(3, 3, 1)))
    assert probe.C == pytest.approx(1.0)


def test_inputs_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match=r"C is -1\.0; .*above 0"):
        LinearProbe(golden_vlm("vit_b"), list("ab"), C=-1.0)
    probe = LinearProbe(golden_vlm("vit_b"), ["tea", "owl", "fox"])
    with pytest.raises(DataError, match="an image of every class; none of: 'fox'"):
        probe.prepare(Shots(blobs(8, 2, 1)))
