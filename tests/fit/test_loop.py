"""The loop: what a step sees, exact resume, interruption, a loss that is not a number."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coopt.data import epoch_batches
from coopt.errors import RunError, TrainingError
from coopt.fit import Checkpoint, Interrupted, Recipe, TrainingBatches, fit
from coopt.methods import Batch, CoOp, Losses, Method
from tests.given import given
from tests.goldens.golden import golden_vlm

NAMES = ["tea", "barn owl", "red fox"]


def make(seed: int = 1, **settings: object) -> CoOp:
    torch.manual_seed(seed)
    return CoOp(golden_vlm("vit_b"), NAMES, n_ctx=3, **settings)  # type: ignore[arg-type]


def shown(n_views: int = 2, n: int = 19) -> tuple[torch.Tensor, torch.Tensor]:
    """Views (V, N, E) and labels."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n_views, n, 64, generator=generator), torch.arange(n) % 3


def features(n_views: int = 2, n: int = 19) -> TrainingBatches:
    return given(*shown(n_views, n))


class StopAfter:
    """Training images that raise the process's own signal after some batches."""

    def __init__(self, images: TrainingBatches, n_batches: int, number: int = signal.SIGINT) -> None:
        self.images, self.left, self.number = images, n_batches, number

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
        for batch in self.images.batches(epoch, indices, first_step):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.number)
            yield batch


RECIPE = Recipe(epochs=7, batch_size=5, lr=0.05)


@pytest.mark.parametrize(("optimizer", "schedule"), [("sgd", "cosine"), ("adamw", "cosine-step")])
@pytest.mark.parametrize("n_batches", [1, 3, 6, 8, 14])  # 3 and 6 are the last steps of an epoch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_to_the_same_bits(
    tmp_path: Path, optimizer: str, schedule: str, n_batches: int, number: signal.Signals
) -> None:
    recipe = Recipe(epochs=7, batch_size=5, lr=0.05, optimizer=optimizer, schedule=schedule)
    whole = make()
    records = fit(whole, features(), recipe, seed=3)

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Interrupted, match=r"stopped in epoch \d of 7, after step \d"):
        fit(make(), StopAfter(features(), n_batches, number), recipe, seed=3, checkpoint=Checkpoint(path, {"a": 1}))
    assert path.is_file()
    resumed = make(seed=99)  # another start: everything must come from the checkpoint
    again = fit(resumed, features(), recipe, seed=3, checkpoint=Checkpoint(path, {"a": 1}, resume=True))
    assert torch.equal(resumed.ctx, whole.ctx)
    assert [(r.epoch, r.loss, r.progress, r.lr) for r in again] == [
        (r.epoch, r.loss, r.progress, r.lr) for r in records
    ]


def test_a_run_killed_between_saves_resumes_from_the_last_save(tmp_path: Path) -> None:
    """`every=0.0` saves after every step; the last save of a run cut by an error is what a kill would leave."""

    class Cut(TrainingBatches):
        def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
            for number, batch in enumerate(super().batches(epoch, indices, first_step)):
                if (epoch, number) == (4, 1):
                    raise MemoryError
                yield batch

    whole, path = make(), tmp_path / "c.safetensors"
    fit(whole, features(), RECIPE, seed=3)
    cut = Cut(features().images, features().targets)
    with pytest.raises(MemoryError):
        fit(make(), cut, RECIPE, seed=3, checkpoint=Checkpoint(path, {}, every=0.0))
    resumed = make(seed=8)
    fit(resumed, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}, resume=True))
    assert torch.equal(resumed.ctx, whole.ctx)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Interrupted):
        fit(make(), StopAfter(features(), 2), RECIPE, seed=3, checkpoint=Checkpoint(path, {"seed": 3}))
    with pytest.raises(RunError, match="other settings .seed: 3 then, 4 now"):
        fit(make(), features(), RECIPE, seed=4, checkpoint=Checkpoint(path, {"seed": 4}, resume=True))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"checkpoint\.safetensors cannot be read .*remove it to start again"):
        fit(make(), features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {"seed": 3}, resume=True))


def test_without_resume_a_checkpoint_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"anything")
    fresh, other = make(), make()
    fit(fresh, features(), RECIPE, seed=3)
    fit(other, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}))
    assert torch.equal(fresh.ctx, other.ctx)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first, second, third = make(), make(), make()
    fit(first, features(), RECIPE, seed=3)
    fit(second, features(), RECIPE, seed=3)
    fit(third, features(), RECIPE, seed=4)
    assert torch.equal(first.ctx, second.ctx)
    assert not torch.equal(first.ctx, third.ctx)


def test_records_say_what_the_steps_saw() -> None:
    """One epoch, one batch, rate 1e-5: the record's loss and accuracy are those of the untouched method."""
    method, (views, y) = make(), shown(n_views=1, n=11)
    images, x = given(views, y), views[0]
    loss = method.loss(Batch(x, y)).total.item()
    hits = (method(x).argmax(-1) == y).float().mean().item()
    (record,) = fit(method, images, Recipe(epochs=1, batch_size=32), seed=1)
    assert record.loss == pytest.approx(loss, rel=1e-5)
    assert record.progress == pytest.approx(100 * hits)
    assert record.as_dict() == {
        "epoch": 1,
        "loss": record.loss,
        "accuracy": record.progress,
        "lr": 1e-5,
        "seconds": record.seconds,
    }
    assert (record.epoch, record.lr) == (1, 1e-5)


def test_a_loss_that_is_not_a_number_stops_with_place_and_remedy() -> None:
    views, labels = shown(n_views=1)
    views[0, 7] = float("nan")
    images = given(views, labels)
    method = make()
    before = method.ctx.detach().clone()
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 1, step 1 \(learning rate 1e-05.*precision fp32"):
        fit(method, images, Recipe(epochs=2, batch_size=19), seed=1)
    assert torch.equal(method.ctx, before)


def test_each_epoch_draws_views_and_order_anew() -> None:
    (views, labels), seen = shown(n_views=5), []
    images = given(views, labels)
    for epoch in range(3):
        (batch,) = images.batches(epoch, [np.arange(19)])
        assert torch.equal(batch.targets, labels)
        assert batch.index.tolist() == list(range(19))
        x = batch.images
        seen.append(x)
        drawn = [(views[:, i] == x[i]).all(-1).nonzero()[0].item() for i in range(19)]
        assert len(set(drawn)) > 2
    assert not torch.equal(seen[0], seen[1])
    (again,) = images.batches(1, [np.arange(19)])
    assert torch.equal(again.images, seen[1])


def test_every_epoch_has_the_order_of_its_number() -> None:
    class Watched(TrainingBatches):
        def __init__(self) -> None:
            super().__init__(features().images, features().targets)
            self.asked: list[list[list[int]]] = []

        def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
            self.asked.append([batch.tolist() for batch in indices])
            return super().batches(epoch, indices, first_step)

    watched = Watched()
    fit(make(), watched, RECIPE, seed=3)
    expected = [[batch.tolist() for batch in epoch_batches(19, 5, 3, epoch)] for epoch in range(7)]
    assert watched.asked == expected
    assert expected[0] != expected[1]


def test_views_are_drawn_by_the_seed() -> None:
    (one,) = given(*shown(n_views=5), seed=1).batches(0, [np.arange(19)])
    (two,) = given(*shown(n_views=5), seed=2).batches(0, [np.arange(19)])
    assert not torch.equal(one.images, two.images)


def test_a_method_that_draws_random_numbers_resumes_exactly(tmp_path: Path) -> None:
    class Noisy(CoOp):
        def loss(self, batch: Batch) -> Losses:
            return Method.loss(self, replace(batch, images=batch.images + 0.3 * torch.randn_like(batch.images)))

    def noisy(seed: int) -> Noisy:
        torch.manual_seed(seed)
        return Noisy(golden_vlm("vit_b"), NAMES, n_ctx=3)

    whole, resumed, path = noisy(1), noisy(2), tmp_path / "c.safetensors"
    fit(whole, features(), RECIPE, seed=3)
    with pytest.raises(Interrupted):
        fit(noisy(1), StopAfter(features(), 5), RECIPE, seed=3, checkpoint=Checkpoint(path, {}))
    fit(resumed, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}, resume=True))
    assert torch.equal(resumed.ctx, whole.ctx)


def test_a_finished_training_can_be_resumed_when_what_followed_failed(tmp_path: Path) -> None:
    whole, path = make(), tmp_path / "c.safetensors"
    records = fit(whole, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}))
    resumed = make(seed=5)
    again = fit(resumed, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}, resume=True))
    assert torch.equal(resumed.ctx, whole.ctx)
    assert again == records


def test_a_step_to_infinity_stops_before_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    method = make()
    recipe = Recipe(epochs=1, batch_size=19, warmup_epochs=0, lr=1e6, weight_decay=1e38)
    with pytest.raises(TrainingError, match="step 1 of epoch 1 made the learned vectors infinite.*paper's is 0.002"):
        fit(method, features(), recipe, seed=1, checkpoint=Checkpoint(path, {}, every=0.0))
    assert not path.exists()


def test_a_method_without_parameters_is_not_trained() -> None:
    class Nothing(Method):
        pass

    assert fit(Nothing(golden_vlm("vit_b"), NAMES), features(), RECIPE, seed=1) == []


def test_outside_the_main_thread_it_trains_without_signals() -> None:
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(len(fit(make(), features(), RECIPE, seed=1))))
    thread.start()
    thread.join()
    assert done == [7]


@pytest.mark.parametrize("n_steps", [1, 3, 6])
def test_a_signal_in_the_middle_of_a_step_leaves_a_checkpoint(tmp_path: Path, n_steps: int) -> None:
    """It comes after the loop has looked whether to save: the step after it saves and stops."""
    path, whole, stopped, left = tmp_path / "c.safetensors", make(), make(), [n_steps]
    fit(whole, features(), RECIPE, seed=3)
    plain = stopped.task.progress

    def progress(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(logits, targets)

    stopped.task.progress = progress  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        fit(stopped, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}))
    assert path.is_file()
    resumed = make(seed=8)
    fit(resumed, features(), RECIPE, seed=3, checkpoint=Checkpoint(path, {}, resume=True))
    assert torch.equal(resumed.ctx, whole.ctx)
