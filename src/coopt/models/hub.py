"""Fetching a model's folder from the Hugging Face hub or its cache; nothing here reads weights."""

import os
from collections.abc import Sequence
from pathlib import Path

from coopt.errors import ModelError

OFFLINE_CHOICES = (
    "Without a network you can load 'builtin' (inside the package), a local folder or .pt file, or a model that was "
    "loaded on this machine before; `coopt models` shows which are here."
)
CONFIG_FILES = [
    "config.json",
    "*processor_config.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
]
SAFETENSORS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
TORCH_WEIGHTS = ["pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json"]


def is_offline(offline: bool | None) -> bool:
    """What the caller asked for, else what HF_HUB_OFFLINE says."""
    if offline is not None:
        return offline
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fetch_folder(repo_id: str, revision: str | None, offline: bool | None) -> tuple[Path, str]:
    """The local snapshot folder of a hub model and its commit, downloaded where needed.

    Raises:
        ModelError: no such model or revision, no access, no network, or not in the cache when offline.
    """
    patterns = [*CONFIG_FILES, *SAFETENSORS]
    folder = _snapshot(repo_id, revision, patterns, offline)
    if not any(folder.glob("model*.safetensors")):
        # Many first-generation CLIP repositories hold only pickled weights (read with weights_only=True later).
        folder = _snapshot(repo_id, revision, [*CONFIG_FILES, *TORCH_WEIGHTS], offline)
    return folder, folder.name


def _snapshot(repo_id: str, revision: str | None, patterns: list[str], offline: bool | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    local_only = is_offline(offline)
    at = f" at revision '{revision}'" if revision else ""
    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=patterns, local_files_only=local_only))
    except GatedRepoError as error:
        raise ModelError(
            f"'{repo_id}' is a gated model: accept its terms on its hub page, then log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"the model '{repo_id}' has no revision '{revision}'; give one of its branches, tags or commits, or leave "
            "revision out for the newest."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"there is no model '{repo_id}' on the hub (or it is private: log in with `hf auth login`). "
            "`coopt models` lists known names."
        ) from error
    except OSError as error:  # not in the cache and: offline mode, or the network failed
        if local_only:
            raise ModelError(
                f"the model '{repo_id}'{at} is not in this machine's Hugging Face cache, and offline mode is on "
                f"(offline=True or HF_HUB_OFFLINE). {OFFLINE_CHOICES}"
            ) from error
        raise ModelError(
            f"the model '{repo_id}'{at} is not in this machine's cache, and the Hugging Face hub "
            f"({_endpoint()}) could not be reached: {_first_line(error)} {OFFLINE_CHOICES}"
        ) from error


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".") + "."


WEIGHT_NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def is_cached(repo_id: str, names: Sequence[str] = WEIGHT_NAMES) -> bool:
    """Whether one of these files of the model lies in the Hugging Face cache of this machine."""
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(repo_id, name), str) for name in names)
