"""`coopt import`: take over a checkpoint of another project's trainer as a run folder."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from coopt.artifacts import check_target, import_checkpoint, save_run
from coopt.cli.console import ConsoleReporter, out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import (
    DATA_HELP,
    BatchSize,
    Device,
    Dtype,
    ImageColumn,
    Json,
    LabelColumn,
    Revision,
    Strict,
    Workers,
)
from coopt.cli.predict import read_names
from coopt.data import ImageDataset, load_dataset
from coopt.evaluate import dataset_logits, measure
from coopt.methods import Method
from coopt.tasks import Metrics


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
    if out_folder is not None:
        check_target(out_folder, overwrite)
    columns = {"image_column": image_column, "label_column": label_column}
    dataset, part = (None, "") if data is None else read_test(data, columns)
    labels, names = read_classes(classes, dataset)
    with ConsoleReporter(quiet=as_json) as reporter:
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
        metrics, skipped = evaluate_on(imported.method, dataset, reporter, **options)
        records = [] if metrics is None else [{"data": part, **metrics.as_dict()}]
        save_run(folder, imported.method, records=records, details=imported.details, overwrite=overwrite)
    if as_json:
        facts = {"run": str(folder), "method": imported.method.key, "settings": imported.method.settings}
        shown = {"data": part or None, "metrics": metrics.as_dict() if metrics else None, "skipped": skipped}
        print_json({**facts, **imported.details["imported"], **shown, "notes": reporter.notes})
        return
    summarise(imported.method, metrics, part, folder, data)


def read_classes(classes: str | None, dataset: ImageDataset | None) -> tuple[list[str] | None, list[str] | None]:
    """Labels and words: of a file, of names with commas between, or of the data; None where nobody says them."""
    if classes is None:
        return (None, None) if dataset is None else (dataset.class_labels, dataset.class_names)
    if "," in classes and not Path(classes).exists():
        names = [name.strip() for name in classes.split(",") if name.strip()]
        return names, names
    return read_names(Path(classes))


def read_test(data: str, columns: dict[str, Any]) -> tuple[ImageDataset, str]:
    """The test images of a source, or all where it has no test part, and in words which they are."""
    splits = load_dataset(data, make_split=False, **columns)
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
        markup=False,
    )
    if metrics is not None:
        out.print(f"{metrics.sentence()[:-1]}, {part}.", markup=False)
    out.print(f"Run folder: {show_path(folder)}", markup=False)
    command = (
        ["coopt", "predict", show_path(folder), "IMAGES"] if data else ["coopt", "evaluate", show_path(folder), "DATA"]
    )
    out.print(f"Next: {shlex.join(command)}", markup=False)
