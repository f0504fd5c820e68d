"""The main job in one function: draw the shots, encode them, train the method."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coopt.artifacts import resolve_starts, training_details
from coopt.data import FewShot, ImageDataset, Skipped
from coopt.errors import ConfigError, DataError
from coopt.features import EncodedPicks, Inputs, TrainingImages, encode_dataset, encode_views
from coopt.fit.batches import TrainingBatches
from coopt.fit.checkpoint import Checkpoint
from coopt.fit.loop import EpochRecord, fit, step_seed
from coopt.fit.recipe import Recipe, recipe_for
from coopt.fit.reporter import Reporter
from coopt.fit.shots import draw_shots, rest_of
from coopt.methods import Examples, Method, Shots, Training, build_method, check_settings, find_method, find_preset
from coopt.methods.settings import jsonable
from coopt.models import VLM
from coopt.tasks import Task, find_task


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
    task: str = "classification",
    task_settings: Mapping[str, Any] | None = None,
    shots: int | None = 16,
    seed: int = 1,
    recipe: Recipe | None = None,
    weight: np.ndarray | None = None,
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
        seed: of the shots, the initial context, the order and the augmentation.
        recipe: the method's own by default, changed by its preset (`recipe_for`).
        weight: what each image of `train` counts; scaled to 1 on average over the shots.
        n_workers: decoding processes.
        strict: make an unreadable image an error.
        checkpoint_path: file to save the running fit to; further trainings of one method have files beside it.
        resume: go on from that file.
        reporter: told about progress.

    Raises:
        ConfigError, DataError, TrainingError: what cannot be used, and how to mend it.
        Interrupted: stopped by a signal; the checkpoint is written.
    """
    reporter = reporter or Reporter()
    kind = find_method(method)
    if train.labels is None and kind.uses_shots:
        raise DataError(f"Learning needs labelled images; {train.source or 'the data'} has no labels.")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed is {seed}; allowed is a whole number from 0 to 2**63 - 1.")
    settings = check_settings(method, {**find_preset(method, preset).settings, **(settings or {})})  # before slow parts
    recipe = (recipe or recipe_for(method, preset=preset)).resolve(shots)
    made_task = find_task(task)(train.class_names, train.class_labels, **(task_settings or {}))
    picks = None
    if kind.inputs.kind != "pixels" and (recipe.views == 0 or looks_at_shots(kind)):
        progress = reporter.encoding("the picked images")
        picks = EncodedPicks(vlm, kind.inputs, n_workers=n_workers, progress=progress)  # checked by encoding them
    if kind.uses_shots:
        options: dict[str, Any] = {"strict": strict, "n_workers": n_workers, "check": picks}
        drawn, drawn_val = draw_shots(made_task, train, val, shots, seed, **options)
    else:
        drawn, drawn_val = FewShot(train.subset([]), np.zeros(0, dtype=np.int64), [], []), None
    for note in drawn.notes:
        reporter.note(note)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []):
        torch.manual_seed(seed)  # the initial context
        learner = build_method(method, vlm, made_task.class_names, resolve_starts(method, settings, vlm), made_task)
        work = _Work(
            vlm=vlm,
            task=made_task,
            train=drawn.dataset,
            val=None if drawn_val is None else drawn_val.dataset,
            unlabelled=rest_of(train, drawn, unlabelled) if learner.inputs.unlabelled else None,
            weight=None if weight is None else torch.as_tensor(weight[drawn.indices], dtype=torch.float32),
            recipe=recipe,
            seed=seed,
            n_workers=n_workers,
            reporter=reporter,
        )
        if picks is not None and kind.uses_shots and same_place(learner.inputs, picks.inputs):
            work.encoded = picks.features(train, drawn.indices)
        identity = {"shots": shots, "task": {"name": task, **made_task.settings}}
        records = work.run(learner, identity, checkpoint_path, resume)
    return Learned(learner, records, recipe, work.train, work.val, drawn.skipped, shots, seed)


@dataclass
class _Work:
    """What one call of `learn` trains on."""

    vlm: VLM
    task: Task
    train: ImageDataset
    val: ImageDataset | None
    unlabelled: ImageDataset | None
    weight: Tensor | None
    recipe: Recipe
    seed: int
    n_workers: int
    reporter: Reporter
    encoded: Tensor | None = None
    """What the method looks at of the plain training images, where that is known."""

    def run(
        self, learner: Method, identity: dict[str, Any], checkpoint_path: Path | None, resume: bool
    ) -> list[EpochRecord]:
        """Prepare the method, do the trainings that it describes, and let it finish."""
        shots = self.look(learner)
        if shots is not None:
            learner.prepare(shots)
        records: list[EpochRecord] = []
        for number, training in enumerate(learner.trainings(shots)):
            if any(parameter.requires_grad for parameter in training.method.parameters()):
                recipe = replace(self.recipe, **training.recipe) if training.recipe else self.recipe
                checkpoint = None
                if checkpoint_path is not None:
                    place = checkpoint_path.with_stem(f"{checkpoint_path.stem}-{number}") if number else checkpoint_path
                    checkpoint = Checkpoint(place, {**self.identity(training, recipe), **identity}, resume=resume)
                assert recipe.epochs is not None  # resolved by learn
                self.reporter.training(recipe.epochs)
                batches = self.batches(training, recipe, shots)
                records += fit(
                    training.method,
                    batches,
                    recipe,
                    seed=self.seed,
                    checkpoint=checkpoint,
                    on_epoch=self.reporter.epoch,
                )
            # What the method draws next must not depend on how many of the steps were done before an interruption.
            torch.manual_seed(step_seed(self.seed, -1, number))
        if shots is not None:
            learner.finish(shots)
        return records

    def identity(self, training: Training, recipe: Recipe) -> dict[str, Any]:
        """What a checkpoint belongs to."""
        return {
            "method": training.method.key,
            "settings": jsonable(training.method.settings),
            "recipe": recipe.as_dict(),
            "seed": self.seed,
            "fingerprint": self.vlm.fingerprint,
            "class_names": self.task.class_names,
            "images": self.train.names,
        }

    def look(self, method: Method) -> Shots | None:
        """What the method sees of the shots, if it looks at them before the first step or after the last."""
        if not looks_at_shots(type(method)):
            return None
        inputs = method.inputs if method.inputs.kind != "pixels" else Inputs(train_views=method.inputs.train_views)
        train = self.examples(f"{len(self.train)} training images", self.train, inputs)
        if method.inputs.kind != "pixels":
            self.encoded = train.images  # the loop need not encode them again
        if inputs.train_views:
            train = replace(train, views=self.views(self.train, inputs, inputs.train_views))
        return Shots(
            train=train,
            val=self.examples(f"{len(self.val)} validation images", self.val, inputs) if self.val else None,
            unlabelled=self.examples(f"{len(self.unlabelled)} unlabelled images", self.unlabelled, inputs, False)
            if self.unlabelled
            else None,
        )

    def examples(self, what: str, part: ImageDataset, inputs: Inputs, labelled: bool = True) -> Examples:
        """The plain images of a part, as a method looks at them."""
        images = self.encoded if part is self.train else None
        if images is None:
            options: dict[str, Any] = {"n_workers": self.n_workers, "progress": self.reporter.encoding(what)}
            images = encode_dataset(self.vlm, part, inputs=inputs, strict=labelled, **options).features
        return Examples(images, self.task.targets(part) if labelled else None)

    def views(self, part: ImageDataset, inputs: Inputs, n_views: int) -> Tensor:
        """Augmented views (V, N, ...) of a part."""
        return encode_views(
            self.vlm,
            part,
            n_views,
            self.seed,
            inputs=inputs,
            min_crop=self.recipe.min_crop,
            n_workers=self.n_workers,
            progress=self.reporter.encoding(f"{len(part)} training images, {n_views} views each"),
        )

    def batches(self, training: Training, recipe: Recipe, shots: Shots | None) -> TrainingBatches:
        """The images of one training; features that the method has seen are not computed again."""
        part, targets, weight = self.train, self.task.targets(self.train), self.weight
        views = None if shots is None else shots.train.views
        encoded = (views if recipe.views else self.encoded) if training.method.inputs.kind != "pixels" else None
        if training.shots is not None:
            part, targets, encoded = part.subset(training.shots.tolist()), targets[training.shots], None
            weight = None if weight is None else weight[training.shots]
        if training.pseudo is not None:
            assert self.unlabelled is not None and training.pseudo_targets is not None  # the method got them
            part = joined(part, self.unlabelled.subset(training.pseudo.tolist()))
            targets, encoded = torch.cat([targets, training.pseudo_targets.to(targets)]), None
            weight = None if weight is None else torch.cat([weight, torch.ones(len(training.pseudo))])
        n_parallel = training.method.inputs.unlabelled
        beside = self.images(training.method, self.unlabelled, recipe, None, n_parallel) if n_parallel else None
        return TrainingBatches(
            self.images(training.method, part, recipe, encoded),
            targets,
            weight=None if weight is None else weight / weight.mean(),
            unlabelled=beside,
            n_unlabelled=recipe.batch_size,
            seed=self.seed,
        )

    def images(
        self, method: Method, part: ImageDataset | None, recipe: Recipe, encoded: Tensor | None, n_parallel: int = 1
    ) -> TrainingImages:
        """A part's images as the method's inputs and the recipe's views say."""
        assert part is not None
        views = "fresh views" if isinstance(recipe.views, str) else f"{max(1, recipe.views)} view(s) each"
        return TrainingImages(
            self.vlm,
            part,
            method.inputs,
            views=recipe.views,
            seed=self.seed,
            min_crop=recipe.min_crop,
            n_workers=self.n_workers,
            encoded=encoded,
            n_parallel=n_parallel,
            progress=self.reporter.encoding(f"{len(part)} images, {views}"),
        )


def looks_at_shots(kind: type[Method]) -> bool:
    """Whether a method looks at its shots before the first step or after the last one."""
    return any(getattr(kind, name) is not getattr(Method, name) for name in ("prepare", "trainings", "finish"))


def same_place(one: Inputs, other: Inputs) -> bool:
    """Whether two methods look at the same thing of a plain image."""
    return (one.kind, one.at, one.frames) == (other.kind, other.at, other.frames)


def joined(first: ImageDataset, second: ImageDataset) -> ImageDataset:
    """The images of both, unlabelled."""
    names = [*(first.names or []), *(second.names or [])]
    return replace(first, images=[*first.images, *second.images], names=names, labels=None)
