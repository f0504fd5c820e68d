"""`coopt demo`: the main job on real images, offline, in a few minutes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer

from coopt.artifacts import save_run
from coopt.cli.console import out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import Json, Model, read_shot_list
from coopt.cli.progress import ConsoleReporter
from coopt.cli.tables import print_table
from coopt.data import ImageDataset, load_dataset
from coopt.datasets.makers.demo import make_demo_icons
from coopt.datasets.makers.scanned import write_digits
from coopt.errors import DataError
from coopt.features import ImageFeatures, encode_dataset
from coopt.files import write_json
from coopt.fit import learn
from coopt.methods import Method, ZeroShot
from coopt.models import VLM, load_model


@dataclass(frozen=True)
class DemoData:
    """One of the demo's data sets."""

    name: str
    what: str
    make: Callable[[Path], Any]
    words: str
    """The hand-written prompt, and where the learned context starts."""
    class_names: str | None = None
    """File of words for the labels, inside the folder."""


def make_digits(folder: Path) -> None:
    """Write the digits, unless they are there."""
    if not (folder / "class_names.json").is_file():
        write_digits(folder)


DATA = (
    DemoData("icons", "Font Awesome icons in 20 categories", make_demo_icons, "an icon of a"),
    DemoData("digits", "handwritten digits", make_digits, "a photo of the number", "class_names.json"),
)


@dataclass(frozen=True)
class Ready:
    """A data set that was read and whose test images were encoded."""

    data: DemoData
    folder: Path
    train: ImageDataset
    test: ImageDataset
    encoded: ImageFeatures
    split: str


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where images and results go.")] = Path("demo"),
    model: Model = "builtin",
    shots: Annotated[str, typer.Option(help="Numbers of shots, comma-separated.")] = "1,2,4,8,16",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 3,
    as_json: Json = False,
) -> None:
    """Hand-written against learned prompts on two sets of real images, offline.

    Example: coopt demo
    """
    shot_list = read_shot_list(shots)
    hand_written: dict[str, float] = {}
    cells: list[dict[str, Any]] = []
    sets: list[Ready] = []
    with download_bar(as_json) as progress:
        vlm = load_model(model, progress=progress)
    with ConsoleReporter(quiet=as_json) as reporter:
        for data in DATA:
            ready = prepare(data, folder / data.name, vlm, reporter)
            sets.append(ready)
            by_hand = ZeroShot(vlm, ready.train.class_names, templates=data.words + " {}.")
            hand_written[data.name] = accuracy(by_hand, ready)
            cells += learn_all(vlm, ready, shot_list, range(1, seeds + 1), folder / "runs" / data.name, reporter)
    results = {
        "model": vlm.name,
        "fingerprint": vlm.fingerprint,
        "n_test": {ready.data.name: len(ready.encoded.indices) for ready in sets},
        "hand_written": hand_written,
        "learned": cells,
    }
    write_json(folder / "results.json", results)
    if as_json:
        print_json(results)
        return
    print_results(sets, hand_written, cells, shot_list)
    out.print("± is the standard deviation over seeds; each seed draws its own shots.")
    for ready in sets:
        run = show_path(folder / "runs" / ready.data.name)
        out.print(f"{ready.data.name}: images in {show_path(ready.folder)}, the last run in {run}")
    out.print(f"All results: {show_path(folder / 'results.json')}")
    example = sorted((sets[0].folder / "test").rglob("*.png"))[0]
    run = show_path(folder / "runs" / sets[0].data.name)
    out.print(f"Next: coopt predict {run} '{show_path(example)}' --top-k 3")
    out.print("With your own images, one folder per class: coopt fit FOLDER")


def prepare(data: DemoData, folder: Path, vlm: VLM, reporter: ConsoleReporter) -> Ready:
    """Make and read the images, and encode those of the test part."""
    reporter.say(f"{data.name} ({data.what}): images in {show_path(folder)}")
    data.make(folder)
    names = folder / data.class_names if data.class_names else None
    splits = load_dataset(str(folder), class_names=names)
    if splits.train is None or splits.test is None:
        raise DataError(f"{folder} must hold train/ and test/; remove it to have it made again.")
    encoded = encode_dataset(vlm, splits.test, progress=reporter.encoding(f"{len(splits.test)} test images"))
    return Ready(data, folder, splits.train, splits.test, encoded, splits.made_by)


def learn_all(
    vlm: VLM, ready: Ready, shot_list: Sequence[int], seeds: Sequence[int], run: Path, reporter: ConsoleReporter
) -> list[dict[str, Any]]:
    """Test accuracy of one fit per number of shots and seed; the last one is saved as a run."""
    cells: list[dict[str, Any]] = []
    for shots in shot_list:
        for seed in seeds:
            words, silent = {"ctx_init": ready.data.words}, ConsoleReporter(quiet=True)
            learned = learn(vlm, ready.train, settings=words, shots=shots, seed=seed, reporter=silent)
            found = {"data": ready.data.name, "shots": shots, "seed": seed, "accuracy": accuracy(learned.method, ready)}
            cells.append(found)
        values = ", ".join(f"{cell['accuracy']:.1f}%" for cell in cells if cell["shots"] == shots)
        reporter.say(f"{ready.data.name}: {shots} shot(s): {values}")
    details = learned.details()
    details["data"] |= {"split": ready.split, "n_test": len(ready.test)}
    records = [record.as_dict() for record in learned.records]
    save_run(run, learned.method, records=records, details=details, overwrite=True)
    return cells


def accuracy(method: Method, ready: Ready) -> float:
    """Test accuracy in percent."""
    targets = method.task.targets(ready.test)[ready.encoded.indices.cpu()].to(method.device)
    metrics = method.task.metrics(method.predictor()(ready.encoded.features), targets)
    return metrics.figures()[metrics.shown[0].name]


def print_results(
    sets: Sequence[Ready], hand_written: dict[str, float], cells: Sequence[dict[str, Any]], shot_list: Sequence[int]
) -> None:
    """Hand-written against learned prompts, a column per data set."""
    heads = ["prompt", "shots", *(f"{ready.data.name}\n{len(ready.encoded.indices)} images" for ready in sets)]
    words = " / ".join(f"{ready.data.words} ..." for ready in sets)
    rows = [[f"hand-written: {words}", 0, *(f"{hand_written[ready.data.name]:.1f}%" for ready in sets)]]
    for shots in shot_list:
        row = []
        for ready in sets:
            values = [c["accuracy"] for c in cells if (c["data"], c["shots"]) == (ready.data.name, shots)]
            row.append(f"{mean(values):.1f}%" + (f" ± {stdev(values):.1f}" if len(values) > 1 else ""))
        rows.append(["learned (CoOp)", shots, *row])
    print_table(heads, rows, right=heads[1:], title="Test accuracy")
