"""`coopt evaluate`: how good a run is on labelled images."""

from typing import Annotated, Any

import torch
import typer
from rich.markup import escape
from rich.table import Table

from coopt.artifacts import load_run
from coopt.cli.console import ConsoleReporter, out, percent, print_json
from coopt.cli.downloads import download_bar
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
from coopt.data import ImageDataset, UnreadableImageError, image_digest, load_dataset
from coopt.errors import ConfigError
from coopt.evaluate import Metrics, dataset_logits, evaluate_logits


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

    Where the data has no test part of its own and is what the run was trained on, the split that `fit` made is made
    again. Images that were trained on are counted in a note.

    Example: coopt evaluate runs/photos-coop-16shot-seed1 photos/
    """
    loaded = load_run(run)
    dataset, part = choose_part(loaded.config, data, split, image_column, label_column)
    known = set(dataset.names or []) & trained_on(loaded.config, dataset)
    dataset = dataset.align(loaded.config.get("class_labels") or loaded.class_names, loaded.class_names)
    with download_bar(as_json) as progress:
        vlm = loaded.load_vlm(device, dtype, model, progress)
    with ConsoleReporter(quiet=as_json) as reporter:
        if known:
            reporter.note(f"{len(known)} of these {len(dataset)} images were trained on; this is no test of them.")
        progress = reporter.encoding(f"{len(dataset)} images")
        found = dataset_logits(
            vlm,
            loaded.classifier or loaded.build(vlm),
            dataset,
            seed=loaded.config.get("seed", 1),
            batch_size=batch_size,
            n_workers=workers,
            strict=strict,
            progress=progress,
        )
        for name, reason in found.skipped:
            reporter.note(f"skipped {name}: {reason}")
    labels = torch.as_tensor(dataset.labels)[found.indices].to(vlm.device)
    metrics = evaluate_logits(found.logits, labels, loaded.class_names)
    if as_json:
        facts = {"run": str(run), "data": data, "part": part, "n_trained_on": len(known)}
        print_json({**facts, **metrics.as_dict(), "skipped": found.skipped})
        return
    out.print(f"Evaluated on {part}.", markup=False)
    show(metrics, loaded.class_names, len(found.skipped))


def choose_part(
    config: dict[str, Any], data: str, split: str | None, image_column: str | None, label_column: str | None
) -> tuple[ImageDataset, str]:
    """The labelled images to evaluate on, and in words which they are.

    The source's own test part; where it has none and the run was trained on this very data, the test part of the split
    that `fit` made with the run's seed; otherwise all images.

    Raises:
        ConfigError: the data has no such part.
    """
    columns: Any = {"image_column": image_column, "label_column": label_column}
    splits = load_dataset(data, make_split=False, **columns)
    own_parts = splits.train is not None or splits.val is not None
    was_split = str((config.get("data") or {}).get("split", "")).startswith("coopt: ")
    if not (own_parts and splits.test is not None) and was_split and trained_on(config, splits.whole()):
        splits = load_dataset(data, seed=config["seed"], **columns)
        own_parts = True
    if split not in (None, "all") and not (own_parts and split in splits.parts):
        known = ", ".join(splits.parts) if own_parts else "no parts"
        raise ConfigError(f"--split is {split!r}; {data!r} has {known}, and 'all' takes all images.")
    if split == "all" or not own_parts or (split is None and splits.test is None):
        return splits.whole(), f"all images of {data}"
    return splits.parts[split or "test"], f"the {split or 'test'} part of {data} (split by {splits.made_by})"


def trained_on(config: dict[str, Any], dataset: ImageDataset) -> set[str]:
    """The names of the run's training images, if `dataset` holds the same pictures under these names; else none."""
    facts = config.get("data") or {}
    names, digests = facts.get("trained_on") or [], facts.get("digests") or []
    position = {name: index for index, name in enumerate(dataset.names or [])}
    checked = [(position[name], digest) for name, digest in zip(names, digests, strict=False) if name in position]
    for index, digest in checked:
        try:
            if image_digest(dataset.load(index)) != digest:
                return set()
        except UnreadableImageError:
            continue
    return set(names) if checked else set()


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
        mistaken = f"{escape(class_names[max(wrong)[1]])} ({max(wrong)[0]})" if wrong else ""
        table.add_row(escape(name), str(sum(row)), percent(metrics.per_class[name]), mistaken)
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
        table.add_row(f"{c + 1} {escape(name)}", *cells)
    return table
