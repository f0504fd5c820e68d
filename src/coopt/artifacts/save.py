"""Writing a run folder, complete or absent."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coopt.artifacts.card import card, learned_words
from coopt.artifacts.earlier import FORMAT
from coopt.artifacts.images import SeenImages
from coopt.artifacts.place import (
    BOUND,
    CARD,
    CLASSIFIER,
    CONFIG,
    IMAGES,
    METRICS,
    WEIGHTS,
    check_target,
    finish_swap,
)
from coopt.data import ImageDataset, Skipped
from coopt.download import file_digest
from coopt.errors import RunError
from coopt.files import atomic_folder, write_json, write_tensors, write_text
from coopt.methods import Method, jsonable
from coopt.version import describe_versions

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "pillow", "safetensors", "open_clip_torch")
"""Whose versions a run folder names."""
CALLER_FACTS = (
    "class_labels", "shots", "seed", "recipe", "class_weight", "sample_weight", "preset", "data", "revision_asked",
    "numeric_labels", "label_dtype", "imported",
)  # fmt: skip
"""What `details` of a run folder may hold: a run that is loaded is saved again with these."""
PATH = re.compile(r"'[^']*[/\\][^']*'")
"""A path in a reason for which an image could not be read."""


def save_run(
    folder: Path | str,
    method: Method,
    *,
    records: Sequence[Mapping[str, Any]] = (),
    details: Mapping[str, Any],
    images: SeenImages | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a run folder; it is complete or absent.

    Args:
        folder: where; must not exist yet, or be an empty folder, unless `overwrite`.
        method: the trained method.
        records: lines of `metrics.jsonl`.
        details: what the caller knows beyond the method: seed, shots, recipe, data, class labels.
        images: what the run has seen, so that an evaluation knows its training images.
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
        "base_model_name_or_path": model_place(method.vlm.name),
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
        if images is not None:
            images.write(temporary / IMAGES)
        present = [name for name in BOUND if (temporary / name).is_file()]
        config["files"] = {name: file_digest(temporary / name) for name in present}
        write_text(temporary / METRICS, "".join(json.dumps(dict(record)) + "\n" for record in records))
        write_text(temporary / CARD, card(config, records, method.task.figures, learned_words(method)))
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
            "source": source_name(train.source),
            "n_train": len(train),
            "n_val": 0 if val is None else len(val),
            "skipped": [[file_name(name), PATH.sub("the file", reason)] for name, reason in skipped],
            **({} if train.image_bits is None else {"image_bits": train.image_bits}),
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


def model_place(name: str) -> str:
    """Where a base model is found again: the whole path of a local file or folder, whatever the folder of work was."""
    kind, at, file = name.rpartition("@") if name.startswith("open_clip:") else ("", "", name)
    path = Path(file).expanduser()
    return f"{kind}{at}{path.resolve()}" if name != "builtin" and path.exists() else name


def source_name(source: str | None) -> str | None:
    """What data is called: of a path the last part, since runs are published and where it lay is nobody's business."""
    if source is None or source.startswith("hf:"):
        return source
    if Path(source).exists():
        return Path(source).resolve().name
    return " and ".join(file_name(part) for part in source.split(" and "))


def file_name(name: str) -> str:
    """An image's name; of a whole path the last part."""
    return Path(name).name if Path(name).is_absolute() else name
