"""The main job in one function: draw the shots, encode them, train the method."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopt.artifacts import SeenImages, resolve_starts, training_details
from coopt.data import ImageDataset, Skipped
from coopt.errors import ConfigError, DataError
from coopt.evaluate import own_stream
from coopt.fit.asked import note_bare_numbers, read_seed, read_shots
from coopt.fit.loop import EpochRecord
from coopt.fit.recipe import Recipe, recipe_for, used_settings
from coopt.fit.reporter import Reporter
from coopt.fit.shots import of_classes, rest_of, tell_conflicts
from coopt.fit.weights import ClassWeight, check_weighted, read_weight, shot_weights, without_zeros
from coopt.fit.work import Work
from coopt.messages import listening, option
from coopt.methods import Method, build_method, check_settings, find_method, find_preset, jsonable
from coopt.models import VLM
from coopt.prompting import check_class_names, equal_prompts_allowed
from coopt.tasks import Classification, Task, task_of


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
    class_weight: ClassWeight = None
    """What the images of a class counted, where that was asked for."""
    is_weighted: bool = False
    """Whether the images had weights of their own."""

    def seen(self) -> SeenImages:
        """The images that were learned from or chosen on, by their content: files are read, once for a result."""
        parts = [self.train] + ([self.val] if self.val is not None and self.method.uses_validation else [])
        return SeenImages(np.concatenate([part.digests for part in parts]))

    def details(self) -> dict[str, Any]:
        """What a run folder keeps beyond the method itself."""
        weights: dict[str, Any] = {} if self.class_weight is None else {"class_weight": jsonable(self.class_weight)}
        weights |= {"sample_weight": True} if self.is_weighted else {}
        return training_details(
            self.train,
            self.val,
            self.skipped,
            self.method.task.class_labels,
            shots=self.shots if self.method.uses_shots else None,
            seed=self.seed,
            recipe={
                name: value for name, value in self.recipe.as_dict().items() if name in used_settings(self.method.key)
            },
            **weights,
        )

    def __repr__(self) -> str:
        """The method, its images and its last epoch on one line."""
        epochs = f", {len(self.records)} epochs, last {self.records[-1]!r}" if self.records else ""
        return f"Learned({self.method.key!r}, {self.train.summary()}{epochs})"


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
    shots: int | str | None = 16,
    classes: Sequence[int] | None = None,
    seed: int = 1,
    recipe: Recipe | None = None,
    weight: Any = None,
    class_weight: ClassWeight = None,
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
        shots: images per class; "all" or None learns from all images.
        classes: the labels to learn, renumbered in this order; None means all. The shots are drawn from all classes
            and then cut to these, as in the authors' base-to-new protocol.
        seed: of the shots, the initial context, the order and the augmentation.
        recipe: the method's own by default, changed by its preset (`recipe_for`).
        weight: what each image of `train` counts; 0 leaves it out. A step scales them to 1 on average.
        class_weight: "balanced", or what the images of a class count, by label; multiplies `weight`.
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
    shots, seed = read_shots(shots), read_seed(seed)
    check_weighted(method, kind, weight, class_weight)
    weight = None if weight is None else read_weight(weight, len(train))
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
                f"task 'ordinal' ({option('--task', 'task')}), or take another method, such as coop."
            )
        apart = check_names(vlm, made_task)
        work = Work(vlm, made_task, recipe, seed, n_workers, reporter or Reporter())
        if isinstance(made_task, Classification):  # a task of quantities has numbers for words
            note_bare_numbers(kind, made_task.class_names)
        if weight is not None:
            train, weight = without_zeros(train, weight)
        drawn = work.draw(kind, train, val, shots, strict, classes)
        tell_conflicts(work.train)
        torch.manual_seed(seed)  # the initial context
        starts = resolve_starts(method, settings, vlm)
        with equal_prompts_allowed(apart):
            learner = build_method(method, vlm, made_task.class_names, starts, made_task)
        if learner.inputs.unlabelled:
            work.unlabelled = rest_of(train, drawn, unlabelled, n_workers, classes)
        elif unlabelled is not None:
            raise ConfigError(f"unlabelled: {method!r} does not learn from unlabelled images; leave them out.")
        weights = shot_weights(drawn.dataset, None if weight is None else weight[drawn.indices], class_weight)
        work.weight = None if weights is None else torch.as_tensor(weights, dtype=torch.float32)
        identity = {"shots": shots, "task": {"name": made_task.key, **made_task.settings}}
        records = work.run(learner, identity, checkpoint_path, resume)
    facts = (recipe, work.train, work.val, drawn.skipped, shots, seed, class_weight, weight is not None)
    return Learned(learner, records, *facts)


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
