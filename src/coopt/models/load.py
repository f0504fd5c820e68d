"""`load_model(name)`: which loader a name belongs to."""

import re
from importlib.resources import as_file, files
from pathlib import Path

import torch

from coopt.errors import ModelError, did_you_mean
from coopt.models.hf_source import load_folder
from coopt.models.hub import fetch_folder
from coopt.models.settings import resolve_device, resolve_dtype
from coopt.models.vlm import VLM

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load_model(
    name: str | Path,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    revision: str | None = None,
    offline: bool | None = None,
) -> VLM:
    """Load a frozen dual encoder."""
    where, precision = resolve_device(device), resolve_dtype(dtype)
    name = str(name)
    if name == "builtin":
        with as_file(files("coopt.models") / "builtin") as folder:
            return load_folder(name, folder, None, where, precision)
    if Path(name).is_dir():
        return load_folder(name, Path(name), None, where, precision)
    if HUB_ID.fullmatch(name):
        folder, commit = fetch_folder(name, revision, offline)
        return load_folder(name, folder, commit, where, precision)
    raise ModelError(
        f"unknown model {name!r}.{did_you_mean(name, ['builtin'])} `coopt models` lists known names."
    )
