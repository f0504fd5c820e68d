"""`coopt evaluate`: how good a run is on labelled images."""

from typing import Annotated, Any

import typer

from coopt.artifacts import Run, load_run
from coopt.cli.console import ConsoleReporter, out, print_json
from coopt.cli.downloads import download_bar
from coopt.cli.fit import read_data
from coopt.cli.options import (
    DATA_HELP,
    BatchSize,
    Device,
    Dtype,
    GroupColumn,
    ImageColumn,
    ImageRoot,
    ImageSuffix,
    Json,
    LabelColumn,
    LabelPattern,
    OtherModel,
    RunFolder,
    Strict,
    TrustCode,
    Workers,
)
from coopt.cli.tables import print_table
from coopt.data import ImageDataset, UnreadableImageError, image_digest
from coopt.data.dataset import JOINED, MADE_HERE
from coopt.errors import ConfigError
from coopt.evaluate import ImageLogits, dataset_logits, measure
from coopt.methods import Predictor
from coopt.models import VLM
from coopt.tasks import Metrics


def evaluate(
    run: RunFolder,
    data: Annotated[list[str], typer.Argument(help=f"{DATA_HELP} Several for a run that learned on several.")],
    split: Annotated[str | None, typer.Option(help="train, val, test or all; by default test, if any, or all.")] = None,
    model: OtherModel = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_root: ImageRoot = None,
    image_suffix: ImageSuffix = None,
    label_pattern: LabelPattern = None,
    batch_size: BatchSize = 64,
    device: Device = None,
    dtype: Dtype = None,
    workers: Workers = 0,
    strict: Strict = False,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Accuracy with its 95% interval, per class, macro F1, confusion matrix and calibration error.

    Where the data has no test part of its own and is what the run was trained on, the split that `fit` made is made
    again. A note (n_trained_on in --json) says how many of the images were trained on: those of the same names, where
    their pictures are the same; not copies under other names, and none where one of them has changed.

    Example: coopt evaluate runs/photos-coop-16shot-seed1 photos/
    """
    loaded = load_run(run, trust_code=trust_code)
    columns: dict[str, Any] = {
        "image_column": image_column,
        "label_column": label_column,
        "group_column": group_column,
        "image_root": image_root,
        "image_suffix": image_suffix,
        "label_pattern": label_pattern,
        "ordered": loaded.task.ordered,
    }
    grouped = bool(loaded.config["task"]["settings"].get("grouped"))
    dataset, part = choose_part(loaded.config, data, split, columns, grouped)
    n_trained_on = len(set(dataset.names or []) & trained_on(loaded.config, dataset))
    loaded.task.targets(dataset)  # a class that the run does not know is told before the slow part
    with download_bar(as_json) as progress:
        vlm = loaded.load_vlm(device, dtype, model, progress)
    predictor = loaded.predictor(vlm)
    with ConsoleReporter(quiet=as_json) as reporter:
        if n_trained_on:
            reporter.note(f"{n_trained_on} of these {len(dataset)} images were trained on; this is no test of them.")
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        found = run_logits(loaded, vlm, predictor, dataset, reporter, **options)
    metrics = measure(predictor.task, found, dataset)
    if as_json:
        facts = {"run": str(run), "data": " ".join(data), "part": part, "n_trained_on": n_trained_on}
        print_json({**facts, **metrics.as_dict(), "skipped": found.skipped})
        return
    out.print(f"Evaluated on {part}.", markup=False)
    show(metrics, len(found.skipped))


def run_logits(
    run: Run, vlm: VLM, predictor: Predictor, dataset: ImageDataset, reporter: ConsoleReporter, **options: Any
) -> ImageLogits:
    """A run's logits of a data set, with a bar, and a note for each image that was skipped."""
    progress = reporter.encoding(f"{len(dataset)} images")
    found = dataset_logits(vlm, predictor, dataset, seed=run.config.get("seed", 1), progress=progress, **options)
    reporter.skipped(found.skipped)
    return found


def choose_part(
    config: dict[str, Any], data: list[str], split: str | None, columns: dict[str, Any], grouped: bool
) -> tuple[ImageDataset, str]:
    """The labelled images to evaluate on, and in words which they are.

    The source's own test part; where it has none and the run was trained on this very data, the test part of the split
    that `fit` made with the run's seed; otherwise all images.

    Raises:
        ConfigError: the data has no such part.
    """
    what = " ".join(data)
    if len(data) > 1 and not grouped:
        raise ConfigError(f"{what!r} are several data sets; this run learned on one. Evaluate one after the other.")
    splits = read_data(data, grouped, make_split=False, **columns)
    own_parts = splits.train is not None or splits.val is not None
    was_split = str((config.get("data") or {}).get("split", "")).startswith(MADE_HERE)
    if not (own_parts and splits.test is not None) and was_split and trained_on(config, splits.whole()):
        validation = not config["data"]["split"].endswith(JOINED)
        splits = read_data(data, grouped, seed=config["seed"], validation=validation, **columns)
        own_parts = True
    if split not in (None, "all") and not (own_parts and split in splits.parts):
        parts = ", ".join(splits.parts) if own_parts else "no parts"
        raise ConfigError(f"--split is {split!r}; {what!r} has {parts}, and 'all' takes all images.")
    if split == "all" or not own_parts or (split is None and splits.test is None):
        return splits.whole(), f"all images of {what}"
    return splits.parts[split or "test"], f"the {split or 'test'} part of {what} (split by {splits.made_by})"


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


def show(metrics: Metrics, n_skipped: int) -> None:
    """Print the figures and the tables of details."""
    out.print(metrics.sentence(), markup=False)
    if n_skipped:
        out.print(f"{n_skipped} image(s) could not be read and were skipped.")
    for table in metrics.tables():
        print_table(table.columns, table.rows, table.numeric, table.title)
    out.print("All details are in the output of --json.")
