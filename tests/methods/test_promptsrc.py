"""PromptSRC against golden numbers of the authors' code: every loss term, the steps, whole runs with their average."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError, ModelError
from coopt.fit import Checkpoint, Interrupted, Recipe, fit
from coopt.methods import Batch, PromptSRC
from coopt.methods.promptsrc import epoch_weights
from coopt.prompting import TEMPLATES
from tests.goldens.golden import assert_close, golden_cases, golden_tensor, golden_vlm
from tests.methods.pixel_goldens import assert_arrays, assert_steps_match, fill

ALL = golden_cases("promptsrc")
CASES = {name: case for name, case in ALL.items() if not name.startswith("gpa")}
RUNS = {name: case for name, case in ALL.items() if name.startswith("gpa")}


def build(meta: dict) -> PromptSRC:
    cfg = meta["cfg"]
    method = PromptSRC(
        golden_vlm(meta["model"]),
        meta["classnames"],
        n_ctx=cfg["N_CTX_TEXT"],
        n_ctx_vision=cfg["N_CTX_VISION"],
        prompt_depth=cfg["PROMPT_DEPTH_TEXT"],
        prompt_depth_vision=cfg["PROMPT_DEPTH_VISION"],
        ctx_init=cfg["CTX_INIT"],
        text_weight=float(cfg["TEXT_LOSS_WEIGHT"]),
        image_weight=float(cfg["IMAGE_LOSS_WEIGHT"]),
        gpa_mean=float(cfg["GPA_MEAN"]),
        gpa_std=float(cfg["GPA_STD"]),
        templates=meta["templates"],
    )
    fill(method, meta)
    return method


class Given:
    """The golden batches, in the golden order, whatever order the loop asks for; one may raise the stop signal."""

    def __init__(self, meta: dict, stop_at: int | None = None) -> None:
        self.images, self.labels = golden_tensor(meta["inputs"]["images"]), golden_tensor(meta["inputs"]["labels"])
        self.n, self.stop_at = meta["batches_per_epoch"], stop_at

    def __len__(self) -> int:
        return self.n * self.labels.shape[1]

    def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
        for step in range((epoch + 1) * self.n - len(indices), (epoch + 1) * self.n):
            if step == self.stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            yield Batch(self.images[step], self.labels[step])


def recipe_of(meta: dict) -> Recipe:
    return Recipe(epochs=meta["epochs"], batch_size=Given(meta).labels.shape[1], lr=0.0025)


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    method = build(meta)
    assert_close(method.ctx, golden["init.prompt_learner.ctx"], 1e-6)
    assert_close(method.frozen_text_features, golden["fixed_text_features"], 1e-5)
    images, labels = golden_tensor(meta["inputs"]["images"])[0], golden_tensor(meta["inputs"]["labels"])[0]
    assert_close(method.class_features(), golden["text_features"], 1e-5)
    assert_close(method.image_features(images), golden["image_features"], 1e-5)
    with torch.no_grad():
        untouched = method.image_encoder(images, method.ctx_visual[:0])
    assert_close(F.normalize(untouched, dim=-1), golden["zero_shot_image_features"], 1e-5)
    losses = method.loss(Batch(images, labels))
    for ours, theirs in (
        ("cross_entropy", "part_ce"),
        ("text_distance", "part_text"),
        ("image_distance", "part_image"),
        ("divergence", "part_logits"),
    ):
        assert losses.terms[ours].item() == pytest.approx(golden[theirs].item(), rel=1e-4), ours
    assert_steps_match(method, meta, golden, lr=0.0025, after=2e-6)


@pytest.mark.parametrize("name", RUNS)
def test_whole_runs_match_the_authors_trainer(name: str) -> None:
    """Warm-up, cosine, prompts after the last epoch, and their average over the epochs."""
    meta, golden = RUNS[name]
    method = build(meta)
    last: dict[str, int] = {}
    weights = epoch_weights(meta["epochs"], method.gpa_mean, method.gpa_std)
    assert weights.tolist() == pytest.approx(golden["gauss"].tolist(), rel=1e-6)
    end_epoch = method.end_epoch

    def spy(epoch: int, n_epochs: int) -> None:
        if epoch + 1 == n_epochs:
            last["found"] = assert_arrays(method, golden, "last_epoch", lambda p: p, 2e-6)
        end_epoch(epoch, n_epochs)

    method.end_epoch = spy  # type: ignore[method-assign]
    records = fit(method, Given(meta), recipe_of(meta), seed=1)
    n = meta["batches_per_epoch"]
    for epoch, record in enumerate(records):
        steps = slice(epoch * n, epoch * n + n)
        assert record.lr == pytest.approx(float(golden["lr"][steps][0]), rel=1e-6)
        assert record.loss == pytest.approx(float(golden["loss"][steps].mean()), rel=1e-4)
    assert last["found"] == assert_arrays(method, golden, "gpa", lambda p: p, 2e-6) == 4
    with torch.no_grad():
        assert_close(method(golden_tensor(meta["inputs"]["images"])[0]), golden["logits_after"], 1e-4)


@pytest.mark.parametrize("stop_at", [0, 1, 2, 5, 7])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path: Path, stop_at: int) -> None:
    """In the middle of an epoch, at its end (before its prompts are averaged), at the very last step."""
    meta, _ = next(iter(RUNS.values()))
    whole, cut, path = build(meta), build(meta), tmp_path / "checkpoint.safetensors"
    records = fit(whole, Given(meta), recipe_of(meta), seed=1)
    with pytest.raises(Interrupted):
        fit(cut, Given(meta, stop_at), recipe_of(meta), seed=1, checkpoint=Checkpoint(path, {}))
    resumed = build(meta)
    with torch.no_grad():
        for parameter in resumed.parameters():  # another start: everything must come from the checkpoint
            parameter.fill_(9.0)
    again = fit(resumed, Given(meta), recipe_of(meta), seed=1, checkpoint=Checkpoint(path, {}, resume=True))
    assert [(r.loss, r.progress) for r in again] == [(r.loss, r.progress) for r in records]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_finished_run_is_not_averaged_again(tmp_path: Path) -> None:
    meta, _ = next(iter(RUNS.values()))
    whole, path = build(meta), tmp_path / "checkpoint.safetensors"
    fit(whole, Given(meta), recipe_of(meta), seed=1, checkpoint=Checkpoint(path, {}))
    resumed = build(meta)
    fit(resumed, Given(meta), recipe_of(meta), seed=1, checkpoint=Checkpoint(path, {}, resume=True))
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_a_second_fit_starts_a_new_average() -> None:
    meta, _ = next(iter(RUNS.values()))
    twice, once = build(meta), build(meta)
    fit(twice, Given(meta), recipe_of(meta), seed=1)
    once.load_state_dict(twice.state_dict())
    fit(twice, Given(meta), recipe_of(meta), seed=1)
    fit(once, Given(meta), recipe_of(meta), seed=1)
    assert all(torch.equal(once.state_dict()[name], value) for name, value in twice.state_dict().items())


def test_epoch_weights_are_a_gaussian_and_sum_to_one() -> None:
    """Densities 1, e^-1/2 and e^-2 at distances 0, 1 and 2; a mean far behind the end leaves the last epoch alone."""
    densities = np.exp([-2.0, -0.5, 0.0, -0.5])
    assert epoch_weights(4, 3.0, 1.0).tolist() == pytest.approx((densities / densities.sum()).tolist())
    assert epoch_weights(2, 90.0, 1.0).tolist() == pytest.approx([0.0, 1.0])
    assert epoch_weights(1, 15.0, 1.0).tolist() == [1.0]


def test_the_divergence_over_images_is_that_over_elements_times_the_classes() -> None:
    meta, _ = next(iter(CASES.values()))
    method = build(meta)
    images, labels = golden_tensor(meta["inputs"]["images"])[0], golden_tensor(meta["inputs"]["labels"])[0]
    by_element = method.loss(Batch(images, labels)).terms["divergence"].item()
    method.kl_mean = "batch"
    assert method.loss(Batch(images, labels)).terms["divergence"].item() == pytest.approx(6 * by_element, rel=1e-5)


def test_by_default_the_frozen_classes_are_the_authors_sixty_templates() -> None:
    method = PromptSRC(golden_vlm("vit_b"), ["tea", "owl"])
    assert method.templates == TEMPLATES["imagenet-60"]
    assert len(set(method.templates)) == 60
    assert "frozen_text_features" not in vars(method)  # predicting does not pay for them


def test_the_frozen_classes_do_not_take_on_a_steps_precision() -> None:
    exact, first_asked_in_half = (
        PromptSRC(golden_vlm("vit_b"), ["tea", "owl"], templates=["a {}.", "the {}."]) for _ in range(2)
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = first_asked_in_half.frozen_text_features
    assert torch.equal(found, exact.frozen_text_features)


def test_what_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match="n_ctx_vision is 0; allowed is a whole number from 1"):
        PromptSRC(vlm, ["a", "b"], n_ctx_vision=0)
    with pytest.raises(ConfigError, match="prompt_depth is 0; allowed"):
        PromptSRC(vlm, ["a", "b"], prompt_depth=0)
    with pytest.raises(ConfigError, match=r"gpa_std is 0\.0; .*above 0"):
        PromptSRC(vlm, ["a", "b"], gpa_std=0.0)
    with pytest.raises(ConfigError, match="kl_mean is 'bach'; allowed are 'elements', 'batch'.*Did you mean 'batch'"):
        PromptSRC(vlm, ["a", "b"], kl_mean="bach")
    with pytest.raises(ModelError, match="is a ResNet"):
        PromptSRC(golden_vlm("rn_a"), ["a", "b"])
