"""The main job in one function: draw the shots, encode them, train the method."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopt.data import DataWarning, FewShot, ImageDataset, Skipped, few_shot_subset, few_shot_train_val, find_unreadable
from coopt.errors import ConfigError, DataError
from coopt.features import encode_dataset, encode_views
from coopt.fit.checkpoint import Checkpoint
from coopt.fit.images import AugmentedBatches, EncodedBatches, FeatureViews, PixelViews, TrainingImages
from coopt.fit.loop import EpochRecord, fit
from coopt.fit.recipe import Recipe, recipe_for
from coopt.fit.reporter import Reporter
from coopt.methods import FeatureSet, Method, build_method, check_settings, find_method, find_preset
from coopt.models import VLM


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


def learn(
    vlm: VLM,
    train: ImageDataset,
    *,
    val: ImageDataset | None = None,
    method: str = "coop",
    settings: Mapping[str, Any] | None = None,
    preset: str | None = None,
    shots: int | None = 16,
    seed: int = 1,
    recipe: Recipe | None = None,
    n_workers: int = 0,
    strict: bool = False,
    checkpoint_path: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Learned:
    """Learn `method` from `shots` images per class.

    The validation images (min(shots, 4) per class) are drawn behind the training shots from the same random stream,
    as in the authors' protocol; only methods that choose something by validation look at them.

    Args:
        vlm: the frozen model.
        train: labelled images to draw the shots from.
        val: labelled images to draw the validation shots from.
        method: a name in `coopt.methods.METHODS`.
        settings: the method's settings; its preset's or defaults for those not given.
        preset: name of one of the method's presets; None for its defaults.
        shots: images per class; None learns from all images.
        seed: of the shots, the initial context, the order and the augmentation.
        recipe: the method's own by default, changed by its preset (`recipe_for`).
        n_workers: decoding processes.
        strict: make an unreadable image an error.
        checkpoint_path: file to save the running fit to.
        resume: go on from that file.
        reporter: told about progress.

    Raises:
        ConfigError, DataError, TrainingError: what cannot be used, and how to mend it.
        Interrupted: stopped by a signal; the checkpoint is written.
    """
    reporter = reporter or Reporter()
    if train.labels is None:
        raise DataError(f"Learning needs labelled images; {train.source or 'the data'} has no labels.")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed is {seed}; allowed is a whole number from 0 to 2**63 - 1.")
    settings = {**find_preset(method, preset).settings, **(settings or {})}
    check_settings(method, settings)  # before the slow part
    recipe = (recipe or recipe_for(method, preset=preset)).resolve(shots)
    if find_method(method).learns:
        shown, chosen = draw_shots(train, val, shots, seed, strict, n_workers)
    else:
        shown, chosen = FewShot(train.subset([]), np.zeros(0, dtype=np.int64), [], []), None
    for note in shown.notes:
        reporter.note(note)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []):
        torch.manual_seed(seed)  # the initial context
        learner = build_method(method, vlm, train.class_names, settings)
        known, known_val = prepare(learner, shown.dataset, chosen, recipe, seed, n_workers, reporter)
        records: list[EpochRecord] = []
        if any(parameter.requires_grad for parameter in learner.parameters()):
            images = training_images(vlm, learner, shown.dataset, recipe, seed, n_workers, reporter, known)
            checkpoint = None
            if checkpoint_path is not None:
                identity = {
                    "method": method,
                    "settings": learner.settings,
                    "recipe": recipe.as_dict(),
                    "seed": seed,
                    "shots": shots,
                    "fingerprint": vlm.fingerprint,
                    "class_names": train.class_names,
                    "images": shown.dataset.names,
                }
                checkpoint = Checkpoint(checkpoint_path, identity, resume=resume)
            assert recipe.epochs is not None  # resolved above
            reporter.training(recipe.epochs)
            records = fit(learner, images, recipe, seed=seed, checkpoint=checkpoint, on_epoch=reporter.epoch)
        if known is not None:
            learner.finish(known, known_val)
    return Learned(learner, records, recipe, shown.dataset, chosen, shown.skipped)


def draw_shots(
    train: ImageDataset, val: ImageDataset | None, shots: int | None, seed: int, strict: bool, n_workers: int
) -> tuple[FewShot, ImageDataset | None]:
    """The training shots and the validation shots; all readable training images when `shots` is None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the notes say the same, to whoever listens
        if shots is None:
            return all_readable(train, strict, n_workers), val
        if val is None:
            return few_shot_subset(train, shots, seed, strict=strict, n_workers=n_workers), None
        shown, chosen = few_shot_train_val(train, val, shots, seed, strict=strict, n_workers=n_workers)
        return shown, chosen.dataset


def all_readable(train: ImageDataset, strict: bool, n_workers: int) -> FewShot:
    """Every training image that can be read.

    Raises:
        DataError: a class has no readable image, or `strict` and a file is unreadable.
    """
    bad = find_unreadable(train, n_workers=n_workers)
    kept = np.array([index for index in range(len(train)) if index not in bad], dtype=np.int64)
    left = train.subset(kept)
    empty = [name for name, count in zip(train.class_names, left.class_counts(), strict=True) if count == 0]
    if bad and (strict or empty):
        name, reason = next(iter(bad.values()))
        raise DataError(
            f"{len(bad)} training image(s) cannot be read, the first is '{name}': {reason}."
            + (f" Nothing is left of the class {empty[0]!r}." if empty else "")
        )
    notes = (
        [f"{len(bad)} unreadable training image(s) left out: {', '.join(s.name for s in bad.values())}."] if bad else []
    )
    return FewShot(left, kept, list(bad.values()), notes)


def training_images(
    vlm: VLM,
    method: Method,
    dataset: ImageDataset,
    recipe: Recipe,
    seed: int,
    n_workers: int,
    reporter: Reporter,
    known: FeatureSet | None = None,
) -> TrainingImages:
    """The recipe's `views` of the images, as pixels for a method that changes the image tower, else as features.

    Features that `prepare` was given are not computed again.
    """
    if isinstance(recipe.views, str):  # "fresh"
        fresh = AugmentedBatches if method.needs_pixels else EncodedBatches
        return fresh(vlm, dataset, seed, n_workers, min_crop=recipe.min_crop)
    if method.needs_pixels:
        return PixelViews(vlm, dataset, recipe.views, seed, n_workers, min_crop=recipe.min_crop)
    labels = torch.as_tensor(dataset.labels)
    if known is not None and not recipe.views:
        return FeatureViews(known.features[None], labels, seed)
    if known is not None and known.views is not None and len(known.views) >= recipe.views:
        return FeatureViews(known.views[: recipe.views], labels, seed)
    progress = reporter.encoding(f"{len(dataset)} training images, {max(1, recipe.views)} view(s) each")
    views = encode_views(
        vlm, dataset, recipe.views, seed, min_crop=recipe.min_crop, n_workers=n_workers, progress=progress
    )
    return FeatureViews(views, labels, seed)


def prepare(
    method: Method,
    train: ImageDataset,
    val: ImageDataset | None,
    recipe: Recipe,
    seed: int,
    n_workers: int,
    reporter: Reporter,
) -> tuple[FeatureSet | None, FeatureSet | None]:
    """Give the method features of the shots, if it looks at them before the first step or behind the last.

    Returns:
        What it was given of the training and of the validation shots; None for nothing.
    """
    if type(method).prepare is Method.prepare and type(method).finish is Method.finish:
        return None, None

    def encode(name: str, part: ImageDataset) -> FeatureSet:
        progress = reporter.encoding(f"{len(part)} {name} images")
        encoded = encode_dataset(method.vlm, part, n_workers=n_workers, strict=True, progress=progress)
        return FeatureSet(encoded.features, torch.as_tensor(part.labels))

    shown = encode("training", train)
    if method.prepare_views:
        progress = reporter.encoding(f"{len(train)} training images, {method.prepare_views} views each")
        views = encode_views(
            method.vlm,
            train,
            method.prepare_views,
            seed,
            min_crop=recipe.min_crop,
            n_workers=n_workers,
            progress=progress,
        )
        shown = replace(shown, views=views)
    chosen = encode("validation", val) if val else None
    method.prepare(shown, chosen)
    return shown, chosen
