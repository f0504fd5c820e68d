"""Which images test a run: those that it was not trained on, known by their content."""

from dataclasses import dataclass, field
from typing import Any

from coopt.artifacts import Run, SeenImages
from coopt.cli.console import Lines
from coopt.data import ImageDataset, Splits
from coopt.data.dataset import MADE_HERE
from coopt.data.wording import count
from coopt.errors import ConfigError


@dataclass(frozen=True)
class Part:
    """The images of an evaluation."""

    dataset: ImageDataset
    words: str
    n_left_out: int = 0
    """Images that the run was trained on and that are therefore not in it."""
    notes: list[str] = field(default_factory=list)


def remember_split(splits: Splits) -> dict[str, Any]:
    """The images of each part of a split that coopt made, so that it need not be made again; every file is read."""
    if MADE_HERE not in splits.made_by:
        return {}
    return {name: part.digests for name, part in splits.parts.items() if name != "all"}


def honest_test(
    test: ImageDataset | None, seen: SeenImages, allow_duplicates: bool, reporter: Lines
) -> ImageDataset | None:
    """The test images of a fit without copies of training images; None where none remain."""
    if test is None:
        return None
    left, n_copies = test.without(seen.not_for_testing)
    if not n_copies:
        return test
    are = "is a copy" if n_copies == 1 else "are copies"
    found = f"{n_copies} of the {len(test)} test images {are} of training images (the same file content)"
    if allow_duplicates:
        reporter.note(f"{found}; they count, as --allow-duplicates says")
        return test
    if len(left) == 0:
        reporter.note(f"{found}: nothing is left to test on. --allow-duplicates tests on them all the same")
        return None
    reporter.note(f"{found}; left out of the test, --allow-duplicates keeps them")
    return left


def choose_part(run: Run, what: str, splits: Splits, split: str | None, allow_duplicates: bool) -> Part:
    """The labelled images to evaluate on, and in words which they are.

    The source's own test part; where it has none and `fit` has split this very data, the test part of that split and
    images that are new since; otherwise all images. Images that the run was trained on are left out, unless the data
    was trained on as a whole, or another part than the test part was asked for.

    Raises:
        ConfigError: the data has no such part.
    """
    whole, parts, made_by = splits.whole(), splits.parts, splits.made_by
    has_parts = splits.unsplit is None
    seen, notes = run.seen(whole), []
    again = None if has_parts and splits.test is not None else seen.split_again(whole)
    n_others = 0
    if again is not None:
        (parts, n_new), has_parts, made_by = again, True, str(run.config["data"].get("split"))
        n_others = seen.n_trained_on(whole) if split in (None, "test") and "test" in parts else 0
        if n_others:
            notes.append(
                f"{n_others} of all {len(whole)} images {'was' if n_others == 1 else 'were'} trained on and left out; "
                "--split all takes all"
            )
        if n_new:
            new = count(n_new, "image is", "images are")
            notes.append(f"{new} new since the run was trained; they count as test images")
    if split not in (None, "all") and not (has_parts and split in parts):
        listed = ", ".join(parts) if has_parts else "no parts"
        raise ConfigError(f"--split is {split!r}; {what!r} has {listed}, and 'all' takes all images.")
    if split == "all" or not has_parts or (split is None and "test" not in parts):
        part = Part(whole, f"all images of {what}", notes=notes if split != "all" else [])
    else:
        words = f"the {split or 'test'} part of {what} (split by {made_by})"
        part = Part(parts[split or "test"], words, n_others, notes)
    return part if allow_duplicates or split not in (None, "test") else _without_trained_on(part, seen)


def _without_trained_on(part: Part, seen: SeenImages) -> Part:
    left, n_left_out = part.dataset.without(seen.trained_on)
    if not n_left_out or len(left) == 0:  # all of it was trained on: that is what is evaluated, and it is said
        return part
    trained = "was trained on and is" if n_left_out == 1 else "were trained on and are"
    note = f"{n_left_out} of these {len(part.dataset)} images {trained} left out; --allow-duplicates keeps them"
    return Part(left, part.words, n_left_out, [*part.notes, note])
