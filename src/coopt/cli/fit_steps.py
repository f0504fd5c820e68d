"""What `coopt fit` does before and after the learning itself."""

import contextlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from coopt.artifacts import check_target, save_run
from coopt.cli.console import out, show_path
from coopt.cli.progress import ConsoleReporter
from coopt.cli.sources import read_data
from coopt.data import ImageDataset, Splits, load_dataset
from coopt.data.wording import count
from coopt.errors import ConfigError, CooptError, DataError
from coopt.fit import Comparison, Learned, Recipe, compare, cross_validate, recipe_for, recipe_value
from coopt.methods import find_method, parse_settings
from coopt.models import VLM
from coopt.prompting import read_templates

CHECKPOINT = "checkpoint.safetensors"
UNTESTED = "Nothing was tested: the data has no labelled test images."


def read_settings(
    method: str, preset: str | None, pairs: Sequence[str], truncate_names: bool, changes: dict[str, Any]
) -> tuple[dict[str, Any], Recipe]:
    """The method's settings and the recipe, from its preset, --set pairs and the recipe's own options.

    Raises:
        ConfigError: a preset or a setting that neither has, or a value that is not allowed.
    """
    kinds = {field.name: field.type for field in fields(Recipe)}
    values = {name: value for name, value in changes.items() if value is not None}
    for_method = []
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name.strip() in kinds:
            values[name.strip()] = text
        else:
            for_method.append(pair)
    settings = parse_settings(method, for_method)
    if truncate_names:
        if "truncate_names" not in find_method(method).setting_parameters():
            raise ConfigError(f"--truncate-names goes with methods that learn prompts; {method!r} has no such setting.")
        settings["truncate_names"] = True
    return settings, recipe_for(method, {name: recipe_value(value) for name, value in values.items()}, preset)


def default_name(data: Sequence[str], method: str, n_shots: int | None, seed: int) -> str:
    """`photos-coop-16shot-seed1`."""
    names = "+".join(Path(source.rstrip("/")).name or "data" for source in data)
    stem, method = (re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") for text in (names, method))
    return f"{stem}-{method}-{'all' if n_shots is None else f'{n_shots}shot'}-seed{seed}"


def check_before(folder: Path, overwrite: bool, template: str, seed: int) -> None:
    """Refuse what cannot be used, before the slow parts.

    Raises:
        ConfigError: the seed or the template.
        RunError: there is a run in the folder, or no run can be written there.
    """
    read_templates(template)
    if seed >= 2**63:
        raise ConfigError(f"--seed is {seed}; allowed is a whole number from 0 to 2**63 - 1.")
    check_target(folder, overwrite)


def read_all(
    data: Sequence[str], method: str, unlabelled: str | None, **options: Any
) -> tuple[Splits, ImageDataset, ImageDataset | None]:
    """The data in its parts, the images that are learned from, and those without labels.

    Raises:
        DataError: there are no training images, or no labels where the method needs them.
    """
    kind = find_method(method)
    learns = kind.uses_shots
    splits = read_data(data, len(data) > 1, **options, require_labels=learns, validation=kind.uses_validation)
    train = splits.train if splits.train is not None or learns else splits.any  # else only its classes are looked at
    if train is None:
        raise DataError(f"{' '.join(data)!r} has no training images; its parts are {', '.join(splits.parts)}.")
    if not train.class_names:
        raise DataError(
            f"{' '.join(data)!r} has images without labels, which name no classes. Name them: --class-names FILE, a "
            'JSON list such as ["cat", "dog"].'
        )
    beside = load_dataset(unlabelled, require_labels=False, make_split=False).whole() if unlabelled else None
    return splits, train, beside


def announce(
    splits: Splits, vlm: VLM, method: str, recipe: Recipe, notes: Sequence[str], reporter: ConsoleReporter
) -> None:
    """Say what is about to happen, with notes on what the user may not expect of it."""
    kind = find_method(method)
    for note in [*splits.notes, *notes]:
        reporter.note(note)
    for name, part in splits.parts.items():
        reporter.say(f"{name}: {part.summary()}")
    reporter.say(f"split: {splits.made_by}")
    reporter.say(f"model: {vlm.name} ({vlm.image_size} pixels, {vlm.embed_dim} numbers per image) on {vlm.device}")
    reporter.say(f"method: {method} ({kind.summary})")
    assert recipe.epochs is not None  # resolved
    if kind.uses_shots and 0 < recipe.epochs <= recipe.warmup_epochs:
        reporter.note(
            f"{'the only epoch is' if recipe.epochs == 1 else f'all {recipe.epochs} epochs are'} warm-up, at the "
            f"learning rate {recipe.warmup_lr:g} in place of {recipe.lr:g}: hardly anything is learned. "
            f"Try --epochs {recipe.warmup_epochs + 10} or --set warmup_epochs=0"
        )


def test(learned: Learned, splits: Splits, template: str, how: dict[str, Any]) -> Comparison | None:
    """What was learned and the hand-written prompt on the test images, where there are some."""
    return None if splits.test is None else compare(learned.method, splits.test, template, "test images", **how)


def result_notes(learned: Learned, splits: Splits, template: str, how: dict[str, Any]) -> list[str]:
    """A note where a hand-written prompt is better than what was learned.

    The two are compared without the test images: on validation images where there are some, otherwise by
    cross-validation of the shots where that is cheap.
    """
    if not learned.method.uses_shots:
        return []
    val = learned.val if learned.val is not None else splits.val
    try:
        if val is not None:
            found: Comparison | None = compare(learned.method, val, template, "validation images", **how)
        else:
            found = cross_validate(learned, template)
    except CooptError as error:  # what was learned is not lost for it
        return [f"what was learned could not be compared with the hand-written prompt: {error}"]
    if found is None or not found.is_below:
        return []
    by_hand, by_learning = found.headline
    return [
        f"learning does not pay here: {learned.method.task.figures[0].title} {by_learning}, with the hand-written "
        f"prompt {template!r} {by_hand} ({found.images}). Try more --shots, other --epochs, a start from words "
        "(--set ctx_init='a photo of a') or another method; or keep the hand-written prompt (--method zero-shot)"
    ]


def write(
    learned: Learned,
    splits: Splits,
    tested: Comparison | None,
    folder: Path,
    *,
    overwrite: bool,
    **facts: Any,
) -> None:
    """Save the run folder."""
    details = {**learned.details(), **facts}
    details["data"] |= {"split": splits.made_by, "n_test": tested.learned.n_images if tested else 0}
    records: list[dict[str, Any]] = [record.as_dict() for record in learned.records]
    if tested:
        records.append({"data": "test", **tested.learned.as_dict()})
    save_run(folder, learned.method, records=records, details=details, overwrite=overwrite)


def as_dict(learned: Learned, tested: Comparison | None, folder: Path, notes: list[str]) -> dict[str, Any]:
    """The result, for --json."""
    return {
        "run": str(folder),
        "method": learned.method.key,
        "n_parameters": learned.method.n_parameters(),
        "n_train": len(learned.train),
        "epochs": learned.recipe.epochs,
        "skipped": [list(item) for item in learned.skipped],
        "zero_shot": tested.by_hand.as_dict() if tested else None,
        "test": tested.learned.as_dict() if tested else None,
        "notes": notes if tested else [*notes, UNTESTED],
    }


def summarise(learned: Learned, tested: Comparison | None, template: str, folder: Path, data: Sequence[str]) -> None:
    """The result, where everything lies, and what to type next."""
    if learned.method.uses_shots:
        epochs = f" in {count(len(learned.records), 'epoch', 'epochs')}" if learned.records else ""
        numbers = count(learned.method.n_parameters(), "number", "numbers")
        out.print(f"Learned {numbers} from {count(len(learned.train), 'image', 'images')}{epochs}.")
    if learned.skipped:
        out.print(f"{count(len(learned.skipped), 'training image', 'training images')} could not be read and left out.")
    if tested:
        out.print(f"Test {tested.learned.summary()}; hand-written prompt {template!r}: {tested.headline[0]}.")
    else:
        out.print(UNTESTED)
    out.print(f"Run folder: {show_path(folder)}")
    command = shlex.join(["coopt", "evaluate" if tested else "predict", show_path(folder), *data])
    out.print(f"Next: {command}")


def checkpoint_of(folder: Path) -> Path:
    """Where the running fit of a run folder is saved."""
    return folder.with_name(folder.name + ".partial") / CHECKPOINT


def checkpoint_notes(checkpoint: Path, resume: bool) -> list[str]:
    """What a user may not expect of --resume, or of its absence."""
    if resume and not checkpoint.is_file():
        return [f"there is nothing to resume at {show_path(checkpoint)}; the run starts from the beginning"]
    if checkpoint.is_file() and not resume:
        return [f"{show_path(checkpoint)} is of an interrupted run; it is replaced (--resume would go on with it)"]
    return []


def remove_partial(checkpoint: Path) -> None:
    """The run is complete: its checkpoints go."""
    for file in checkpoint.parent.glob(f"{checkpoint.stem}*"):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        checkpoint.parent.rmdir()
