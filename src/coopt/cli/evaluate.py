"""`coopt evaluate`: how good a run is on labelled images."""

from typing import Annotated

import typer

from coopt.cli.console import out, print_json
from coopt.cli.downloads import download_bar
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
    table_options,
)


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
    from coopt.artifacts import load_run
    from coopt.cli import evaluate_steps as steps
    from coopt.cli.progress import ConsoleReporter
    from coopt.evaluate import measure

    loaded = load_run(run, trust_code=trust_code)
    columns = table_options(image_column, label_column, group_column, image_root, image_suffix, label_pattern)
    grouped = bool(loaded.config["task"]["settings"].get("grouped"))
    dataset, part = steps.choose_part(loaded.config, data, split, columns, grouped)
    n_trained_on = len(set(dataset.names or []) & steps.trained_on(loaded.config, dataset))
    loaded.task.targets(dataset)  # a class that the run does not know is told before the slow part
    with download_bar(as_json) as progress:
        vlm = loaded.load_vlm(device, dtype, model, progress)
    predictor = loaded.predictor(vlm)
    with ConsoleReporter(quiet=as_json) as reporter:
        if n_trained_on:
            reporter.note(f"{n_trained_on} of these {len(dataset)} images were trained on; this is no test of them.")
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        found = steps.run_logits(loaded, vlm, predictor, dataset, reporter, **options)
    metrics = measure(predictor.task, found, dataset)
    if as_json:
        facts = {"run": str(run), "data": " ".join(data), "part": part, "n_trained_on": n_trained_on}
        print_json({**facts, **metrics.as_dict(), "skipped": found.skipped})
        return
    out.print(f"Evaluated on {part}.")
    steps.show(metrics, len(found.skipped))
