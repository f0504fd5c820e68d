"""`load_model(name)`: which loader a name belongs to."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch

from coopt.download import Progress, file_digest
from coopt.errors import ModelError, did_you_mean
from coopt.models import hf_source, open_clip_source, openai_source
from coopt.models.catalogue import known_names
from coopt.models.hub import fetch_folder
from coopt.models.openai_weights import PUBLISHED, fetch_published
from coopt.models.settings import resolve_device, resolve_dtype
from coopt.models.vlm import VLM

WEIGHT_FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Request:
    """What was asked for, with device and precision resolved."""

    name: str
    device: torch.device
    dtype: torch.dtype
    revision: str | None
    offline: bool | None
    checkpoint: Path | None
    progress: Progress | None


def load_model(
    name: str | Path,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    revision: str | None = None,
    offline: bool | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> VLM:
    """Load a frozen dual encoder.

    Args:
        name: one of
            "builtin": the checkpoint inside the package;
            an OpenAI name ("ViT-B/16", "RN50", ...): the published file, downloaded once and checked;
            a path to an OpenAI-format file (.pt, .pth, .bin, .safetensors);
            a hub id ("openai/clip-vit-base-patch16") or a folder in the transformers layout: CLIP, SigLIP, SigLIP 2;
            "open_clip:ARCH/PRETRAINED", or "open_clip:ARCH@FILE" for a local checkpoint (extra `open-clip`).
            `list_models()` has a list; a folder or file wins over a hub id of the same name.
        device: "cpu" (the default), "cuda", "cuda:1", ...
        dtype: "float32" (the default), "bfloat16", "float16", or a torch dtype.
        revision: branch, tag or commit of a hub model.
        offline: True never touches the network; None follows HF_HUB_OFFLINE.
        checkpoint: a local file for "open_clip:ARCH", another way of writing "open_clip:ARCH@FILE".
        progress: called with bytes done and bytes in all while a published OpenAI file is downloaded.

    Raises:
        ModelError: unknown name, nothing there, no network, damaged or foreign weights, no such device.
        MissingExtraError: "open_clip:" without the extra.
    """
    request = Request(
        name=str(name),
        device=resolve_device(device),
        dtype=resolve_dtype(dtype),
        revision=revision,
        offline=offline,
        checkpoint=None if checkpoint is None else Path(checkpoint).expanduser(),
        progress=progress,
    )
    for _, applies, load in SOURCES:
        if applies(request.name):
            _check_settings(request, load)
            return load(request)
    raise ModelError(_unknown(request.name))


def _load_builtin(request: Request) -> VLM:
    with as_file(files("coopt.models") / "builtin") as folder:
        return hf_source.load_folder(request.name, folder, None, request.device, request.dtype)


def _load_published(request: Request) -> VLM:
    path, sha256 = fetch_published(request.name, request.offline, request.progress)
    return openai_source.load_checkpoint(request.name, path, sha256, request.device, request.dtype)


def _load_folder(request: Request) -> VLM:
    folder = Path(request.name).expanduser()
    return hf_source.load_folder(request.name, folder, None, request.device, request.dtype)


def _load_file(request: Request) -> VLM:
    path = Path(request.name).expanduser()
    if not path.is_file():
        raise ModelError(f"there is no file or folder '{path}' (looked from '{Path.cwd()}').")
    return openai_source.load_checkpoint(request.name, path, file_digest(path), request.device, request.dtype)


def _load_hub(request: Request) -> VLM:
    folder, commit = fetch_folder(request.name, request.revision, request.offline)
    return hf_source.load_folder(request.name, folder, commit, request.device, request.dtype)


def _load_open_clip(request: Request) -> VLM:
    return open_clip_source.load(request.name, request.checkpoint, request.offline, request.device, request.dtype)


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()


def _is_file(name: str) -> bool:
    path = Path(name).expanduser()
    return path.is_file() or path.suffix in WEIGHT_FILES or name.startswith(("/", "./", "../", "~"))


def _is_hub_id(name: str) -> bool:
    # "ViT-B/17" has the form of a hub id, but is far more likely a slip in one of OpenAI's names.
    return HUB_ID.fullmatch(name) is not None and re.match(r"(?i)(vit-|rn\d)", name) is None


# Tried in this order: what the name says, whether it applies, how it is loaded.
SOURCES: tuple[tuple[str, Callable[[str], bool], Callable[[Request], VLM]], ...] = (
    ("the package's own checkpoint", lambda name: name == "builtin", _load_builtin),
    ("open_clip", lambda name: name.startswith("open_clip:"), _load_open_clip),
    ("a published OpenAI checkpoint", lambda name: name in PUBLISHED, _load_published),
    ("a local folder", _is_folder, _load_folder),
    ("a local checkpoint file", _is_file, _load_file),
    ("a Hugging Face hub id", _is_hub_id, _load_hub),
)


def _check_settings(request: Request, load: Callable[[Request], VLM]) -> None:
    if request.revision is not None and load is not _load_hub:
        raise ModelError(
            f"revision={request.revision!r} goes with a hub id such as 'openai/clip-vit-base-patch16', not with "
            f"'{request.name}'; leave it out."
        )
    if request.checkpoint is not None and load is not _load_open_clip:
        raise ModelError(
            f"checkpoint='{request.checkpoint}' goes with 'open_clip:ARCH', not with '{request.name}'. An "
            "OpenAI-format file is loaded by its path: load_model('weights/ViT-B-16.pt')."
        )


def _unknown(name: str) -> str:
    return (
        f"unknown model '{name}'.{did_you_mean(name, known_names())} A name is 'builtin', one of OpenAI's "
        f"({', '.join(PUBLISHED)}), a hub id, a local folder or file, or open_clip:ARCH/PRETRAINED; "
        "`coopt models` lists known ones."
    )
