"""`coopt predict`: class and probability of images."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from coopt.artifacts import load_run
from coopt.cli.console import ConsoleReporter, out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.evaluate import run_logits
from coopt.cli.options import (
    AllowEqual,
    BatchSize,
    Device,
    Dtype,
    ImageColumn,
    ImageRoot,
    ImageSuffix,
    Json,
    OtherModel,
    RunFolder,
    Strict,
    TrustCode,
    Workers,
)
from coopt.cli.tables import print_table
from coopt.data import ImageDataset, holds_images, load_dataset, read_class_names
from coopt.errors import ConfigError, DataError
from coopt.files import write_text
from coopt.tasks import Decisions, check_logits


def predict(
    run: RunFolder,
    images: Annotated[list[str], typer.Argument(help="Image files, or one folder, archive or table of images.")],
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to give per image.")] = 1,
    class_names: Annotated[
        Path | None,
        typer.Option(
            help="Other classes for a shared prompt: a JSON list, a JSON map of labels to words, or one per line."
        ),
    ] = None,
    image_column: ImageColumn = None,
    image_root: ImageRoot = None,
    image_suffix: ImageSuffix = None,
    allow_equal_prompts: AllowEqual = False,
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
    with ConsoleReporter(quiet=as_json) as reporter:
        loaded = load_run(run, trust_code=trust_code)
        columns = {"image_column": image_column, "image_root": image_root, "image_suffix": image_suffix}
        dataset = read_images(images, **columns)
        with download_bar(as_json) as progress:
            vlm = loaded.load_vlm(device, dtype, model, progress)
        labels, names = (None, None) if class_names is None else read_names(class_names)
        predictor = loaded.predictor(vlm, names, labels, allow_equal_prompts=allow_equal_prompts)
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        found = run_logits(loaded, vlm, predictor, dataset, reporter, **options)
    check_logits(found.logits)
    decisions = predictor.task.decide(found.logits, top_k)
    files = [dataset.name(int(index)) for index in found.indices]
    rows = [{"image": file, **decisions.as_dict(row)} for row, file in enumerate(files)]
    if output is not None:
        is_csv = output.suffix == ".csv"
        write_text(output, as_csv(files, decisions) if is_csv else json.dumps(rows, indent=2) + "\n")
    if as_json:
        print_json({"predictions": rows, "skipped": found.skipped})
    elif output is not None:
        out.print(f"Wrote {len(rows)} predictions to {show_path(output)}; {len(found.skipped)} skipped.")
    else:
        print_table(("image", decisions.title), [(file, decisions.text(row)) for row, file in enumerate(files)])


def read_images(images: list[str], **options: Any) -> ImageDataset:
    """One source of images, or a list of files.

    Raises:
        DataError: a path does not exist, or several folders are given.
    """
    paths = [Path(image) for image in images]
    wrong = [str(path) for path in paths if not path.is_file()]
    source: str | list[Path] = paths
    if len(paths) == 1 and (wrong or holds_images(paths[0].name)):
        source = images[0]
    elif wrong:
        raise DataError(
            f"{len(wrong)} of {len(paths)} paths are not image files: {', '.join(wrong[:5])}. "
            "Give image files, or one folder, archive or table."
        )
    return load_dataset(source, require_labels=False, make_split=False, **options).whole()


def read_names(file: Path) -> tuple[list[str], list[str]]:
    """Labels and words of classes: a JSON map has both, a JSON list or a text file with one per line only words.

    Raises:
        DataError: the file does not exist, or does not hold two names in one of these ways.
    """
    words = read_class_names(file)
    if len(words) < 2:
        raise DataError(f"The class names file '{file}' has {len(words)} names; a classifier needs at least 2.")
    return list(words), list(words.values()) if isinstance(words, dict) else list(words)


def as_csv(names: list[str], decisions: Decisions) -> str:
    """The task's lines for each image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *decisions.columns])
    for row, name in enumerate(names):
        writer.writerows([name, *line] for line in decisions.lines(row))
    return text.getvalue()
