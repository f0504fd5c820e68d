"""OpenAI's published checkpoints: where they lie, and fetching one with its checksum checked."""

import json
import os
import urllib.error
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from coopt.download import FAILURES, ChecksumError, Progress, download, file_digest
from coopt.errors import ModelError
from coopt.files import user_cache_folder
from coopt.models.hub import OFFLINE_CHOICES, is_offline

ADDRESS = "https://openaipublic.azureedge.net/clip/models"


@dataclass(frozen=True)
class Published:
    """One checkpoint; its SHA-256 is part of its address."""

    sha256: str
    file_name: str
    image_size: int
    embed_dim: int
    download_mb: int

    @property
    def url(self) -> str:
        """The address at which OpenAI published it."""
        return f"{ADDRESS}/{self.sha256}/{self.file_name}"


PUBLISHED = {
    name: Published(**facts)
    for name, facts in json.loads((Path(__file__).parent / "data" / "openai.json").read_text(encoding="utf-8")).items()
}


def cached_path(name: str) -> Path:
    """Where the checkpoint of an OpenAI name lies, or would lie: below COOPT_CACHE or the platform's cache folder."""
    return user_cache_folder() / "openai" / PUBLISHED[name].file_name


def fetch_published(name: str, offline: bool | None, progress: Progress | None = None) -> tuple[Path, str]:
    """The local file of an OpenAI name and its SHA-256, downloaded where needed and checked every time.

    A download that was cut off continues where it stopped. A file with another checksum is never read: a cached one is
    moved aside (".damaged"), a downloaded one removed.

    Raises:
        ModelError: no network, offline and not cached, no room, or another checksum.
    """
    published, path = PUBLISHED[name], cached_path(name)
    if is_offline(offline) and not path.is_file():
        raise ModelError(
            f"the checkpoint of '{name}' is not at '{path}', and offline mode is on (offline=True or HF_HUB_OFFLINE). "
            f"{OFFLINE_CHOICES}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):  # runs that start side by side download once
            if path.is_file():
                if file_digest(path) == published.sha256:
                    return path, published.sha256
                aside = path.with_name(path.name + ".damaged")
                os.replace(path, aside)
                if is_offline(offline):
                    raise ModelError(
                        f"the file '{path}' does not have the published checksum of '{name}'; it was moved to "
                        f"'{aside}' and not read. Offline mode is on, so it was not downloaded again. {OFFLINE_CHOICES}"
                    )
            download(published.url, path, sha256=published.sha256, progress=progress)
    except ChecksumError as error:
        raise ModelError(str(error)) from error
    except urllib.error.URLError as error:
        raise ModelError(
            f"the checkpoint of '{name}' is not on this machine, and {published.url} could not be reached "
            f"({error.reason}). If you have the file from elsewhere, put it at '{path}' or load it by its path. "
            f"{OFFLINE_CHOICES}"
        ) from error
    except FAILURES as error:
        raise ModelError(
            f"downloading '{name}' to '{path}' failed ({error}). What arrived is kept, and the next call goes on from "
            "there. The variable COOPT_CACHE moves the cache to another disk."
        ) from error
    return path, published.sha256
