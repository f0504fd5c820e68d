"""`coopt import`: take over a checkpoint of another project's trainer as a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from coopt.cli.console import print_json
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
    Revision,
    Strict,
    Workers,
    table_options,
)


def import_(
    path: Annotated[Path, typer.Argument(help="The checkpoint: model.pth.tar-N, keys_Nshots.pt, or its folder.")],
    classes: Annotated[
        str | None,
        typer.Option(
            help="The classes it was trained for, in their order: a file (one per line, a JSON list, a JSON map from "
            "labels to words), or names with commas between. By default those of --data."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model it was trained with, as for `coopt fit`.")] = None,
    method: Annotated[str | None, typer.Option(help="Its method, where its tensors may be of several.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: what the tensors do not say (position=end).")
    ] = None,
    data: Annotated[str | None, typer.Option(help=f"Evaluate on this at once. {DATA_HELP}")] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Run folder to write; by default runs/imported-METHOD.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is in --out.")] = False,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_root: ImageRoot = None,
    image_suffix: ImageSuffix = None,
    label_pattern: LabelPattern = None,
    revision: Revision = None,
    batch_size: BatchSize = 64,
    device: Device = None,
    dtype: Dtype = None,
    workers: Workers = 0,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Take over a checkpoint of another project's trainer as a run folder.

    Checkpoints of CoOp, CoCoOp, KgCoOp, ProGrad, VPT, IVLP, MaPLe, PromptSRC and Tip-Adapter; nothing in them is run.
    Settings are found from the tensors; what they do not say is asked for by name. Where the checkpoint remembers its
    class names or its model, --classes and --model are held to them.

    Example: coopt import model.pth.tar-50 --classes classes.txt --model ViT-B/16 --set position=end --data photos/
    """
    from coopt.artifacts import check_target, import_checkpoint, save_run
    from coopt.cli import import_steps as steps
    from coopt.cli.progress import ConsoleReporter

    if out_folder is not None:
        check_target(out_folder, overwrite)
    columns = table_options(image_column, label_column, group_column, image_root, image_suffix, label_pattern)
    with ConsoleReporter(quiet=as_json) as reporter:
        dataset, part = (None, "") if data is None else steps.read_test(data, columns, reporter)
        labels, names = steps.read_classes(classes, dataset)
        with download_bar(as_json) as progress:
            imported = import_checkpoint(
                path,
                names,
                model,
                method=method,
                settings=set_ or [],
                class_labels=labels,
                device=device,
                dtype=dtype,
                revision=revision,
                progress=progress,
            )
        for note in imported.notes:
            reporter.note(note)
        folder = out_folder or Path("runs") / f"imported-{imported.method.key}"
        check_target(folder, overwrite)
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        metrics, skipped = steps.evaluate_on(imported.method, dataset, reporter, **options)
        records = [] if metrics is None else [{"data": part, **metrics.as_dict()}]
        save_run(folder, imported.method, records=records, details=imported.details, overwrite=overwrite)
    if as_json:
        facts = {"run": str(folder), "method": imported.method.key, "settings": imported.method.settings}
        shown = {"data": part or None, "metrics": metrics.as_dict() if metrics else None, "skipped": skipped}
        print_json({**facts, **imported.details["imported"], **shown, "notes": reporter.notes})
        return
    steps.summarise(imported.method, metrics, part, folder, data)
