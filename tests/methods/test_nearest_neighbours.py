"""Nearest neighbours against plain loops."""

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.methods import Examples, NearestNeighbours, Shots
from coopt.tasks import Classification, Ordinal
from tests.goldens.golden import golden_vlm
from tests.methods.regression_cases import RANKS, check_learned, quantities


def test_numbers_are_learned_and_kept() -> None:
    check_learned("nearest-neighbours")


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
    with pytest.raises(ConfigError, match="k is 0; allowed is a whole number from 1"):
        NearestNeighbours(golden_vlm("vit_b"), RANKS, k=0)
