"""`coopt evaluate`: how good a run is on labelled images."""

from typing import Annotated, Any

import typer

from coopt.cli.console import out, print_json
from coopt.cli.downloads import download_bar
from coopt.cli.options import (
    DATA_HELP,
    AllowDuplicates,
    BatchSize,
    Device,
    Dtype,
    GroupColumn,
    Ignore,
    ImageBits,
    ImageColumn,
    ImageRoot,
    ImageSuffix,
    Json,
    LabelColumn,
    LabelPattern,
    Layout,
    OtherModel,
    RunFolder,
    RunRevision,
    Strict,
    TrustCode,
    Workers,
    table_options,
)


def evaluate(
    run: RunFolder,
    data: Annotated[list[str], typer.Argument(help=f"{DATA_HELP} Several for a run that learned on several.")],
    split: Annotated[str | None, typer.Option(help="train, val, test or all; by default test, if any, or all.")] = None,
    revision: RunRevision = None,
    model: OtherModel = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_root: ImageRoot = None,
    image_suffix: ImageSuffix = None,
    label_pattern: LabelPattern = None,
    layout: Layout = "auto",
    ignore: Ignore = None,
    image_bits: ImageBits = None,
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
    from coopt.artifacts import load_run
    from coopt.cli import evaluate_steps as steps
    from coopt.cli.progress import ConsoleReporter
    from coopt.evaluate import measure

    with ConsoleReporter(quiet=as_json) as reporter:
        loaded = load_run(run, revision=revision, trust_code=trust_code)
        columns: dict[str, Any] = {
            **table_options(image_column, label_column, group_column, image_root, image_suffix, label_pattern),
            "layout": layout,
            "ignore": ignore or (),
            "allow_empty": True,
            "image_bits": loaded.image_bits if image_bits is None else image_bits,
            "ordered": loaded.task.ordered,
        }
        part = steps.read_part(loaded, data, split, columns, allow_duplicates)
        dataset = part.dataset
        for note in [*part.notes, *steps.known_notes(loaded)]:
            reporter.note(note)
        n_trained_on = loaded.seen(dataset).n_trained_on(dataset)
        if n_trained_on:
            was = "was" if n_trained_on == 1 else "were"
            reporter.note(f"{n_trained_on} of these {len(dataset)} images {was} trained on; this is no test of them.")
        loaded.task.targets(dataset)  # a class that the run does not know is told before the slow part
        with download_bar(as_json) as progress:
            vlm = loaded.load_vlm(device, dtype, model, progress)
        predictor = loaded.predictor(vlm)
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        found = steps.run_logits(loaded, vlm, predictor, dataset, reporter, **options)
    metrics = measure(predictor.task, found, dataset)
    if as_json:
        facts = {"run": str(run), "data": " ".join(data), "part": part.words, "n_trained_on": n_trained_on}
        facts |= {"n_left_out": part.n_left_out, "notes": reporter.notes}
        classes = {"class_labels": loaded.task.class_labels, "class_names": loaded.task.class_names}
        print_json({**facts, **metrics.as_dict(), **classes, "skipped": found.skipped})
        return
    out.print(f"Evaluated on {part.words}.")
    steps.show(metrics, len(found.skipped))
