"""What `coopt evaluate` does: choose the images, predict them, show the figures."""

from typing import Any

from coopt.artifacts import Run
from coopt.cli.console import out
from coopt.cli.progress import ConsoleReporter
from coopt.cli.sources import read_data
from coopt.cli.tables import print_table
from coopt.data import ImageDataset, UnreadableImageError, image_digest
from coopt.data.dataset import JOINED, MADE_HERE
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


def choose_part(
    config: dict[str, Any], data: list[str], split: str | None, columns: dict[str, Any], grouped: bool
) -> tuple[ImageDataset, str]:
    """The labelled images to evaluate on, and in words which they are.

    The source's own test part; where it has none and the run was trained on this very data, the test part of the split
    that `fit` made with the run's seed; otherwise all images.

    Raises:
        ConfigError: the data has no such part.
    """
    what = " ".join(data)
    if len(data) > 1 and not grouped:
        raise ConfigError(f"{what!r} are several data sets; this run learned on one. Evaluate one after the other.")
    splits = read_data(data, grouped, make_split=False, **columns)
    own_parts = splits.train is not None or splits.val is not None
    was_split = str((config.get("data") or {}).get("split", "")).startswith(MADE_HERE)
    if not (own_parts and splits.test is not None) and was_split and trained_on(config, splits.whole()):
        validation = not config["data"]["split"].endswith(JOINED)
        splits = read_data(data, grouped, seed=config["seed"], validation=validation, **columns)
        own_parts = True
    if split not in (None, "all") and not (own_parts and split in splits.parts):
        parts = ", ".join(splits.parts) if own_parts else "no parts"
        raise ConfigError(f"--split is {split!r}; {what!r} has {parts}, and 'all' takes all images.")
    if split == "all" or not own_parts or (split is None and splits.test is None):
        return splits.whole(), f"all images of {what}"
    return splits.parts[split or "test"], f"the {split or 'test'} part of {what} (split by {splits.made_by})"


def trained_on(config: dict[str, Any], dataset: ImageDataset) -> set[str]:
    """The names of the run's training images, if `dataset` holds the same pictures under these names; else none."""
    facts = config.get("data") or {}
    names, digests = facts.get("trained_on") or [], facts.get("digests") or []
    position = {name: index for index, name in enumerate(dataset.names or [])}
    checked = [(position[name], digest) for name, digest in zip(names, digests, strict=False) if name in position]
    for index, digest in checked:
        try:
            if image_digest(dataset.load(index)) != digest:
                return set()
        except UnreadableImageError:
            continue
    return set(names) if checked else set()


def show(metrics: Metrics, n_skipped: int) -> None:
    """Print the figures and the tables of details."""
    out.print(metrics.sentence())
    if n_skipped:
        out.print(f"{count(n_skipped, 'image', 'images')} could not be read and left out.")
    for table in metrics.tables():
        print_table(table.columns, table.rows, table.numeric, table.title)
    out.print("All details are in the output of --json.")
