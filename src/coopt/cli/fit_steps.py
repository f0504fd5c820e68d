"""What `coopt fit` does before and after the learning itself."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from coopt.artifacts import SeenImages, save_run
from coopt.cli.console import out, print_json, show_path
from coopt.cli.parts import honest_test, remember_split
from coopt.cli.progress import ConsoleReporter
from coopt.cli.sources import read_data
from coopt.cli.task_options import numbers_note
from coopt.data import ImageDataset, Splits, load_dataset
from coopt.data.checks import conflicts_note, label_conflicts
from coopt.data.wording import count
from coopt.errors import ConfigError, CooptError, DataError
from coopt.fit import Comparison, Learned, Recipe, compare, cross_validate
from coopt.methods import find_method
from coopt.models import VLM
from coopt.prompting import read_templates
from coopt.tasks import DEFAULT_TASK, find_task

UNTESTED = "Nothing was tested: the data has no labelled test images."


def check_before(template: str, seed: int) -> None:
    """Refuse what cannot be used, before the slow parts.

    Raises:
        ConfigError: the seed or the template.
    """
    read_templates(template)
    if seed >= 2**63:
        raise ConfigError(f"--seed is {seed}; allowed is a whole number from 0 to 2**63 - 1.")


class Read(NamedTuple):
    """The data of a fit."""

    splits: Splits
    train: ImageDataset
    """What is learned from; of a method that looks at no images, what names the classes."""
    unlabelled: ImageDataset | None
    split: dict[str, Any]
    """The images of each part, by content, where coopt made the split."""


def read_all(
    data: Sequence[str], job: Mapping[str, Any], unlabelled: str | None, files: Mapping[str, Any], **options: Any
) -> Read:
    """The data in its parts, the images that are learned from, and those without labels.

    Raises:
        DataError: there are no training images, no labels where the method needs them, or labels that are not the
            task's, in any part.
    """
    kind, task = find_method(job["method"]), find_task(job["task"])
    learns = kind.uses_shots
    options |= {"require_labels": learns, "validation": kind.uses_validation, "ordered": task.ordered}
    splits = read_data(data, len(data) > 1, **options, **files)
    train = splits.train if splits.train is not None or learns else splits.any  # else only its classes are looked at
    if train is None:
        raise DataError(f"{' '.join(data)!r} has no training images; its parts are {', '.join(splits.parts)}.")
    if not train.class_names:
        raise DataError(
            f"{' '.join(data)!r} has images without labels, which name no classes. Name them: --class-names FILE, a "
            'JSON list such as ["cat", "dog"].'
        )
    for part in splits.parts.values():
        task.check(part, job["task_settings"])
    beside = None
    if unlabelled is not None:
        as_read = {**files, "image_bits": train.image_bits}
        beside = load_dataset(unlabelled, require_labels=False, make_split=False, **as_read).whole()
    return Read(splits, train, beside, remember_split(splits))


def reading_options(
    is_tested: bool, table: Mapping[str, Any], files: Mapping[str, Any], allow_duplicates: bool
) -> list[str]:
    """What the next command needs to read the data in the same way; `predict` reads no labels."""
    words = [] if files["layout"] == "auto" else ["--layout", files["layout"]]
    words += [f"--ignore={pattern}" for pattern in files["ignore"]]
    for_predict = ("image_column", "image_root", "image_suffix")
    for name, value in table.items():
        if value is not None and (is_tested or name in for_predict):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return [*words, "--allow-duplicates"] if allow_duplicates and is_tested else words


def announce(
    splits: Splits, vlm: VLM, method: str, task: str, recipe: Recipe, notes: Sequence[str], reporter: ConsoleReporter
) -> None:
    """Say what is about to happen, with notes on what the user may not expect of it."""
    kind = find_method(method)
    numbers = [note for note in (numbers_note(splits.any),) if note is not None and task == DEFAULT_TASK]
    for note in [*splits.notes, *notes, *numbers]:
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


def test(
    learned: Learned, read: Read, template: str, how: dict[str, Any], allow_duplicates: bool
) -> tuple[Comparison | None, SeenImages]:
    """What was learned and the hand-written prompt on the test images, where there are some; what the run has seen."""
    reporter: ConsoleReporter = how["reporter"]
    seen = replace(learned.seen(), split=read.split)
    part = read.splits.test
    if part is not None and (conflicts := label_conflicts(part, learned.train)):
        reporter.note(conflicts_note(conflicts, "the test images and the training images"))
    part = honest_test(part, seen, allow_duplicates, reporter)
    tested = None if part is None else compare(learned.method, part, template, "test images", **how)
    for note in result_notes(learned, read.splits, template, how):
        reporter.note(note)
    return tested, seen


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
    read: Read,
    tested: Comparison | None,
    folder: Path,
    seen: SeenImages,
    *,
    overwrite: bool,
    **facts: Any,
) -> None:
    """Save the run folder."""
    details = {**learned.details(), **facts}
    details["data"] |= {"split": read.splits.made_by, "n_test": tested.learned.n_images if tested else 0}
    records: list[dict[str, Any]] = [record.as_dict() for record in learned.records]
    if tested:
        records.append({"data": "test", **tested.learned.as_dict()})
    save_run(folder, learned.method, records=records, details=details, images=seen, overwrite=overwrite)


def say_finished(folder: Path, message: str, as_json: bool) -> None:
    """The run that --resume asks for is there."""
    if as_json:
        print_json({"run": str(folder), "finished": True, "notes": [message]})
    else:
        out.print(message)


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
