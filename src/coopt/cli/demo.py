"""`coopt demo`: the main job on real images, offline, in a few minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated

import torch
import typer
from rich.table import Table

from coopt.artifacts import save_run
from coopt.cli.console import ConsoleReporter, out, percent, print_json, show_path
from coopt.cli.options import Json, Model
from coopt.data import ImageDataset, load_dataset
from coopt.data.demo import make_demo_icons
from coopt.errors import ConfigError, DataError
from coopt.estimator import run_details
from coopt.evaluate import evaluate_logits
from coopt.features import ImageFeatures, encode_dataset
from coopt.files import write_json
from coopt.fit import Learned, learn
from coopt.methods import METHODS, Method, ZeroShot
from coopt.models import VLM, load_model

SETTINGS = {"ctx_init": "an icon of a"}
"""The demo's context starts from words: it is the start that needs the fewest shots."""
TEMPLATE = "an icon of a {}."


@dataclass(frozen=True)
class Cell:
    """Test accuracy of one fit, in percent."""

    shots: int
    seed: int
    accuracy: float


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where images and results go.")] = Path("demo"),
    model: Model = "builtin",
    shots: Annotated[str, typer.Option(help="Numbers of shots, comma-separated.")] = "1,2,4,8,16",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 3,
    as_json: Json = False,
) -> None:
    """Hand-written against learned prompts on real icons in 20 categories, offline.

    Example: coopt demo
    """
    shot_list = read_shot_list(shots)
    with ConsoleReporter(quiet=as_json) as reporter:
        reporter.note(f"rendering the icons into {show_path(folder / 'icons')}")
        icons = make_demo_icons(folder / "icons")
        splits = load_dataset(str(icons))
        vlm = load_model(model)
        train, test = splits.train, splits.test
        if train is None or test is None:
            raise DataError(f"{icons} must hold train/ and test/; remove it to have it made again.")
        reporter.note(f"train: {train.summary()}; test: {test.summary()}")
        encoded = encode_dataset(vlm, test, progress=reporter.encoding(f"{len(test)} test images"))
        photo = accuracy(ZeroShot(vlm, train.class_names), test, encoded)
        icon = accuracy(ZeroShot(vlm, train.class_names, templates=TEMPLATE), test, encoded)
        cells, last = learn_all(vlm, train, test, encoded, shot_list, range(1, seeds + 1), reporter)
    run = folder / "run"
    details = run_details(last, shot_list[-1], seeds, list(train.class_labels or train.class_names))
    details["data"] |= {"split": splits.made_by, "n_test": len(test)}
    save_run(run, last.method, records=[r.as_dict() for r in last.records], details=details, overwrite=True)
    results = {
        "model": vlm.name,
        "fingerprint": vlm.fingerprint,
        "n_test": len(encoded.indices),
        "hand_written": {"a photo of a {}.": photo, TEMPLATE: icon},
        "learned": [vars(cell) for cell in cells],
    }
    write_json(folder / "results.json", results)
    if as_json:
        print_json(results)
        return
    out.print(results_table(photo, icon, cells, shot_list, seeds))
    out.print(f"{len(encoded.indices)} test images; the mean and standard deviation are over seeds (shots drawn anew).")
    out.print(f"Images: {show_path(icons)}   Results: {show_path(folder / 'results.json')}   Run: {show_path(run)}")
    example = next(iter(sorted((icons / "test").rglob("*.png"))))
    out.print(f"Next: coopt predict {show_path(run)} '{show_path(example)}' --top-k 3", markup=False)
    out.print("Your own folder of images, one folder per class: coopt fit FOLDER", markup=False)


def read_shot_list(text: str) -> list[int]:
    """`"1,2,4"` to numbers.

    Raises:
        ConfigError: something else stands there.
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"--shots is {text!r}; give whole numbers from 1, such as 1,2,4,8,16.")
    return [int(part) for part in parts]


def learn_all(
    vlm: VLM,
    train: ImageDataset,
    test: ImageDataset,
    encoded: ImageFeatures,
    shot_list: Sequence[int],
    seeds: Sequence[int],
    reporter: ConsoleReporter,
) -> tuple[list[Cell], Learned]:
    """One fit per number of shots and seed; the last one is returned whole."""
    cells = []
    for shots in shot_list:
        for seed in seeds:
            learned = learn(vlm, train, settings=SETTINGS, shots=shots, seed=seed, reporter=reporter)
            cells.append(Cell(shots, seed, accuracy(learned.method, test, encoded)))
        values = [cell.accuracy for cell in cells if cell.shots == shots]
        reporter.note(f"{shots} shot(s): {', '.join(percent(value) for value in values)}")
    return cells, learned


def accuracy(method: Method, test: ImageDataset, encoded: ImageFeatures) -> float:
    """Test accuracy in percent."""
    assert test.labels is not None  # the demo's folders are labelled
    labels = torch.as_tensor(test.labels)[encoded.indices].to(method.device)
    with torch.no_grad():
        return evaluate_logits(method(encoded.features), labels, method.class_names).accuracy


def results_table(photo: float, icon: float, cells: Sequence[Cell], shot_list: Sequence[int], seeds: int) -> Table:
    """Zero-shot against learned prompts."""
    table = Table(title="Test accuracy on 20 categories of icons", title_justify="left")
    for heading in ("prompt", "shots", "accuracy", "seeds"):
        table.add_column(heading, justify="left" if heading == "prompt" else "right")
    table.add_row("hand-written: a photo of a {}.", "0", percent(photo), "-")
    table.add_row(f"hand-written: {TEMPLATE}", "0", percent(icon), "-")
    for shots in shot_list:
        values = [cell.accuracy for cell in cells if cell.shots == shots]
        spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
        table.add_row(f"learned ({METHODS['coop'].__name__})", str(shots), f"{mean(values):.1f}%{spread}", str(seeds))
    return table
