"""`load_model(name)`: which loader a name belongs to, and the device and precision that a user asks for."""

import re
from pathlib import Path
from weakref import WeakValueDictionary

import torch

from coopt.download import Progress, file_digest
from coopt.errors import ModelError, did_you_mean
from coopt.messages import tell
from coopt.models import hf_source, open_clip_source, openai_source
from coopt.models.catalogue import known_names
from coopt.models.hub import fetch_folder
from coopt.models.openai_weights import PUBLISHED, fetch_published
from coopt.models.vlm import VLM

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WEIGHT_FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# "ViT-B/17" has the form of a hub id, but is far more likely a slip in one of OpenAI's names.
LIKE_OPENAI = re.compile(r"(?i)(vit-|rn\d)")
_LOADED: WeakValueDictionary[tuple[str, str, str], VLM] = WeakValueDictionary()
"""The models that this process holds, by fingerprint, device and precision: an unpickled model is one of them."""


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
    name, place = str(name), (resolve_device(device), resolve_dtype(dtype))
    source = _source(name, revision, checkpoint)
    vlm = _load(source, name, revision, offline, checkpoint, progress, place)
    if source in ("folder", "file"):
        name = str(Path(name).expanduser().resolve())  # a pickle is opened in another working folder
    commit = vlm.revision if source == "hub" else None
    vlm.reopen = reopen, (name, commit, checkpoint, vlm.fingerprint, str(vlm.device), str(vlm.dtype))
    _LOADED[vlm.fingerprint, str(vlm.device), str(vlm.dtype)] = vlm
    return vlm


def reopen(
    name: str, revision: str | None, checkpoint: str | Path | None, fingerprint: str, device: str, dtype: str
) -> VLM:
    """The model of a pickle: one that this process holds, or loaded from this machine; nothing is downloaded.

    Raises:
        ModelError: it is not on this machine, or what is there has other weights.
    """
    try:
        resolve_device(device)
    except ModelError:
        tell(f"The model {name!r} was on {device!r}, which this machine does not have; it is loaded onto the CPU.")
        device = "cpu"
    held = _LOADED.get((fingerprint, device, dtype))
    if held is not None:
        return held
    remedy = (
        f"Unpickling downloads nothing. Load the model first, from wherever it is (vlm = coopt.load_model(...), device "
        f"{device!r}, {dtype.removeprefix('torch.')}); a model in memory with the same weights is found by its "
        f"fingerprint, {fingerprint}."
    )
    try:
        vlm = load_model(name, device, dtype, revision=revision, offline=True, checkpoint=checkpoint)
    except ModelError as error:
        raise ModelError(f"The pickle needs the model {name!r}, which cannot be loaded: {error} {remedy}") from error
    if vlm.fingerprint != fingerprint:
        raise ModelError(
            f"The pickle needs the model {name!r} with the fingerprint {fingerprint}; what is there now has "
            f"{vlm.fingerprint}: other weights or another preprocessing. {remedy}"
        )
    return vlm


def _load(
    source: str,
    name: str,
    revision: str | None,
    offline: bool | None,
    checkpoint: str | Path | None,
    progress: Progress | None,
    place: tuple[torch.device, torch.dtype],
) -> VLM:
    if source == "open_clip":
        return open_clip_source.load(name, checkpoint, offline, *place)
    if source == "openai":
        return openai_source.load_checkpoint(name, *fetch_published(name, offline, progress), *place)
    path, commit = Path(name).expanduser(), None
    if source == "file":
        if not path.is_file():
            raise ModelError(f"there is no file or folder '{path}' (looked from '{Path.cwd()}').")
        return openai_source.load_checkpoint(name, path, file_digest(path), *place)
    if source == "builtin":
        path = Path(__file__).with_name("builtin")
    elif source == "hub":
        path = fetch_folder(name, revision, offline)
        commit = path.name
    return hf_source.load_folder(name, path, commit, *place)


def _source(name: str, revision: str | None, checkpoint: str | Path | None) -> str:
    """Which loader the name belongs to, tried in this order; settings that do not go with it are refused."""
    path = Path(name).expanduser()
    applies = {
        "builtin": name == "builtin",
        "open_clip": name.startswith("open_clip:"),
        "openai": name in PUBLISHED,
        "folder": path.is_dir(),
        "file": path.is_file() or path.suffix in WEIGHT_FILES or name.startswith(("/", "./", "../", "~")),
        "hub": HUB_ID.fullmatch(name) is not None and LIKE_OPENAI.match(name) is None,
    }
    source = next((source for source, does in applies.items() if does), None)
    if source is None:
        raise ModelError(
            f"unknown model '{name}'.{did_you_mean(name, known_names())} A name is 'builtin', one of OpenAI's "
            f"({', '.join(PUBLISHED)}), a hub id, a local folder or file, or open_clip:ARCH/PRETRAINED; "
            "`coopt models` lists known ones."
        )
    if revision is not None and source != "hub":
        raise ModelError(
            f"revision={revision!r} goes with a hub id such as 'openai/clip-vit-base-patch16', not with '{name}'; "
            "leave it out."
        )
    if checkpoint is not None and source != "open_clip":
        raise ModelError(
            f"checkpoint='{checkpoint}' goes with 'open_clip:ARCH', not with '{name}'. An OpenAI-format file is "
            "loaded by its path: load_model('weights/ViT-B-16.pt')."
        )
    return source


def resolve_device(device: str | torch.device | None) -> torch.device:
    """The device to load onto; None is the CPU.

    Raises:
        ModelError: no such device on this machine.
    """
    try:
        resolved = torch.device("cpu" if device is None else device)
    except RuntimeError as error:
        raise ModelError(f"device={device!r} is not a device; write 'cpu', 'cuda' or 'cuda:0'.") from error
    if resolved.type == "cuda":
        if not torch.cuda.is_available():
            raise ModelError(
                f"device={str(device)!r}, but PyTorch {torch.__version__} sees no CUDA device. Use device='cpu', or "
                "install a CUDA build of PyTorch and check the driver with nvidia-smi."
            )
        if resolved.index is not None and resolved.index >= torch.cuda.device_count():
            last = torch.cuda.device_count() - 1
            raise ModelError(f"device={str(device)!r}, but the last CUDA device of this machine is 'cuda:{last}'.")
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError(f"device={str(device)!r}, but this machine has no MPS device. Use device='cpu'.")
    return resolved


def resolve_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """The precision to load in; None is float32.

    Raises:
        ModelError: not one of float32, bfloat16, float16.
    """
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ModelError(
            f"dtype={dtype!r} is not supported; allowed are {', '.join(DTYPES)}.{did_you_mean(name, DTYPES)}"
        )
    return DTYPES[name]
