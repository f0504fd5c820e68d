"""TipAdapterF against golden numbers of the authors' code: logits, losses, gradient, rates and keys after all steps.

Tolerances are those of tests/goldens/README.md: 1e-4 of the largest value for logits, losses and gradients. The keys
after the steps are held to 5e-6, twice what the authors' own code differs by in float64: a missing weight decay moves
them by 2e-5.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coopt.artifacts import load_run, save_run
from coopt.data import ImageDataset, load_dataset
from coopt.errors import ConfigError
from coopt.fit import Interrupted, Recipe, Reporter, fit, learn, recipe_for
from coopt.methods import Batch, Examples, Losses, Shots, TipAdapter, TipAdapterF, build_method
from coopt.methods.cache import search
from coopt.models import VLM, load_model
from tests.given import given
from tests.goldens.golden import assert_close, golden_tensor, golden_vlm
from tests.methods.test_tip_adapter import NAMES, blobs
from tests.methods.tip_cases import CASES, tip_case
from tests.pictures import shapes_folder


class Given:
    """The golden batches in their own order, whatever order the loop asks for."""

    def __init__(self, epochs: torch.Tensor, labels: torch.Tensor, size: int) -> None:
        self.epochs, self.labels, self.size = epochs, labels, size

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
        parts = list(zip(self.epochs[epoch].split(self.size), self.labels.split(self.size), strict=True))
        assert [len(batch) for batch in indices] == [len(y) for _, y in parts]
        yield from (Batch(x, y) for x, y in parts)


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the loop, with the method's own recipe: only the number of epochs and the batch are the case's."""
    case = tip_case(name)
    cfg, golden, size = case.meta["cfg"], case.golden, case.meta["batch"]
    start = {"start_alpha": float(cfg["init_alpha"]), "start_beta": float(cfg["init_beta"])}
    method = build_method("tip-adapter-f", case.vlm, case.meta["classnames"], case.settings() | start)
    method.prepare(case.shots)
    assert_close(method.cache.keys, golden["cache_keys"].T, 1e-5)
    with torch.no_grad():
        epochs = torch.stack([case.vlm.encode_image(x) for x in golden_tensor(case.meta["inputs"]["fine_images"])])
    first = method.loss(Batch(epochs[0, :size], case.train.targets[:size]))
    first.total.backward()
    assert_close(first.logits, golden["f_first_logits"], 1e-4)
    assert_close(method.cache.keys.grad, golden["f_first_grad"], 1e-4)
    method.zero_grad()

    seen: list[tuple[float, float]] = []
    plain_step = torch.optim.AdamW.step
    plain_loss = method.loss
    losses: list[float] = []

    def loss(batch: Batch) -> Losses:
        found = plain_loss(batch)
        losses.append(found.total.item())
        return found

    def step(optimizer: torch.optim.AdamW, *args: object, **kwargs: object) -> object:
        seen.append((optimizer.param_groups[0]["lr"], losses[-1]))
        return plain_step(optimizer, *args, **kwargs)

    monkeypatch.setattr(method, "loss", loss)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    recipe = recipe_for("tip-adapter-f", {"epochs": cfg["train_epoch"], "batch_size": size})
    fit(method, Given(epochs, case.train.targets, size), recipe, seed=1)
    assert [rate for rate, _ in seen] == pytest.approx(golden["f_lr"].tolist(), rel=1e-5)
    assert [value for _, value in seen] == pytest.approx(golden["f_loss"].tolist(), rel=1e-4)
    assert_close(method.cache.keys, golden["f_last_weight"], 5e-6)


def test_the_recipe_of_the_authors() -> None:
    assert recipe_for("tip-adapter-f") == Recipe(
        epochs=20,
        batch_size=256,
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.01,
        eps=1e-4,
        schedule="cosine-step",
        warmup_epochs=0,
        views=10,
        min_crop=0.5,
        drop_last=False,
    )
    assert recipe_for("tip-adapter-f", preset="eurosat").epochs == 100


def trained(val: Examples | None) -> tuple[TipAdapterF, tuple[float, float], tuple[float, float]]:
    settings = {"max_alpha": 40.0, "alpha_steps": 5, "beta_steps": 7, "start_alpha": 6.0, "start_beta": 3.0}
    method = build_method("tip-adapter-f", golden_vlm("vit_b"), NAMES, settings)
    train = blobs(29, 1, 4.0)
    method.prepare(Shots(train, val))
    in_training = method.found["alpha"], method.found["beta"]
    recipe = replace(recipe_for("tip-adapter-f"), epochs=40, lr=0.01)
    fit(method, given(train.images[None], train.targets), recipe, seed=1)
    method.finish(Shots(train, val))
    return method, in_training, (method.found["alpha"], method.found["beta"])


def test_with_validation_shots_the_search_follows_the_training() -> None:
    """It is TipAdapter's search with the trained keys; training itself runs at the starting values."""
    val = blobs(31, 2, 4.0)
    method, in_training, found = trained(val)
    assert in_training == (6.0, 3.0)
    plain = TipAdapter(golden_vlm("vit_b"), NAMES, max_alpha=40.0, alpha_steps=5, beta_steps=7)
    plain.cache.resize(29)
    plain.cache.load_state_dict(method.cache.state_dict())
    right = {}
    for alpha, beta in plain.grid.pairs():
        plain.cache.weigh(alpha, beta)
        right[alpha, beta] = int((plain(val.images).argmax(-1) == val.targets).sum())
    assert found == max(right, key=right.__getitem__)
    assert len(set(right.values())) > 2
    plain.prepare(Shots(blobs(29, 1, 4.0), val))
    assert not torch.allclose(plain.cache.keys, method.cache.keys, atol=1e-3)


def test_without_validation_shots_the_search_comes_first() -> None:
    """Trained keys know every shot; only the untrained ones can be compared on them."""
    method, in_training, found = trained(None)
    assert found == in_training
    plain = build_method(
        "tip-adapter", golden_vlm("vit_b"), NAMES, {"max_alpha": 40.0, "alpha_steps": 5, "beta_steps": 7}
    )
    plain.prepare(Shots(blobs(29, 1, 4.0)))
    assert found == (plain.found["alpha"], plain.found["beta"])
    assert float(method.cache.alpha) == pytest.approx(found[0])
    assert found != (6.0, 3.0)
    trained_says = search(method.grid, method.cache, method.zero_shot, blobs(29, 1, 4.0), None)
    assert trained_says != found  # so that a search after the training would be seen


def test_one_shot_without_validation_keeps_the_starting_values() -> None:
    method = build_method("tip-adapter-f", golden_vlm("vit_b"), NAMES, {"start_alpha": 5.0, "start_beta": 2.0})
    method.prepare(Shots(blobs(3, 1)))
    assert (method.found["alpha"], method.found["beta"]) == (5.0, 2.0)


def test_numbers_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match=r"start_beta is 0\.0; allowed is a number above 0"):
        TipAdapterF(golden_vlm("vit_b"), NAMES, start_beta=0.0)
    with pytest.raises(ConfigError, match="max_beta is 0.05; the search runs from 0.1"):
        TipAdapterF(golden_vlm("vit_b"), NAMES, max_beta=0.05)


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    train = load_dataset(str(shapes_folder(tmp_path_factory.mktemp("shapes") / "data"))).train
    assert train is not None
    return train


class Stop(Reporter):
    """Asks the process to stop in the middle of the training, as Ctrl-C does."""

    def epoch(self, record: object) -> None:
        if getattr(record, "epoch") == 2:  # noqa: B009
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("with_val", [True, False])
def test_learn_resume_save_and_load(vlm: VLM, shapes: ImageDataset, tmp_path: Path, with_val: bool) -> None:
    recipe = recipe_for("tip-adapter-f", {"epochs": 4, "batch_size": 5, "views": 3})
    settings = {"n_views": 3, "beta_steps": 11, "alpha_steps": 5}
    job = {"method": "tip-adapter-f", "shots": 4, "settings": settings, "recipe": recipe}
    job["val"] = shapes if with_val else None
    whole = learn(vlm, shapes, **job)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Interrupted):
        learn(vlm, shapes, checkpoint_path=path, reporter=Stop(), **job)
    for _ in range(2):  # from the middle, and from a training that is complete
        again = learn(vlm, shapes, checkpoint_path=path, resume=True, **job)
        assert again.method.found == whole.method.found
        for name, value in whole.method.state_dict().items():
            assert torch.equal(value, again.method.state_dict()[name]), name
    details = {"class_labels": shapes.class_names, "shots": 4, "seed": 1, "recipe": {}, "data": {}}
    run = load_run(save_run(tmp_path / "run", whole.method, details=details))
    assert run.build(vlm).found["alpha"] == whole.method.found["alpha"] is not None
    assert run.classifier is None and not run.config["new_classes"]
    features = torch.randn(7, vlm.embed_dim)
    with torch.no_grad():
        assert torch.equal(run.build(vlm)(features), whole.method(features))
