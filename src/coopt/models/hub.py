"""Fetching from the Hugging Face hub or its cache: a model's folder, or any other; nothing here reads weights."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coopt.errors import CooptError, ModelError, first_line

OFFLINE_CHOICES = (
    "Without a network you can load 'builtin' (inside the package), a local folder or .pt file, or a model that was "
    "loaded on this machine before; `coopt models` shows which are here."
)
CONFIG_FILES = [
    "README.md",
    "config.json",
    "*processor_config.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
]
SAFETENSORS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
HUB_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TORCH_WEIGHTS = ["pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json"]


@dataclass(frozen=True)
class Kind:
    """What is fetched, for messages."""

    noun: str
    error: type[CooptError]
    names: str
    """A sentence: where names are found."""
    elsewhere: str
    """Sentences: what can be done without a network."""


MODEL = Kind("model", ModelError, "`coopt models` lists known names.", OFFLINE_CHOICES)


def is_offline(offline: bool | None) -> bool:
    """What the caller asked for, else what HF_HUB_OFFLINE says."""
    if offline is not None:
        return offline
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fetch_folder(repo_id: str, revision: str | None, offline: bool | None) -> Path:
    """The local snapshot folder of a hub model, named by its commit; downloaded where needed.

    Raises:
        ModelError: no such model or revision, no access, no network, or not in the cache when offline.
    """
    folder = fetch_snapshot(repo_id, revision, [*CONFIG_FILES, *SAFETENSORS], offline, MODEL)
    if not any(folder.glob("model*.safetensors")):
        # Many first-generation CLIP repositories hold only pickled weights (read with weights_only=True later).
        folder = fetch_snapshot(repo_id, revision, [*CONFIG_FILES, *TORCH_WEIGHTS], offline, MODEL)
    return folder


def fetch_snapshot(
    repo_id: str, revision: str | None, patterns: Sequence[str], offline: bool | None, kind: Kind
) -> Path:
    """The local folder of what a hub repository holds at a revision, named by its commit; downloaded where needed.

    Raises:
        CooptError: of the kind's class: no such repository or revision, no access, no network, an answer that is no
            hub's, or not in the cache when offline.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    local_only = is_offline(offline)
    try:
        return Path(
            snapshot_download(repo_id, revision=revision, allow_patterns=list(patterns), local_files_only=local_only)
        )
    except GatedRepoError as error:
        raise kind.error(
            f"'{repo_id}' is a gated {kind.noun}: accept its terms on its hub page, then log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise kind.error(
            f"the {kind.noun} '{repo_id}' has no revision '{revision}'; give one of its branches, tags or commits, or "
            "leave revision out for the newest."
        ) from error
    except RepositoryNotFoundError as error:
        raise kind.error(
            f"there is no {kind.noun} '{repo_id}' on the hub (or it is private: log in with `hf auth login`). "
            f"{kind.names}"
        ) from error
    except HFValidationError as error:
        raise kind.error(f"'{repo_id}' is no name of a {kind.noun} on the hub: {first_line(error)}") from error
    except Exception as error:  # not in the cache and: offline mode, or the hub or the network failed
        if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code == 401:
            raise kind.error(
                f"the hub ({constants.ENDPOINT}) asks for a login for '{repo_id}', or refuses yours: "
                f"{first_line(error)}. Log in with `hf auth login`, or check HF_TOKEN."
            ) from error
        why = f"the Hugging Face hub ({constants.ENDPOINT}) could not be reached: {first_line(error)}"
        why = "offline mode is on (offline=True or HF_HUB_OFFLINE)" if local_only else why
        at = f" at revision '{revision}'" if revision else ""
        raise kind.error(
            f"the {kind.noun} '{repo_id}'{at} is not in this machine's Hugging Face cache, and {why}. {kind.elsewhere}"
        ) from error


def cached_file(repo_id: str, names: Sequence[str]) -> Path | None:
    """The first of these files of the model that lies in the Hugging Face cache of this machine."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repo_id, name) for name in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)
