"""OpenAI's published checkpoints: where they lie, and fetching one with its checksum checked."""

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
    "RN50": Published("afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", "RN50.pt", 224, 1024, 256),
    "RN101": Published("8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599", "RN101.pt", 224, 512, 292),
    "RN50x4": Published("7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd", "RN50x4.pt", 288, 640, 422),
    "RN50x16": Published(
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa", "RN50x16.pt", 384, 768, 661
    ),
    "RN50x64": Published(
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c", "RN50x64.pt", 448, 1024, 1353
    ),
    "ViT-B/32": Published(
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", "ViT-B-32.pt", 224, 512, 354
    ),
    "ViT-B/16": Published(
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", "ViT-B-16.pt", 224, 512, 351
    ),
    "ViT-L/14": Published(
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", "ViT-L-14.pt", 224, 768, 933
    ),
    "ViT-L/14@336px": Published(
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02", "ViT-L-14-336px.pt", 336, 768, 934
    ),
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
