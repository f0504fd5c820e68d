"""What `coopt evaluate` does: choose the images, predict them, show the figures."""

from dataclasses import replace
from typing import Any

from coopt.artifacts import Run
from coopt.cli.console import out
from coopt.cli.parts import Part, choose_part
from coopt.cli.progress import ConsoleReporter
from coopt.cli.sources import read_data
from coopt.cli.tables import print_table
from coopt.data import ImageDataset
from coopt.data.checks import conflicts_note, label_conflicts
from coopt.data.wording import count
from coopt.errors import ConfigError
from coopt.evaluate import ImageLogits, dataset_logits
from coopt.methods import Predictor
from coopt.models import VLM
from coopt.tasks import Metrics


def run_logits(
    run: Run, vlm: VLM, predictor: Predictor, dataset: ImageDataset, reporter: ConsoleReporter, **options: Any
) -> ImageLogits:
    """A run's logits of a data set, with a bar, and a note for each image that was skipped."""
    progress = reporter.encoding(f"{len(dataset)} images")
    found = dataset_logits(vlm, predictor, dataset, seed=run.config.get("seed", 1), progress=progress, **options)
    reporter.skipped(found.skipped)
    return found


def read_part(run: Run, data: list[str], split: str | None, columns: dict[str, Any], allow_duplicates: bool) -> Part:
    """The images to evaluate on.

    Raises:
        ConfigError: the data has no such part, or is several data sets for a run that learned on one.
    """
    what = " ".join(data)
    grouped = bool(run.config["task"]["settings"].get("grouped"))
    if len(data) > 1 and not grouped:
        raise ConfigError(f"{what!r} are several data sets; this run learned on one. Evaluate one after the other.")
    splits = read_data(data, grouped, make_split=False, **columns)
    part = choose_part(run, what, splits, split, allow_duplicates)
    conflicts = label_conflicts(part.dataset)
    told = [conflicts_note(conflicts, "the images that are evaluated")] if conflicts else []
    return replace(part, notes=[*splits.notes, *part.notes, *told])


def known_notes(run: Run) -> list[str]:
    """What a run that does not say what it has seen leaves open."""
    if run.images is not None or (run.config.get("data") or {}).get("trained_on"):
        return []
    return [f"{run.folder} does not say which images it was trained on: they cannot be told from others"]


def show(metrics: Metrics, n_skipped: int) -> None:
    """Print the figures and the tables of details."""
    out.print(metrics.sentence())
    if n_skipped:
        out.print(f"{count(n_skipped, 'image', 'images')} could not be read and left out.")
    for table in metrics.tables():
        print_table(table.columns, table.rows, table.numeric, table.title)
    out.print("All details are in the output of --json.")
