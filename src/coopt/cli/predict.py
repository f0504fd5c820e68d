"""`coopt predict`: class and probability of images."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from coopt.artifacts import Run, load_run
from coopt.cli.console import ConsoleReporter, out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import BatchSize, Device, Dtype, Json, OtherModel, RunFolder, Strict, TrustCode, Workers
from coopt.data import ImageDataset, load_dataset, read_class_names
from coopt.errors import ConfigError, DataError
from coopt.evaluate import dataset_logits
from coopt.files import write_text
from coopt.methods import Predictor
from coopt.models import VLM
from coopt.tasks import Decisions, check_logits


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
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Class and probability for each image.

    Example: coopt predict runs/photos-coop-16shot-seed1 new/*.jpg --top-k 3 --output new.csv
    """
    if output is not None and output.suffix not in (".csv", ".json"):
        raise ConfigError(f"--output is {str(output)!r}; the file must end in .csv or .json.")
    loaded = load_run(run, trust_code=trust_code)
    dataset = read_images(images)
    with download_bar(as_json) as progress:
        vlm = loaded.load_vlm(device, dtype, model, progress)
    predictor = choose_classes(loaded, vlm, class_names)
    with ConsoleReporter(quiet=as_json) as reporter:
        found = dataset_logits(
            vlm,
            predictor,
            dataset,
            seed=loaded.config.get("seed", 1),
            batch_size=batch_size,
            n_workers=workers,
            strict=strict,
            progress=reporter.encoding(f"{len(dataset)} images"),
        )
        for name, reason in found.skipped:
            reporter.note(f"skipped {name}: {reason}")
    check_logits(found.logits)
    decisions = predictor.task.decide(found.logits, top_k)
    shown = [dataset.name(int(index)) for index in found.indices]
    rows = [{"image": name, **decisions.as_dict(row)} for row, name in enumerate(shown)]
    if output is not None:
        is_csv = output.suffix == ".csv"
        write_text(output, as_csv(shown, decisions) if is_csv else json.dumps(rows, indent=2) + "\n")
    if as_json:
        print_json({"predictions": rows, "skipped": found.skipped})
    elif output is not None:
        out.print(f"Wrote {len(rows)} predictions to {show_path(output)}; {len(found.skipped)} skipped.")
    else:
        out.print(as_table(shown, decisions))


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


def choose_classes(loaded: Run, vlm: VLM, file: Path | None) -> Predictor:
    """What predicts the run's own classes, or other ones by its learned prompt."""
    if file is None:
        return loaded.predictor(vlm)
    names = read_names(file)
    if len(names) < 2:
        raise DataError(f"The class names file '{file}' has {len(names)} names; a classifier needs at least 2.")
    return loaded.predictor(vlm, names)


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


def as_csv(names: list[str], decisions: Decisions) -> str:
    """The task's lines for each image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *decisions.columns])
    for row, name in enumerate(names):
        writer.writerows([name, *line] for line in decisions.lines(row))
    return text.getvalue()


def as_table(names: list[str], decisions: Decisions) -> Table:
    """A row per image."""
    table = Table()
    table.add_column("image", overflow="fold")
    table.add_column(decisions.title, overflow="fold")
    for row, name in enumerate(names):
        table.add_row(escape(name), escape(decisions.text(row)))
    return table
