"""The training loop: batch, loss, step, record. One straight function."""

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.data import epoch_batches
from coopt.errors import Interrupted, TrainingError
from coopt.fit.batches import Batches
from coopt.fit.checkpoint import Checkpoint, TrainingState
from coopt.fit.recipe import Recipe, learning_rate, make_optimizer
from coopt.messages import option
from coopt.methods import Method


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch showed; a line of `metrics.jsonl`."""

    epoch: int
    """From 1."""
    loss: float
    """Mean over the epoch's steps."""
    progress: float
    """The task's figure over the training images as the steps met them: accuracy in percent, for classification."""
    progress_name: str
    """What it is: its key in the log."""
    lr: float
    """Of the epoch's last step."""
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For the log."""
        values = asdict(self)
        name, value = values.pop("progress_name"), values.pop("progress")
        return {"epoch": values.pop("epoch"), "loss": values.pop("loss"), name: value, **values}


def fit(
    method: Method,
    images: Batches,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> list[EpochRecord]:
    """Train `method` in place and return one record per epoch.

    Batch order, augmentation and any random number that a method draws depend on (seed, epoch, step) only, so a run
    that was stopped and goes on from its checkpoint ends in exactly the parameters it would have had.

    Args:
        method: the method, prepared.
        images: the training images with their targets.
        recipe: with `epochs` resolved.
        seed: of order and augmentation.
        checkpoint: where to save and from where to go on; None keeps nothing.
        on_epoch: called with each epoch's record, also with those of epochs before a resume.

    Raises:
        TrainingError: the loss is not a finite number.
        Interrupted: a signal asked to stop; the checkpoint is written.
    """
    parameters = [p for p in method.parameters() if p.requires_grad]
    if not parameters:
        return []
    if recipe.epochs is None:
        raise ValueError("The recipe's epochs are None; call recipe.resolve(n_shots) before fit.")
    optimizer = make_optimizer(method.parameter_groups(recipe), recipe)
    autocast, scaler = mixed_precision(recipe, method.device)
    state = checkpoint.load(method, optimizer, scaler) if checkpoint else None
    start_epoch, start_step, seen = (state.epoch, state.step, state.seen) if state else (0, 0, 0)
    records = [EpochRecord(**record) for record in state.records] if state else []
    # Sums over the epoch's steps, of losses and of the task's figure. They stay on the device: to read them is to wait.
    sums = running_sums((state.total_loss, state.progress) if state else (0.0, 0.0), method.device)
    check_every = steps_between_checks(method.device)
    for record in records:
        on_epoch(record)

    with stop_on_signal() as stop:
        for epoch in range(start_epoch, recipe.epochs):
            started = time.perf_counter()
            batches = epoch_batches(len(images), recipe.batch_size, seed, epoch, drop_last=recipe.drop_last)
            # The rate of the step before: where a resumed epoch has no step left, its record still names one.
            rate = learning_rate(recipe, epoch, max(0, start_step - 1) / len(batches))
            for step, batch in enumerate(images.batches(epoch, batches[start_step:], start_step), start_step):
                rate = learning_rate(recipe, epoch, step / len(batches))
                for group in optimizer.param_groups:
                    group["lr"] = rate * group.get("lr_scale", 1.0)
                seed_generators(step_seed(seed, epoch, step), method.device)
                optimizer.zero_grad(set_to_none=True)
                with autocast():
                    losses = method.gradients(batch, scaler.scale)
                stops = stop.is_set()  # asked once: a signal that comes later in the step waits for the next one
                saves = checkpoint is not None and (stops or checkpoint.is_due())
                checks = saves or stops or step + 1 == len(batches) or step % check_every == 0
                if checks:
                    check_finite(losses.total, epoch, step, rate, recipe)
                scaler.step(optimizer)
                scaler.update()
                if checks:
                    check_parameters(parameters, epoch, step, rate, recipe)
                assert batch.targets is not None  # images of the loop are labelled
                figure = method.task.progress(losses.logits, batch.targets)
                sums += torch.stack([losses.total.detach().to(sums), figure.to(sums).sum()])
                seen += len(batch.images)
                if saves and checkpoint is not None:
                    past = [asdict(record) for record in records]
                    loss_so_far, progress_so_far = sums.tolist()
                    place = TrainingState(epoch, step + 1, loss_so_far, progress_so_far, seen, past)
                    checkpoint.save(method, optimizer, scaler, place)
                if stops:
                    raise Interrupted(f"stopped in epoch {epoch + 1} of {recipe.epochs}, after step {step + 1}")
            method.end_epoch(epoch, recipe.epochs)
            total_loss, total_progress = sums.tolist()
            records.append(
                EpochRecord(
                    epoch=epoch + 1,
                    loss=total_loss / len(batches),
                    progress=total_progress / max(1, seen),
                    progress_name=method.task.progress_name,
                    lr=rate,
                    seconds=time.perf_counter() - started,
                )
            )
            on_epoch(records[-1])
            start_step, seen = 0, 0
            sums.zero_()
    if checkpoint and start_epoch < recipe.epochs:
        # What follows (testing, writing the run) may fail; the training must not be lost with it.
        past = [asdict(record) for record in records]
        checkpoint.save(method, optimizer, scaler, TrainingState(recipe.epochs, 0, 0.0, 0.0, 0, past))
    if stop.is_set():  # asked for while the last epoch was recorded
        raise Interrupted(f"stopped after the last of {recipe.epochs} epochs")
    return records


def steps_between_checks(device: torch.device) -> int:
    """How often loss and parameters are looked at; a device other than the CPU would have to be waited for."""
    return 1 if device.type == "cpu" else 16


def running_sums(start: tuple[float, float], device: torch.device) -> Float[Tensor, "2"]:
    """Two sums on the device, in double precision where it has that."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.tensor(start, dtype=dtype, device=device)


def step_seed(seed: int, epoch: int, step: int) -> int:
    """A seed for whatever a method draws in this step, hashed from its place so that a resume draws the same."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{step}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def seed_generators(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, for the devices in use only: that one also queues a call for each absent accelerator."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def check_finite(loss: torch.Tensor, epoch: int, step: int, rate: float, recipe: Recipe) -> None:
    """Stop at the first loss that is not a number, before it reaches the parameters."""
    if not torch.isfinite(loss):
        raise TrainingError(
            f"The loss is {loss.item()} in epoch {epoch + 1}, step {step + 1} (learning rate {rate:g}, precision "
            f"{recipe.precision}). {remedy()}"
        )


def check_parameters(parameters: list[torch.nn.Parameter], epoch: int, step: int, rate: float, recipe: Recipe) -> None:
    """Stop before parameters that are not finite reach a checkpoint or a run folder."""
    finite = torch.stack([torch.isfinite(p).all().to(parameters[0].device) for p in parameters])
    if not bool(finite.all()):  # one wait for all of them
        raise TrainingError(
            f"The step {step + 1} of epoch {epoch + 1} made the learned vectors infinite (learning rate {rate:g}, "
            f"precision {recipe.precision}). {remedy()}"
        )


def remedy() -> str:
    """What to do where numbers are no longer finite."""
    return (
        f"Try a lower {option('--lr', 'lr')} (the paper's is 0.002), "
        f"{option('--precision fp32', 'precision fp32')}, or look for images or features that are not finite. "
        "The last checkpoint, if there is one, is from before."
    )


def mixed_precision(recipe: Recipe, device: torch.device) -> tuple[Callable[[], Any], torch.amp.GradScaler]:
    """The autocast context of a step, and a gradient scaler that does something only for fp16."""
    precision = recipe.precision
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16" if fast else "fp32"
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    if precision == "fp32":
        return nullcontext, scaler
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype), scaler


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a termination signal set, so that a step is never cut in two; twice stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    def ask(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
