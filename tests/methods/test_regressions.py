"""The baselines on frozen features: ridge, ordinal logistic regression and nearest neighbours, against plain formulas."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from coopt.errors import ConfigError
from coopt.methods import Examples, Method, NearestNeighbours, OrdinalLogistic, Ridge, Shots, build_method
from coopt.methods.ordinal_logistic import fit_thresholds, rank_probabilities
from coopt.tasks import Classification, Ordinal
from tests.goldens.golden import golden_vlm

RANKS = [str(rank) for rank in range(1, 8)]


def quantities(n: int, seed: int = 3, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Features whose direction turns with a number from 1 to 7, in 64 dimensions."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.arange(n) % 7 + 1.0
    ends = torch.randn(2, 64, generator=torch.Generator().manual_seed(1))
    share = (numbers[:, None] - 1) / 6
    return (1 - share) * ends[0] + share * ends[1] + noise * torch.randn(n, 64, generator=generator), numbers


def fitted(key: str, n: int = 42, **settings: float) -> Method:
    method = build_method(key, golden_vlm("vit_b"), RANKS, settings, Ordinal(RANKS))
    method.prepare(Shots(Examples(*quantities(n))))
    return method


@pytest.mark.parametrize("key", ["ridge", "ordinal-logistic", "nearest-neighbours"])
def test_numbers_are_learned_and_kept(key: str) -> None:
    method = fitted(key)
    images, numbers = quantities(70, seed=9)
    metrics = method.task.metrics(method(images), numbers)
    assert metrics.mae < 0.6  # chance is 1.7
    assert metrics.spearman > 0.9
    again = build_method(key, method.vlm, RANKS, {}, method.task)
    again.load_tensors(method.state_dict())
    assert torch.equal(again(images), method(images))
    assert method.n_parameters() == sum(p.numel() for p in method.parameters())


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


def test_neighbours_vote_with_their_labels() -> None:
    vlm = golden_vlm("vit_b")
    method = NearestNeighbours(vlm, ["a", "b", "c"], k=3)
    keys = torch.eye(64)[:5] + 0.2
    method.prepare(Shots(Examples(keys, torch.tensor([0, 2, 2, 1, 0]))))
    shown = keys[1] + 0.5 * keys[2] + 0.3 * keys[3]
    assert method(shown[None]).exp()[0].tolist() == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-5)
    assert method.found == {}
    few = NearestNeighbours(vlm, ["a", "b", "c"], k=50)  # more than there are: all of them
    few.prepare(Shots(Examples(keys, torch.tensor([0, 2, 2, 1, 0]))))
    assert few(shown[None]).exp()[0].tolist() == pytest.approx([0.4, 0.2, 0.4], abs=1e-5)


def test_k_is_the_best_by_the_tasks_headline_when_each_shot_is_answered_by_the_others() -> None:
    images, numbers = quantities(36, noise=1.5)
    for task, targets in ((Ordinal(RANKS), numbers), (Classification(RANKS), numbers.long() - 1)):
        method = NearestNeighbours(golden_vlm("vit_b"), RANKS)
        method.task = task
        method.prepare(Shots(Examples(images, targets)))
        x = F.normalize(images, dim=-1)
        figures = {}
        for k in (1, 2, 3, 5, 8, 13, 21, 34):
            rows = []
            for i in range(36):
                order = [j for j in (x[i] @ x.T).argsort(descending=True).tolist() if j != i][:k]
                shares = F.one_hot(numbers[order].long() - 1, 7).float().mean(0)
                rows.append((shares + 1e-6).log())
            metrics = task.metrics(torch.stack(rows), targets)
            figures[k] = -metrics.mae if isinstance(task, Ordinal) else metrics.accuracy
        assert method.found["k"] == max(figures, key=lambda k: (figures[k], -k))


def test_settings_that_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match="alpha is 0.0; the penalty must be above 0"):
        Ridge(vlm, RANKS, alpha=0.0)
    with pytest.raises(ConfigError, match="C is -1.0; the inverse strength"):
        OrdinalLogistic(vlm, RANKS, C=-1.0)
    with pytest.raises(ConfigError, match="k is 0; allowed is a whole number from 1"):
        NearestNeighbours(vlm, RANKS, k=0)
