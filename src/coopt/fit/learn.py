"""The main job in one function: draw the shots, encode them, train the method."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopt.artifacts import resolve_starts, training_details
from coopt.data import ImageDataset, Skipped
from coopt.errors import ConfigError, DataError
from coopt.evaluate import own_stream
from coopt.fit.loop import EpochRecord
from coopt.fit.recipe import Recipe, recipe_for
from coopt.fit.reporter import Reporter
from coopt.fit.shots import of_classes, rest_of
from coopt.fit.work import Work
from coopt.messages import listening
from coopt.methods import Method, build_method, check_settings, find_method, find_preset
from coopt.models import VLM
from coopt.prompting import check_class_names, equal_prompts_allowed
from coopt.tasks import Task, task_of


@dataclass(frozen=True)
class Learned:
    """A trained method and how it came to be."""

    method: Method
    records: list[EpochRecord]
    recipe: Recipe
    """With the number of epochs that was used."""
    train: ImageDataset
    """The images that were learned from."""
    val: ImageDataset | None
    """The validation shots, where there were some."""
    skipped: list[Skipped]
    """Name of and reason for each training image that could not be read."""
    shots: int | None
    """Images per class that were asked for; None for all."""
    seed: int

    def details(self) -> dict[str, Any]:
        """What a run folder keeps beyond the method itself."""
        return training_details(
            self.train,
            self.val,
            self.skipped,
            self.method.task.class_labels,
            shots=self.shots,
            seed=self.seed,
            recipe=self.recipe.as_dict(),
        )


def learn(
    vlm: VLM,
    train: ImageDataset,
    *,
    val: ImageDataset | None = None,
    unlabelled: ImageDataset | None = None,
    method: str = "coop",
    settings: Mapping[str, Any] | None = None,
    preset: str | None = None,
    task: str | type[Task] = "classification",
    task_settings: Mapping[str, Any] | None = None,
    shots: int | None = 16,
    classes: Sequence[int] | None = None,
    seed: int = 1,
    recipe: Recipe | None = None,
    weight: np.ndarray | None = None,
    allow_equal_prompts: bool = False,
    n_workers: int = 0,
    strict: bool = False,
    checkpoint_path: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Learned:
    """Learn `method` from `shots` images per class.

    The validation images (min(shots, 4) per class) are drawn after the training shots from the same random stream,
    as in the authors' protocol; only methods that choose something by validation look at them.

    Args:
        vlm: the frozen model.
        train: labelled images to draw the shots from; a method that uses no shots takes its class names only.
        val: labelled images to draw the validation shots from.
        unlabelled: images for methods that learn from unlabelled ones too; the undrawn part of `train` when None.
        method: a name in `coopt.methods.METHODS`, or `module:Class`.
        settings: the method's settings; its preset's or defaults for those not given.
        preset: name of one of the method's presets; None for its defaults.
        task: a name in `coopt.tasks.TASKS`, or `module:Class`: what the labels mean.
        task_settings: its settings.
        shots: images per class; None learns from all images.
        classes: the labels to learn, renumbered in this order; None means all. The shots are drawn from all classes
            and then cut to these, as in the authors' base-to-new protocol.
        seed: of the shots, the initial context, the order and the augmentation.
        recipe: the method's own by default, changed by its preset (`recipe_for`).
        weight: what each image of `train` counts; scaled to 1 on average over the shots.
        allow_equal_prompts: whether two classes may have names that are the same tokens.
        n_workers: decoding processes.
        strict: make an unreadable image an error.
        checkpoint_path: file to save the running fit to; further trainings of one method have files beside it.
        resume: go on from that file.
        reporter: told about progress.

    Raises:
        ConfigError, DataError, TrainingError: what cannot be used, and how to mend it.
        Interrupted: stopped by a signal; the checkpoint is written.
    """
    kind = find_method(method)
    if train.labels is None and kind.uses_shots:
        raise DataError(f"Learning needs labelled images; {train.source or 'the data'} has no labels.")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed is {seed}; allowed is a whole number from 0 to 2**63 - 1.")
    if weight is not None and (len(weight) != len(train) or not np.all(weight >= 0) or not np.any(weight > 0)):
        raise ConfigError(
            f"weight has {len(weight)} numbers from {np.min(weight):g} to {np.max(weight):g}; one is needed for each "
            f"of the {len(train)} training images, from 0 on and not all 0."
        )
    chosen = find_preset(method, preset)
    settings = check_settings(method, {**chosen.settings, **(settings or {})})  # before slow parts
    recipe = (recipe or recipe_for(method, preset=preset)).resolve(shots)
    told = listening(reporter.note) if reporter else nullcontext()
    with told, own_stream(seed), equal_prompts_allowed(allow_equal_prompts):
        learnt = of_classes(train, classes)
        made_task = task_of(task, learnt, {**chosen.task, **(task_settings or {})})
        if kind.ordered and not made_task.ordered:
            raise ConfigError(
                f"The method {method!r} is for labels in an order, and the task {made_task.key!r} has none. Give the "
                "task 'ordinal' (--task ordinal, task='ordinal'), or take another method, such as coop."
            )
        apart = check_names(vlm, made_task)
        work = Work(vlm, made_task, recipe, seed, n_workers, reporter or Reporter())
        drawn = work.draw(kind, train, val, shots, strict, classes)
        torch.manual_seed(seed)  # the initial context
        starts = resolve_starts(method, settings, vlm)
        with equal_prompts_allowed(apart):
            learner = build_method(method, vlm, made_task.class_names, starts, made_task)
        if learner.inputs.unlabelled:
            work.unlabelled = rest_of(train, drawn, unlabelled, n_workers, classes)
        if weight is not None:
            work.weight = torch.as_tensor(weight[drawn.indices], dtype=torch.float32)
            if not bool((work.weight > 0).any()):
                raise ConfigError("weight is 0 for each of the images that were drawn; give some of them a weight.")
        identity = {"shots": shots, "task": {"name": made_task.key, **made_task.settings}}
        records = work.run(learner, identity, checkpoint_path, resume)
    return Learned(learner, records, recipe, work.train, work.val, drawn.skipped, shots, seed)


def check_names(vlm: VLM, task: Task) -> bool:
    """Refuse classes that compete and whose names are the same tokens; whether some classes never compete.

    Raises:
        DataError: two names are the same tokens.
    """
    groups = getattr(task, "groups", None)  # of several data sets learned at once, each has its own classes
    numbers = [0] * len(task.class_names) if groups is None else groups.tolist()
    for number in sorted(set(numbers)):
        here = [name for name, own in zip(task.class_names, numbers, strict=True) if own == number]
        check_class_names(vlm, here)
    return groups is not None
