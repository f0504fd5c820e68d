"""Parts of training that some methods ask for: other optimisers and schedules, presets, state in a checkpoint."""

import math
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from coopt.errors import ConfigError
from coopt.fit import (
    Checkpoint,
    Interrupted,
    Recipe,
    TrainingBatches,
    fit,
    learning_rate,
    make_optimizer,
    recipe_for,
)
from coopt.methods import METHODS, Batch, CoOp, Losses, check_settings, find_preset
from tests.given import given
from tests.goldens.golden import golden_vlm

NAMES = ["tea", "barn owl", "red fox"]


def images(n: int = 11) -> TrainingBatches:
    generator = torch.Generator().manual_seed(5)
    return given(torch.randn(1, n, 64, generator=generator), torch.arange(n) % 3)


class Recorded:
    """Training images that remember the batches they gave."""

    def __init__(self) -> None:
        self.images, self.sizes = images(), []

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
        self.sizes += [len(batch) for batch in indices]
        yield from self.images.batches(epoch, indices, first_step)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_eps_reaches_the_optimizer(optimizer: str) -> None:
    """With a huge eps a step is the gradient's share of it: lr * g / (|g| + eps)."""
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    made = make_optimizer([{"params": [parameter]}], Recipe(optimizer=optimizer, lr=0.5, eps=3.0, weight_decay=0.0))
    parameter.grad = torch.tensor([2.0])
    made.step()
    assert parameter.item() == pytest.approx(1.0 - 0.5 * 2.0 / (2.0 + 3.0), rel=1e-5)
    with pytest.raises(ConfigError, match=r"eps is 0\.0; allowed is a number above 0"):
        Recipe(eps=0.0)


def test_the_cosine_changes_at_every_step_where_it_is_asked_to() -> None:
    """4 epochs without warm-up at rate 1: place p in epochs gives (1 + cos(pi p / 4)) / 2."""
    recipe = Recipe(epochs=4, lr=1.0, warmup_epochs=0, schedule="cosine-step")
    for epoch, done in ((0, 0.0), (0, 0.5), (2, 0.25), (3, 0.75)):
        expected = (1 + math.cos(math.pi * (epoch + done) / 4)) / 2
        assert learning_rate(recipe, epoch, done) == pytest.approx(expected)
        assert learning_rate(Recipe(epochs=4, lr=1.0, warmup_epochs=0), epoch, done) == pytest.approx(
            (1 + math.cos(math.pi * epoch / 4)) / 2
        )
    assert learning_rate(Recipe(epochs=4, lr=1.0, schedule="cosine-step"), 0, 0.9) == 1e-5  # the warm-up stays


def test_the_loop_gives_each_step_its_rate() -> None:
    """3 steps of 5, 5 and 1 images: the record holds the rate of the last, two thirds through the epoch."""
    recipe = Recipe(epochs=2, batch_size=5, lr=0.1, warmup_epochs=0, schedule="cosine-step", drop_last=False)
    records = fit(CoOp(golden_vlm("vit_b"), NAMES, n_ctx=2), images(), recipe, seed=1)
    expected = [0.05 * (1 + math.cos(math.pi * (epoch + 2 / 3) / 2)) for epoch in range(2)]
    assert [record.lr for record in records] == pytest.approx(expected)


@pytest.mark.parametrize(("drop_last", "expected"), [(True, [5, 5]), (False, [5, 5, 1])])
def test_drop_last_decides_about_the_batch_that_is_not_full(drop_last: bool, expected: list[int]) -> None:
    given = Recorded()
    fit(CoOp(golden_vlm("vit_b"), NAMES, n_ctx=2), given, Recipe(epochs=1, batch_size=5, drop_last=drop_last), seed=1)
    assert given.sizes == expected


PRESETS = [(key, name) for key, method in METHODS.items() for name in method.presets]


def test_the_methods_on_pixels_have_presets_by_protocol() -> None:
    found = {key: set(METHODS[key].presets) for key in ("vpt", "ivlp", "maple", "promptsrc")}
    assert all("base-to-new" in names for names in found.values())
    assert {"cross-dataset", "few-shot"} <= found["promptsrc"]
    assert "cross-dataset" in found["maple"]


@pytest.mark.parametrize(("key", "name"), PRESETS)
def test_every_preset_names_its_source_and_can_be_used(key: str, name: str) -> None:
    preset = find_preset(key, name)
    assert len(preset.source) > 10
    resolved = check_settings(key, preset.settings)
    assert all(resolved[setting] == value for setting, value in preset.settings.items())
    recipe = recipe_for(key, preset=name).as_dict()
    assert all(recipe[setting] == value for setting, value in preset.recipe.items())


def test_what_is_given_goes_before_the_preset_and_that_before_the_method() -> None:
    assert recipe_for("promptsrc").epochs == 20
    assert recipe_for("promptsrc", preset="few-shot").epochs == 50
    assert recipe_for("promptsrc", {"epochs": 7}, "few-shot").epochs == 7
    assert recipe_for("promptsrc", preset="few-shot").batch_size == METHODS["promptsrc"].recipe["batch_size"] == 4
    with pytest.raises(ConfigError, match="'maple' has no preset 'base-to-old'; .*Did you mean 'base-to-new'"):
        find_preset("maple", "base-to-old")


class Counting(CoOp):
    """CoOp that counts its epochs and its batches in tensors beside the parameters."""

    def __init__(self) -> None:
        super().__init__(golden_vlm("vit_b"), NAMES, n_ctx=2)
        self.counted = torch.zeros(2)
        self.loaded: list[Mapping[str, Tensor]] = []

    def loss(self, batch: Batch) -> Losses:
        self.counted[1] += 1
        return super().loss(batch)

    def end_epoch(self, epoch: int, n_epochs: int) -> None:
        self.counted[0] += 1
        assert n_epochs == 3

    def training_state(self) -> dict[str, Tensor]:
        return {"a.name.with.dots": self.counted}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        self.loaded.append(state)
        self.counted = state["a.name.with.dots"].clone()


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5])
def test_what_a_method_keeps_beside_its_parameters_survives_a_resume(tmp_path: Path, stop_at: int) -> None:
    """Each epoch ends once, whether the run was stopped in its middle or after its last step."""
    recipe, path = Recipe(epochs=3, batch_size=5), tmp_path / "checkpoint.safetensors"

    class Stop(Recorded):
        def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
            for number, batch in enumerate(self.images.batches(epoch, indices, first_step)):
                if 2 * epoch + number + 1 == stop_at:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

    with pytest.raises(Interrupted):
        fit(Counting(), Stop(), recipe, seed=1, checkpoint=Checkpoint(path, {}))
    resumed = Counting()
    fit(resumed, images(), recipe, seed=1, checkpoint=Checkpoint(path, {}, resume=True))
    assert len(resumed.loaded) == 1
    assert resumed.loaded[0]["a.name.with.dots"].tolist() == [(stop_at - 1) // 2, stop_at]
    assert resumed.counted.tolist() == [3, 6]
    assert set(resumed.state_dict()) == {"ctx"}
