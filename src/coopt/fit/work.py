"""The trainings of one call of `learn`: what the method sees first, the images of each training, checkpoints."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coopt.data import FewShot, ImageDataset
from coopt.features import EncodedPicks, Inputs, TrainingImages, encode_dataset, encode_views
from coopt.fit.batches import TrainingBatches
from coopt.fit.checkpoint import Checkpoint
from coopt.fit.loop import EpochRecord, fit, step_seed
from coopt.fit.recipe import Recipe
from coopt.fit.reporter import Reporter
from coopt.fit.shots import draw_shots, of_classes
from coopt.methods import Examples, Method, Shots, Training, jsonable
from coopt.models import VLM
from coopt.tasks import Task


class Work:
    """What one call of `learn` trains on, and how.

    Attributes:
        train, val, unlabelled: the images that were drawn; None where there are none.
        weight: what each training image counts; None counts all alike.
        encoded: what the method looks at of the plain training images, where that is known.
    """

    def __init__(self, vlm: VLM, task: Task, recipe: Recipe, seed: int, n_workers: int, reporter: Reporter) -> None:
        self.vlm, self.task, self.recipe = vlm, task, recipe
        self.seed, self.n_workers, self.reporter = seed, n_workers, reporter
        self.train: ImageDataset
        self.val: ImageDataset | None = None
        self.unlabelled: ImageDataset | None = None
        self.weight: Tensor | None = None
        self.encoded: Tensor | None = None

    def draw(
        self,
        kind: type[Method],
        train: ImageDataset,
        val: ImageDataset | None,
        shots: int | None,
        strict: bool,
        classes: Sequence[int] | None = None,
    ) -> FewShot:
        """Draw the training and the validation shots; none for a method that uses none."""
        if not kind.uses_shots:
            self.train = of_classes(train, classes).subset([])
            return FewShot(self.train, np.zeros(0, dtype=np.int64), [], [])
        picks = None
        if kind.inputs.kind != "pixels" and (self.recipe.views == 0 or looks_at_shots(kind)):
            # Checked by encoding them, so that each is decoded once.
            progress = self.reporter.encoding("the picked images")
            picks = EncodedPicks(self.vlm, kind.inputs, n_workers=self.n_workers, progress=progress)
        drawn, chosen = draw_shots(
            self.task,
            train,
            val,
            shots,
            self.seed,
            classes=classes,
            strict=strict,
            n_workers=self.n_workers,
            check=picks,
        )
        self.train, self.val = drawn.dataset, None if chosen is None else chosen.dataset
        if picks is not None:
            self.encoded = picks.features(train, drawn.indices)
        return drawn

    def run(
        self, learner: Method, identity: dict[str, Any], checkpoint_path: Path | None, resume: bool
    ) -> list[EpochRecord]:
        """Prepare the method, do the trainings that it describes, and let it finish."""
        if not same_place(learner.inputs, type(learner).inputs):
            self.encoded = None  # encoded for the class; this instance looks elsewhere
        shots = self.look(learner)
        if shots is not None:
            learner.prepare(shots)
        trained: list[list[EpochRecord]] = []
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
                options: dict[str, Any] = {"checkpoint": checkpoint, "on_epoch": self.reporter.epoch}
                trained.append(fit(training.method, batches, recipe, seed=self.seed, **options))
            # What the method draws next must not depend on how many of the steps were done before an interruption.
            torch.manual_seed(step_seed(self.seed, -1, number))
        if shots is not None:
            learner.finish(shots)
        if len(trained) == 1:
            return trained[0]
        return [replace(r, training=number) for number, part in enumerate(trained, start=1) for r in part]

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
            "unlabelled": [] if self.unlabelled is None else self.unlabelled.names,
            "weight": [] if self.weight is None else self.weight.tolist(),
        }

    def look(self, method: Method) -> Shots | None:
        """What the method sees of the shots, if it looks at them before the first step or after the last."""
        if not looks_at_shots(type(method)) or not type(method).uses_shots:
            return None
        inputs = method.inputs if method.inputs.kind != "pixels" else Inputs(train_views=method.inputs.train_views)
        train = self.examples(f"{len(self.train)} training images", self.train, inputs)
        if method.inputs.kind != "pixels":
            self.encoded = train.images  # the loop need not encode them again
        if inputs.train_views:
            train = replace(train, views=self.views(self.train, inputs, inputs.train_views))
        return Shots(
            train=replace(train, weight=self.weight),
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
        groups = None if part.groups is None else torch.from_numpy(np.unique(part.groups, return_inverse=True)[1])
        return Examples(images, self.task.targets(part) if labelled else None, groups=groups)

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
        """The images of one training; known features of all training images are not computed again."""
        part, targets, weight = self.train, self.task.targets(self.train), self.weight
        views = None if shots is None else shots.train.views
        encoded = (views if recipe.views else self.encoded) if training.method.inputs.kind != "pixels" else None
        if training.shots is not None:
            part, targets, encoded = part.subset(training.shots.tolist()), targets[training.shots], None
            weight = None if weight is None else weight[training.shots]
        weight = None if weight is None else weight / weight.mean()
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
            weight=weight,
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
    return replace(first, images=[*first.images, *second.images], names=names, labels=None, rows=None)
