"""`coopt evaluate`: how good a run is on labelled images."""

from typing import Annotated, Any

import typer

from coopt.artifacts import Run, load_run
from coopt.cli.console import ConsoleReporter, out, print_json
from coopt.cli.downloads import download_bar
from coopt.cli.fit import read_data
from coopt.cli.options import (
    DATA_HELP,
    AllowDuplicates,
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
from coopt.cli.parts import Part, choose_part
from coopt.cli.tables import print_table
from coopt.data import ImageDataset
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
    allow_duplicates: AllowDuplicates = False,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Accuracy with its 95% interval, per class, macro F1, confusion matrix and calibration error.

    Where the data has no test part of its own and is what the run was trained on, the test part of the split that `fit`
    made is taken. Images that the run was trained on are known by their content, and are counted and left out.

    Example: coopt evaluate runs/photos-coop-16shot-seed1 photos/
    """
    with ConsoleReporter(quiet=as_json) as reporter:
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
        part = read_part(loaded, data, split, columns, allow_duplicates)
        dataset = part.dataset
        for note in [*part.notes, *known_notes(loaded)]:
            reporter.note(note)
        n_trained_on = loaded.seen(dataset).n_trained_on(dataset)
        if n_trained_on:
            reporter.note(f"{n_trained_on} of these {len(dataset)} images were trained on; this is no test of them.")
        loaded.task.targets(dataset)  # a class that the run does not know is told before the slow part
        with download_bar(as_json) as progress:
            vlm = loaded.load_vlm(device, dtype, model, progress)
        predictor = loaded.predictor(vlm)
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        found = run_logits(loaded, vlm, predictor, dataset, reporter, **options)
    metrics = measure(predictor.task, found, dataset)
    if as_json:
        facts = {"run": str(run), "data": " ".join(data), "part": part.words, "n_trained_on": n_trained_on}
        facts |= {"n_left_out": part.n_left_out, "notes": reporter.notes}
        classes = {"class_labels": loaded.task.class_labels, "class_names": loaded.task.class_names}
        print_json({**facts, **metrics.as_dict(), **classes, "skipped": found.skipped})
        return
    out.print(f"Evaluated on {part.words}.", markup=False)
    show(metrics, len(found.skipped))


def run_logits(
    run: Run, vlm: VLM, predictor: Predictor, dataset: ImageDataset, reporter: ConsoleReporter, **options: Any
) -> ImageLogits:
    """A run's logits of a data set, with a bar, and a note for each image that was skipped."""
    progress = reporter.encoding(f"{len(dataset)} images")
    found = dataset_logits(vlm, predictor, dataset, seed=run.config.get("seed", 1), progress=progress, **options)
    reporter.skipped(found.skipped)
    return found


def read_part(run: Run, data: list[str], split: str | None, columns: dict[str, Any], allow_duplicates: bool) -> Part:
    """The images to evaluate on.

    Raises:
        ConfigError: the data has no such part, or is several data sets for a run that learned on one.
    """
    what = " ".join(data)
    grouped = bool(run.config["task"]["settings"].get("grouped"))
    if len(data) > 1 and not grouped:
        raise ConfigError(f"{what!r} are several data sets; this run learned on one. Evaluate one after the other.")
    return choose_part(run, what, read_data(data, grouped, make_split=False, **columns), split, allow_duplicates)


def known_notes(run: Run) -> list[str]:
    """What a run that does not say what it has seen leaves open."""
    if run.images is not None or (run.config.get("data") or {}).get("trained_on"):
        return []
    return [f"{run.folder} does not say which images it was trained on: they cannot be told from others"]


def show(metrics: Metrics, n_skipped: int) -> None:
    """Print the figures and the tables of details."""
    out.print(metrics.sentence(), markup=False)
    if n_skipped:
        out.print(f"{n_skipped} image(s) could not be read and were skipped.")
    for table in metrics.tables():
        print_table(table.columns, table.rows, table.numeric, table.title)
    out.print("All details are in the output of --json.")
