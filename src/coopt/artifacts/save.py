"""Writing a run folder, complete or absent."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coopt.artifacts.card import card
from coopt.artifacts.earlier import FORMAT
from coopt.artifacts.place import CARD, CLASSIFIER, CONFIG, METRICS, WEIGHTS, check_target, finish_swap
from coopt.data import ImageDataset, Skipped, image_digest
from coopt.errors import RunError
from coopt.files import atomic_folder, write_json, write_tensors, write_text
from coopt.methods import Method, jsonable
from coopt.version import describe_versions

N_DIGESTS = 5
PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "pillow", "safetensors", "open_clip_torch")
"""Whose versions a run folder names."""
CALLER_FACTS = (
    "class_labels", "shots", "seed", "recipe", "class_weight", "sample_weight", "preset", "data", "revision_asked",
    "numeric_labels", "label_dtype",
)  # fmt: skip
"""What `details` of a run folder may hold: a run that is loaded is saved again with these."""


def save_run(
    folder: Path | str,
    method: Method,
    *,
    records: Sequence[Mapping[str, Any]] = (),
    details: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write a run folder; it is complete or absent.

    Args:
        folder: where; must not exist yet, or be an empty folder, unless `overwrite`.
        method: the trained method.
        records: lines of `metrics.jsonl`.
        details: what the caller knows beyond the method: seed, shots, recipe, data, class labels.
        overwrite: replace a run that is there; the old one stays until the new one is complete.

    Raises:
        RunError: the folder holds something and `overwrite` is not set, or it holds something that is no run.
    """
    folder = Path(folder)
    check_target(folder, overwrite)
    config = {
        "format": FORMAT,
        "library": "coopt",
        "method": method.key,
        "settings": jsonable(method.settings),
        "found": jsonable(method.found),
        "task": {"name": method.task.key, "settings": method.task.settings},
        "base_model_name_or_path": method.vlm.name,
        "base_model_source": method.vlm.source,
        "revision": method.vlm.revision,
        "fingerprint": method.vlm.fingerprint,
        "class_names": method.class_names,
        "new_classes": method.new_classes,
        "n_parameters": method.n_parameters(),
        **details,
        "versions": describe_versions(PACKAGES),
    }
    # A run that is there stays until the new one is complete beside it; then the two are swapped.
    is_taken = folder.exists() and any(folder.iterdir())
    place = folder.with_name(f".{folder.name}.new") if is_taken else folder
    if is_taken:
        shutil.rmtree(place, ignore_errors=True)  # left by a kill
    with atomic_folder(place) as temporary:
        write_tensors(temporary / WEIGHTS, method.state_dict(), metadata={"format": "pt"})
        classifier = method.predictor().linear
        if classifier is not None:
            tensors = {"weight": classifier.weight, "bias": classifier.bias}
            # One entry only: safetensors writes several in random order, and equal runs must be equal files.
            write_tensors(temporary / CLASSIFIER, tensors, metadata={"normalize": json.dumps(classifier.normalize)})
        write_text(temporary / METRICS, "".join(json.dumps(dict(record)) + "\n" for record in records))
        write_text(temporary / CARD, card(config, records, method.task.figures))
        write_json(temporary / CONFIG, config)
    if is_taken:
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        finish_swap(folder)
    return folder


def training_details(
    train: ImageDataset, val: ImageDataset | None, skipped: Sequence[Skipped], labels: Sequence[str], **facts: Any
) -> dict[str, Any]:
    """What a run folder keeps beyond the method itself: its labels, `facts` (shots, seed, recipe) and its data."""
    return {
        "class_labels": list(labels),
        **facts,
        "data": {
            "source": train.source,
            "n_train": len(train),
            "n_val": 0 if val is None else len(val),
            "skipped": [list(item) for item in skipped],
            "trained_on": train.names,
            # Enough to recognise the same images in another place, where names by themselves may agree by chance.
            "digests": [image_digest(train.load(i)) for i in range(min(N_DIGESTS, len(train)))],
        },
    }


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run folder's `metrics.jsonl`; none where there is no such file.

    Raises:
        RunError: a line is no JSON.
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.") from error
