"""Models of open_clip (extra `open-clip`): a published ARCH/PRETRAINED pair, or ARCH with a local checkpoint."""

from pathlib import Path
from typing import Any

import torch
from PIL.Image import Resampling

from coopt.errors import ModelError, did_you_mean, first_line, require_extra
from coopt.models.archive import read_tensors
from coopt.models.fingerprint import fingerprint
from coopt.models.hub import OFFLINE_CHOICES, OPEN_CLIP_WEIGHTS, cached_file, is_offline
from coopt.models.library import import_problem
from coopt.models.open_clip_tokenizer import adapt_tokenizer
from coopt.models.open_clip_towers import open_image_tower, open_text_tower
from coopt.models.preprocess import Preprocess
from coopt.models.tokens import Tokenizer, layout
from coopt.models.vlm import VLM

PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")
SCHEMAS = ("hf-hub:", "local-dir:")  # open_clip's own ways of naming a folder with open_clip_config.json
HOW = "write open_clip:ARCH/PRETRAINED, open_clip:ARCH@FILE, open_clip:hf-hub:OWNER/NAME or open_clip:local-dir:FOLDER"


def load(
    name: str, checkpoint: str | Path | None, offline: bool | None, device: torch.device, dtype: torch.dtype
) -> VLM:
    """Load a model of open_clip by one of the names in `HOW`, or "open_clip:ARCH" together with `checkpoint`.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelError: unknown names, unreachable or unreadable weights, or a model that coopt cannot hold.
    """
    open_clip = _import(name)
    arch, path, published = _weights(name, checkpoint, offline, open_clip)
    try:
        module = open_clip.create_model(
            arch,
            pretrained=None if path is None else str(path),
            force_quick_gelu=bool(published.get("quick_gelu")),
            force_preprocess_cfg={key: published[key] for key in PREPROCESS_KEYS if key in published},
            pretrained_hf=False,
            require_pretrained=True,
        )
        tokenizer = open_clip.get_tokenizer(arch)
    except Exception as error:  # open_clip passes on whatever its parts raise
        raise ModelError(
            f"open_clip could not load '{name}' ({type(error).__name__}: {first_line(error)}). If it needs files that "
            f"are not on this machine: {OFFLINE_CHOICES}"
        ) from error
    preprocess = _preprocess(module.visual.preprocess_cfg, name)
    facts: dict[str, Any] = {
        "architecture": type(module).__name__,
        "config": open_clip.get_model_config(arch),
        "quick_gelu": bool(published.get("quick_gelu")),
        "preprocess": preprocess.facts(),
    }
    adapted = adapt_tokenizer(tokenizer, name)
    _check_layout(adapted, tokenizer, name)
    return VLM(
        name=name,
        source="open_clip",
        revision=None,
        fingerprint=fingerprint(module.state_dict(), facts),
        module=module,
        encode_image=lambda pixels: module.encode_image(pixels, normalize=False),
        encode_text=lambda ids: module.encode_text(ids, normalize=False),
        tokenizer=adapted,
        preprocess=preprocess,
        text=open_text_tower(module, int(tokenizer.context_length), adapted.eos_id, name),
        image=open_image_tower(module.visual, name),
        embed_dim=int(facts["config"]["embed_dim"]),
        device=device,
        dtype=dtype,
    )


def _import(name: str) -> Any:
    try:
        return require_extra("open_clip", "open-clip", f"the model '{name}'")
    except RuntimeError as error:  # torchvision's way of saying that its operators did not load
        raise ModelError(import_problem("open_clip", error)) from error


def _weights(
    name: str, checkpoint: str | Path | None, offline: bool | None, open_clip: Any
) -> tuple[str, Path | None, dict[str, Any]]:
    """The architecture, the local weight file, known to hold only tensors, and the facts published with the weights.

    The file is None where open_clip finds the weights by the name.
    """
    rest = name.removeprefix("open_clip:")
    is_folder = rest.startswith(SCHEMAS)
    arch, at, file = rest.partition("@")
    arch, _, tag = (arch, "", "") if at else rest.partition("/")
    if checkpoint is not None and (is_folder or at or tag):
        raise ModelError(f"'{name}' names weights and checkpoint='{checkpoint}' others; give one of them.")
    if is_folder:
        return rest, None, {}
    architectures = open_clip.list_models()
    if arch not in architectures:
        raise ModelError(
            f"open_clip {open_clip.__version__} has no architecture '{arch}'.{did_you_mean(arch, architectures)} "
            f"`open_clip.list_models()` lists all; {HOW}."
        )
    if at or checkpoint is not None:
        path = Path(checkpoint or file).expanduser()
        read_tensors(path)
        return arch, path, {}
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if not tag:
        raise ModelError(f"'{name}' does not say which weights. Published for it: {', '.join(tags) or 'none'}; {HOW}.")
    published = open_clip.get_pretrained_cfg(arch, tag)
    if not published:
        raise ModelError(
            f"open_clip has no weights '{tag}' for '{arch}'.{did_you_mean(tag, tags)} "
            f"Published: {', '.join(tags) or 'none'}."
        )
    path = _published_file(f"the weights '{tag}' of '{arch}'", published, offline, open_clip)
    if path.suffix not in (".npz", ".npy"):
        # Under PyTorch before 2.6, open_clip could fall back to unpickling everything; what passes here does not.
        read_tensors(path)
    return arch, path, published


def _published_file(what: str, published: dict[str, Any], offline: bool | None, open_clip: Any) -> Path:
    """The local file of published weights, downloaded where needed; `what` is for messages."""
    if not is_offline(offline):
        try:
            return Path(open_clip.download_pretrained(published))
        except Exception as error:  # network errors of several libraries
            raise ModelError(
                f"{what} are not on this machine, and {published.get('hf_hub') or published.get('url')} could not be "
                f"reached ({first_line(error)}). {OFFLINE_CHOICES}"
            ) from error
    if published.get("hf_hub"):
        repository, _, file_name = str(published["hf_hub"]).rpartition("/")
        path = cached_file(repository, [file_name] if file_name else OPEN_CLIP_WEIGHTS)
    else:  # open_clip's folder for plain addresses
        path = Path.home() / ".cache" / "clip" / Path(str(published.get("url"))).name
    if path is None or not path.is_file():
        raise ModelError(
            f"{what} are not on this machine, and offline mode is on (offline=True or HF_HUB_OFFLINE). "
            f"{OFFLINE_CHOICES}"
        )
    return path


def _preprocess(config: dict[str, Any], name: str) -> Preprocess:
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ModelError(f"'{name}' takes images of {height} x {width} pixels; coopt supports square images only.")
    if config["resize_mode"] not in ("shortest", "squash"):
        raise ModelError(
            f"'{name}' resizes images by resize_mode='{config['resize_mode']}'; coopt supports 'shortest' and 'squash'."
        )
    return Preprocess(
        size=height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resample=Resampling.BILINEAR if config["interpolation"] == "bilinear" else Resampling.BICUBIC,
        mode=config["resize_mode"],
        crop_rounding="even",
    )


def _check_layout(adapted: Tokenizer, tokenizer: Any, name: str) -> None:
    """Methods lay prompts out as start, words, end, padding: a tokenizer that does otherwise cannot be used."""
    texts = ["a photo of a dog", "x"]
    if not torch.equal(layout(adapted, texts, int(tokenizer.context_length)), tokenizer(texts)):
        raise ModelError(
            f"the tokenizer of '{name}' does not lay texts out as start token, words, end token, padding on the right; "
            "coopt has no way to put prompts into it."
        )
