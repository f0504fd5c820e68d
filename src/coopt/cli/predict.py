"""`coopt predict`: class and probability of images."""

import json
from pathlib import Path
from typing import Annotated

import typer

from coopt.cli.console import out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import (
    AllowEqual,
    BatchSize,
    Device,
    Dtype,
    Ignore,
    ImageBits,
    ImageColumn,
    ImageRoot,
    ImageSuffix,
    Json,
    Layout,
    OtherModel,
    RunFolder,
    RunRevision,
    Strict,
    TrustCode,
    Workers,
)
from coopt.cli.tables import as_csv, print_table
from coopt.errors import ConfigError
from coopt.files import write_text


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
    layout: Layout = "auto",
    ignore: Ignore = None,
    image_bits: ImageBits = None,
    output: Annotated[Path | None, typer.Option(help="Write to a .csv or .json file.")] = None,
    revision: RunRevision = None,
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
    from coopt.artifacts import load_run
    from coopt.cli.evaluate_steps import run_logits
    from coopt.cli.progress import ConsoleReporter
    from coopt.cli.sources import read_images, read_names
    from coopt.tasks import check_logits

    with ConsoleReporter(quiet=as_json) as reporter:
        loaded = load_run(run, revision=revision, trust_code=trust_code)
        columns = {"image_column": image_column, "image_root": image_root, "image_suffix": image_suffix}
        bits = loaded.image_bits if image_bits is None else image_bits
        splits = read_images(images, **columns, layout=layout, ignore=ignore or (), image_bits=bits)
        dataset = splits.whole()
        for note in splits.notes:
            reporter.note(note)
        with download_bar(as_json) as progress:
            vlm = loaded.load_vlm(device, dtype, model, progress)
        labels, words = (None, None) if class_names is None else read_names(class_names)
        predictor = loaded.predictor(vlm, words, labels, allow_equal_prompts=allow_equal_prompts)
        options = {"batch_size": batch_size, "n_workers": workers, "strict": strict}
        found = run_logits(loaded, vlm, predictor, dataset, reporter, **options)
    check_logits(found.logits)
    decisions = predictor.task.decide(found.logits, top_k)
    names = [dataset.name(int(index)) for index in found.indices]
    rows = [{"image": name, **decisions.as_dict(row)} for row, name in enumerate(names)]
    if output is not None:
        heads = ("image", *decisions.columns)
        lines = [(name, *line) for row, name in enumerate(names) for line in decisions.lines(row)]
        write_text(output, as_csv(heads, lines) if output.suffix == ".csv" else json.dumps(rows, indent=2) + "\n")
    if as_json:
        print_json({"predictions": rows, "skipped": found.skipped, "notes": reporter.notes})
    elif output is not None:
        out.print(f"Wrote {len(rows)} predictions to {show_path(output)}; {len(found.skipped)} skipped.")
    else:
        print_table(("image", decisions.title), [(name, decisions.text(row)) for row, name in enumerate(names)])
