"""Where a run folder goes: its files, the check of the place, and the swap with a run that is there."""

import os
import shutil
from pathlib import Path

from coopt.errors import RunError
from coopt.messages import option

CONFIG, WEIGHTS, CLASSIFIER = "adapter_config.json", "adapter_model.safetensors", "classifier.safetensors"
IMAGES = "images.safetensors"
METRICS, CARD = "metrics.jsonl", "README.md"
BOUND = (WEIGHTS, CLASSIFIER, IMAGES)
"""Files whose digests the configuration holds: they belong to this run and to no other."""


def finish_swap(folder: Path) -> None:
    """The second half of replacing a run, also after a kill between the halves: move the new one in, drop the old."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    if not folder.exists() and (new / CONFIG).is_file():
        os.replace(new, folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that something else lives in or that cannot be written, before any work is done.

    Raises:
        RunError: it holds a run (and `overwrite` is not set) or something else, or cannot be made.
    """
    finish_swap(folder)
    other = f"choose another {option('--out', 'folder')}"
    if not folder.exists():
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            kind = "cannot be written to" if parent.is_dir() else "is a file"
            raise RunError(f"The run folder {folder} cannot be made: {parent} {kind}. {other.capitalize()}.")
        return
    if not folder.is_dir():
        raise RunError(f"{folder} is a file; a run is written to a folder. {other.capitalize()}.")
    if not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} is not empty and holds no run; {other}.")
    if not overwrite:
        overwrite_option = option("--overwrite", "overwrite=True")
        raise RunError(f"{folder} already holds a run; {other}, or pass {overwrite_option} to replace it.")
