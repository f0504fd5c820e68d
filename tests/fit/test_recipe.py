"""The recipe: rates against the authors' schedule, epochs by shots, and what it refuses."""

import math

import pytest
import torch

from coopt.errors import ConfigError
from coopt.fit import Recipe, learning_rate, make_optimizer, paper_epochs
from tests.goldens.golden import golden_cases

CASES = golden_cases("schedule")


@pytest.mark.parametrize("name", CASES)
def test_rates_match_the_authors_schedule(name: str) -> None:
    meta, golden = CASES[name]
    optim = meta["OPTIM"]
    recipe = Recipe(epochs=optim["MAX_EPOCH"], lr=optim["LR"], warmup_epochs=max(0, optim["WARMUP_EPOCH"]))
    rates = [learning_rate(recipe, epoch) for epoch in range(optim["MAX_EPOCH"])]
    assert rates == pytest.approx(golden["lr"].tolist(), rel=1e-12)


def test_a_linear_warm_up_is_the_authors() -> None:
    """Dassl's LinearWarmupScheduler: WARMUP_MIN_LR in the first epoch, then lr * epoch / W; the cosine starts after W."""
    linear = Recipe(epochs=6, lr=0.3, warmup_epochs=3, warmup="linear")
    rates = [learning_rate(linear, epoch) for epoch in range(6)]
    cosine = [0.3 * (1 + math.cos(math.pi * epoch / 6)) / 2 for epoch in range(3)]
    assert rates == pytest.approx([1e-5, 0.1, 0.2, *cosine])
    assert learning_rate(linear, 1, 0.5) == rates[1]  # changed once an epoch
    one = [learning_rate(Recipe(epochs=4, warmup=kind), epoch) for kind in ("linear", "constant") for epoch in range(4)]
    assert one[:4] == one[4:]  # with one epoch of warm-up, the default, the two are the same
    none = Recipe(epochs=2, lr=0.3, warmup_epochs=0, warmup="linear")
    assert learning_rate(none, 0) == 0.3
    with pytest.raises(
        ConfigError, match="warmup is 'liner'; allowed is one of constant, linear. Did you mean 'linear'"
    ):
        Recipe(warmup="liner")


def test_epochs_by_shots_are_the_papers() -> None:
    assert [paper_epochs(k) for k in (1, 2, 4, 8, 16, None)] == [50, 100, 100, 200, 200, 50]
    assert Recipe().resolve(16).epochs == 200
    assert Recipe(epochs=3).resolve(16).epochs == 3


def test_defaults_are_the_papers() -> None:
    recipe = Recipe()
    optimizer = make_optimizer([{"params": [torch.nn.Parameter(torch.zeros(2))]}], recipe)
    assert isinstance(optimizer, torch.optim.SGD)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.002, 0.9, 5e-4)
    assert (group["nesterov"], group["dampening"]) == (False, 0)
    assert (recipe.batch_size, recipe.warmup_epochs, recipe.warmup_lr) == (32, 1, 1e-5)
    assert recipe.schedule == "cosine"


def test_a_constant_schedule_keeps_its_rate_after_the_warm_up() -> None:
    recipe = Recipe(epochs=5, schedule="constant", lr=0.1, warmup_epochs=2)
    assert [learning_rate(recipe, epoch) for epoch in range(5)] == [1e-5, 1e-5, 0.1, 0.1, 0.1]


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe(lr=-1.0, batch_size=0, momentum=1.0, optimizer="sdg", views=-2, weight_decay=float("nan"))
    message = str(caught.value)
    for part in (
        "lr is -1.0; allowed is a number above 0, up to 1e+06",
        "batch_size is 0; allowed is a whole number from 1",
        "momentum is 1.0",
        "optimizer is 'sdg'; allowed is one of sgd, adamw, adam, radam. Did you mean 'sgd'",
        "views is -2; allowed is 'fresh' or a whole number from 0",
        "weight_decay is nan",
    ):
        assert part in message
    with pytest.raises(ConfigError, match="no setting 'learning_rate'; it has epochs, batch_size"):
        Recipe.from_dict({"learning_rate": 0.1})
    with pytest.raises(ConfigError, match="nesterov needs"):
        Recipe(nesterov=True, momentum=0.0)


def test_a_step_schedule_falls_to_a_tenth_after_three_fifths() -> None:
    """OrdinalCLIP's general default: at epoch 60 of 100."""
    recipe = Recipe(epochs=100, schedule="step", warmup_epochs=0, lr=1e-4)
    rates = [learning_rate(recipe, epoch) for epoch in range(100)]
    assert rates == [1e-4] * 60 + [pytest.approx(1e-5)] * 40


def test_radam_decays_weights_apart_from_the_gradient() -> None:
    """Its first steps have no adaptive part: w - lr * wd * w - lr * g, for a constant gradient g."""
    weight = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
    optimizer = make_optimizer([{"params": [weight]}], Recipe(optimizer="radam", lr=0.1, weight_decay=0.5))
    expected = weight.detach().clone()
    for _ in range(3):
        weight.grad = torch.tensor([1.0, 3.0])
        optimizer.step()
        expected = expected - 0.1 * 0.5 * expected - 0.1 * torch.tensor([1.0, 3.0])
    assert torch.allclose(weight, expected)
