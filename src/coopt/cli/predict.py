"""`coopt predict`: class and probability of images."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from coopt.artifacts import Run, load_run
from coopt.cli.console import ConsoleReporter, out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import BatchSize, Device, Dtype, Json, OtherModel, RunFolder, Strict, Workers
from coopt.data import ImageDataset, load_dataset, read_class_names
from coopt.errors import ConfigError, DataError
from coopt.evaluate import check_logits, dataset_logits
from coopt.files import write_text
from coopt.methods import Classifier, Method
from coopt.models import VLM


def predict(
    run: RunFolder,
    images: Annotated[list[str], typer.Argument(help="Image files, or one folder, archive or table of images.")],
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to give per image.")] = 1,
    class_names: Annotated[
        Path | None,
        typer.Option(help="Other classes for a learned shared prompt: a JSON list, a JSON map, or one per line."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to a .csv or .json file.")] = None,
    model: OtherModel = None,
    batch_size: BatchSize = 64,
    device: Device = None,
    dtype: Dtype = None,
    workers: Workers = 0,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Class and probability for each image.

    Example: coopt predict runs/photos-coop-16shot-seed1 new/*.jpg --top-k 3 --output new.csv
    """
    if output is not None and output.suffix not in (".csv", ".json"):
        raise ConfigError(f"--output is {str(output)!r}; the file must end in .csv or .json.")
    loaded = load_run(run)
    dataset = read_images(images)
    with download_bar(as_json) as progress:
        vlm = loaded.load_vlm(device, dtype, model, progress)
    names, learner = choose_classes(loaded, vlm, class_names)
    with ConsoleReporter(quiet=as_json) as reporter:
        progress = reporter.encoding(f"{len(dataset)} images")
        found = dataset_logits(
            vlm,
            learner,
            dataset,
            seed=loaded.config.get("seed", 1),
            batch_size=batch_size,
            n_workers=workers,
            strict=strict,
            progress=progress,
        )
        for name, reason in found.skipped:
            reporter.note(f"skipped {name}: {reason}")
    check_logits(found.logits)
    probabilities = found.logits.cpu().softmax(-1)  # (N, C)
    best, classes = probabilities.topk(min(top_k, len(names)))  # (N, k)
    rows = [
        {
            "image": dataset.name(int(index)),
            "predictions": [
                {"label": names[int(c)], "score": round(float(p), 6)} for p, c in zip(best[i], classes[i], strict=True)
            ],
        }
        for i, index in enumerate(found.indices)
    ]
    if output is not None:
        write_text(output, as_csv(rows) if output.suffix == ".csv" else json.dumps(rows, indent=2) + "\n")
    if as_json:
        print_json({"predictions": rows, "skipped": found.skipped})
    elif output is not None:
        out.print(f"Wrote {len(rows)} predictions to {show_path(output)}; {len(found.skipped)} skipped.")
    else:
        out.print(as_table(rows, top_k))


def read_images(images: list[str]) -> ImageDataset:
    """One source of images, or a list of files.

    Raises:
        DataError: a path does not exist, or several folders are given.
    """
    if len(images) == 1 and not _is_image_file(Path(images[0])):
        return load_dataset(images[0], require_labels=False, make_split=False).whole()
    paths = [Path(image) for image in images]
    wrong = [str(path) for path in paths if not path.is_file()]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(paths)} paths are not image files: {', '.join(wrong[:5])}. "
            "Give image files, or one folder, archive or table."
        )
    return load_dataset(paths, require_labels=False, make_split=False).whole()


def _is_image_file(path: Path) -> bool:
    kinds = (".zip", ".tar", ".gz", ".tgz", ".csv", ".tsv", ".jsonl", ".parquet")
    return path.is_file() and path.suffix.lower() not in kinds


def choose_classes(loaded: Run, vlm: VLM, file: Path | None) -> tuple[list[str], Classifier | Method]:
    """The run's own classes, or other ones for its learned prompt."""
    if file is None:
        return loaded.class_names, loaded.classifier or loaded.build(vlm)
    names = read_names(file)
    if len(names) < 2:
        raise DataError(f"The class names file '{file}' has {len(names)} names; a classifier needs at least 2.")
    return names, loaded.build(vlm, names)


def read_names(file: Path) -> list[str]:
    """Class names from a JSON list, a JSON map (its words) or a text file with one per line.

    Raises:
        DataError: the file does not exist or holds none of these.
    """
    if file.suffix != ".json":
        if not file.is_file():
            raise DataError(f"The class names file '{file}' does not exist.")
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    words = read_class_names(file)
    return list(words.values()) if isinstance(words, dict) else words


def as_csv(rows: list[dict[str, Any]]) -> str:
    """A line per image and rank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "score"])
    for row in rows:
        for rank, prediction in enumerate(row["predictions"], 1):
            writer.writerow([row["image"], rank, prediction["label"], f"{prediction['score']:.6f}"])
    return text.getvalue()


def as_table(rows: list[dict[str, Any]], top_k: int) -> Table:
    """A row per image."""
    table = Table()
    table.add_column("image", overflow="fold")
    table.add_column("class" if top_k == 1 else f"{top_k} likeliest classes", overflow="fold")
    for row in rows:
        classes = ", ".join(f"{p['label']} {100 * p['score']:.1f}%" for p in row["predictions"])
        table.add_row(escape(row["image"]), escape(classes))
    return table
