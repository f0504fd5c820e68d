"""`coopt evaluate`: how good a run is on labelled images."""

from typing import Annotated

import torch
import typer
from rich.table import Table

from coopt.artifacts import load_run
from coopt.cli.console import ConsoleReporter, out, percent, print_json
from coopt.cli.options import (
    BatchSize,
    Data,
    Device,
    Dtype,
    ImageColumn,
    Json,
    LabelColumn,
    OtherModel,
    RunFolder,
    Strict,
    Workers,
)
from coopt.data import ImageDataset, load_dataset
from coopt.errors import ConfigError
from coopt.evaluate import Metrics, evaluate_logits
from coopt.features import encode_dataset


def evaluate(
    run: RunFolder,
    data: Data,
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all; by default test where there is one, else all."),
    ] = None,
    model: OtherModel = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    batch_size: BatchSize = 64,
    device: Device = None,
    dtype: Dtype = None,
    workers: Workers = 0,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Accuracy with its 95% interval, per class, macro F1, confusion matrix and calibration error.

    Where the data has no test part, the split that `fit` made with the run's seed is made again, so that no image is
    tested on that was trained on.

    Example: coopt evaluate runs/photos-coop-16shot-seed1 photos/
    """
    loaded = load_run(run)
    dataset = choose_part(data, split, int(loaded.config.get("seed") or 1), image_column, label_column)
    dataset = dataset.align(loaded.config.get("class_labels") or loaded.class_names, loaded.class_names)
    vlm = loaded.load_vlm(device, dtype, model)
    with ConsoleReporter(quiet=as_json) as reporter:
        progress = reporter.encoding(f"{len(dataset)} images")
        encoded = encode_dataset(
            vlm, dataset, batch_size=batch_size, n_workers=workers, strict=strict, progress=progress
        )
        for name, reason in encoded.skipped:
            reporter.note(f"skipped {name}: {reason}")
    labels = torch.as_tensor(dataset.labels)[encoded.indices].to(vlm.device)
    with torch.no_grad():
        logits = (loaded.classifier or loaded.build(vlm))(encoded.features)
    metrics = evaluate_logits(logits.to(vlm.device), labels, loaded.class_names)
    if as_json:
        print_json({"run": str(run), "data": data, **metrics.as_dict(), "skipped": encoded.skipped})
        return
    show(metrics, loaded.class_names, len(encoded.skipped))


def choose_part(
    data: str, split: str | None, seed: int, image_column: str | None, label_column: str | None
) -> ImageDataset:
    """The labelled images to evaluate on.

    Raises:
        ConfigError: the data has no such part.
    """
    splits = load_dataset(data, image_column=image_column, label_column=label_column, seed=seed)
    if split == "all":
        return splits.whole()
    if split is None:
        return splits.test if splits.test is not None else splits.whole()
    if split not in splits.parts:
        raise ConfigError(
            f"--split is {split!r}; {data!r} has {', '.join(splits.parts)}, and 'all' takes them together."
        )
    return splits.parts[split]


def show(metrics: Metrics, class_names: list[str], n_skipped: int) -> None:
    """The tables for people."""
    out.print(
        f"Accuracy {percent(metrics.accuracy)} (95% interval {percent(metrics.accuracy_low)} to "
        f"{percent(metrics.accuracy_high)}) on {metrics.n_images} images; macro F1 {percent(metrics.macro_f1)}; "
        f"calibration error {percent(metrics.calibration_error)}."
    )
    if n_skipped:
        out.print(f"{n_skipped} image(s) could not be read and were skipped.")
    table = Table(title="Per class", title_justify="left")
    for heading in ("class", "images", "accuracy", "most often taken for"):
        table.add_column(heading, justify="right" if heading in ("images", "accuracy") else "left")
    for c, name in enumerate(class_names):
        row = metrics.confusion[c]
        wrong = [(count, other) for other, count in enumerate(row) if other != c and count]
        mistaken = f"{class_names[max(wrong)[1]]} ({max(wrong)[0]})" if wrong else ""
        table.add_row(name, str(sum(row)), percent(metrics.per_class[name]), mistaken)
    out.print(table)
    if len(class_names) <= 20:
        out.print(confusion_table(metrics, class_names))
    else:
        out.print(f"The confusion matrix of {len(class_names)} classes is in the output of --json.")


def confusion_table(metrics: Metrics, class_names: list[str]) -> Table:
    """Rows: true class; columns: predicted class, by number."""
    table = Table(title="Confusion (rows: true, columns: predicted)", title_justify="left", padding=(0, 0))
    table.add_column("class")
    for c in range(len(class_names)):
        table.add_column(str(c + 1), justify="right")
    for c, name in enumerate(class_names):
        cells = [f"[bold]{n}[/]" if k == c else (str(n) if n else ".") for k, n in enumerate(metrics.confusion[c])]
        table.add_row(f"{c + 1} {name}", *cells)
    return table
