"""What `coopt import` does besides the import itself: classes and test images, the evaluation, and what is printed."""

import shlex
from pathlib import Path
from typing import Any

from coopt.cli.console import Lines, out, show_path
from coopt.cli.progress import ConsoleReporter
from coopt.cli.sources import read_names
from coopt.data import ImageDataset, load_dataset
from coopt.evaluate import dataset_logits, measure
from coopt.methods import Method
from coopt.tasks import Metrics


def read_classes(classes: str | None, dataset: ImageDataset | None) -> tuple[list[str] | None, list[str] | None]:
    """Labels and words: of a file, of names with commas between, or of the data; None where nobody says them."""
    if classes is None:
        return (None, None) if dataset is None else (dataset.class_labels, dataset.class_names)
    if "," in classes and not Path(classes).exists():
        names = [name.strip() for name in classes.split(",") if name.strip()]
        return names, names
    return read_names(Path(classes))


def read_test(data: str, columns: dict[str, Any], reporter: Lines) -> tuple[ImageDataset, str]:
    """The test images of a source, or all where it has no test part, and in words which they are."""
    splits = load_dataset(data, make_split=False, allow_empty=True, **columns)
    for note in splits.notes:
        reporter.note(note)
    name = Path(data).name or data
    return (
        (splits.whole(), f"all images of {name}") if splits.test is None else (splits.test, f"the test part of {name}")
    )


def evaluate_on(
    method: Method, dataset: ImageDataset | None, reporter: ConsoleReporter, **options: Any
) -> tuple[Metrics | None, list[tuple[str, str]]]:
    """Metrics, and the images that were skipped."""
    if dataset is None:
        return None, []
    method.task.targets(dataset)  # a class that the checkpoint does not know is told before the slow part
    progress = reporter.encoding(f"{len(dataset)} images")
    found = dataset_logits(method.vlm, method.predictor(), dataset, seed=1, progress=progress, **options)
    reporter.skipped(found.skipped)
    return measure(method.task, found, dataset), list(found.skipped)


def summarise(method: Method, metrics: Metrics | None, part: str, folder: Path, data: str | None) -> None:
    """What was found, how good it is, where it lies, and what to type next."""
    out.print(
        f"Took over {method.n_parameters():,} learned numbers: {method.key} {method.settings}, "
        f"{len(method.class_names)} classes.",
    )
    if metrics is not None:
        out.print(f"Evaluated on {part}. {metrics.sentence()}")
    out.print(f"Run folder: {show_path(folder)}")
    command = (
        ["coopt", "predict", show_path(folder), "IMAGES"] if data else ["coopt", "evaluate", show_path(folder), "DATA"]
    )
    out.print(f"Next: {shlex.join(command)}")
