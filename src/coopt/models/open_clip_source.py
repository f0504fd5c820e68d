"""Models of open_clip (extra `open-clip`): a published ARCH/PRETRAINED pair, or ARCH with a local checkpoint."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Resampling

from coopt.errors import ModelError, did_you_mean, require_extra
from coopt.models.archive import read_tensors
from coopt.models.fingerprint import fingerprint
from coopt.models.hub import OFFLINE_CHOICES, is_offline
from coopt.models.open_clip_tokenizer import adapt_tokenizer
from coopt.models.open_clip_towers import open_image_tower, open_text_tower
from coopt.models.preprocess import Preprocess
from coopt.models.tokens import layout
from coopt.models.vlm import VLM

SCHEMAS = ("hf-hub:", "local-dir:")  # open_clip's own ways of naming a folder with open_clip_config.json
WEIGHT_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
HOW = "write open_clip:ARCH/PRETRAINED, open_clip:ARCH@FILE, open_clip:hf-hub:OWNER/NAME or open_clip:local-dir:FOLDER"


@dataclass(frozen=True)
class _Spec:
    arch: str
    pretrained: str | None = None
    checkpoint: Path | None = None


def load(name: str, checkpoint: Path | None, offline: bool | None, device: torch.device, dtype: torch.dtype) -> VLM:
    """Load a model of open_clip.

    Args:
        name: "open_clip:ARCH/PRETRAINED"; "open_clip:ARCH@FILE"; "open_clip:ARCH" together with `checkpoint`;
            "open_clip:hf-hub:OWNER/NAME"; "open_clip:local-dir:FOLDER".
        checkpoint: a local file for "open_clip:ARCH".
        offline: True never touches the network; None follows HF_HUB_OFFLINE.
        device: where to.
        dtype: the precision to cast to.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelError: unknown names, unreachable or unreadable weights, or a model that coopt cannot hold.
    """
    try:
        open_clip = require_extra("open_clip", "open-clip", f"the model '{name}'")
    except RuntimeError as error:  # torchvision's way of saying that its operators did not load
        raise ModelError(
            f"open_clip is installed but cannot be imported ({_first_line(error)}). This happens when torchvision was "
            f"built for another PyTorch than this one ({torch.__version__}): install the torchvision build that "
            "belongs to it, from the same package index as torch."
        ) from error
    spec = _parse(name, checkpoint, open_clip)
    path, tag = _weights(spec, offline, open_clip)
    try:
        module = open_clip.create_model(
            spec.arch,
            pretrained=None if path is None else str(path),
            force_quick_gelu=bool(tag.get("quick_gelu")),
            force_preprocess_cfg={
                key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in tag
            },
            pretrained_hf=False,
            require_pretrained=True,
        )
        tokenizer = open_clip.get_tokenizer(spec.arch)
    except Exception as error:  # open_clip passes on whatever its parts raise
        raise ModelError(
            f"open_clip could not load '{name}' ({type(error).__name__}: {_first_line(error)}). If it needs files that "
            f"are not on this machine: {OFFLINE_CHOICES}"
        ) from error
    preprocess = _preprocess(module.visual.preprocess_cfg, name)
    facts: dict[str, Any] = {
        "architecture": type(module).__name__,
        "config": open_clip.get_model_config(spec.arch),
        "quick_gelu": bool(tag.get("quick_gelu")),
    }
    mark = fingerprint(module.state_dict(), {**facts, "preprocess": preprocess.facts()})
    module.to(device=device, dtype=dtype)
    context_length = int(tokenizer.context_length)
    adapted = adapt_tokenizer(tokenizer, name)
    _check_layout(adapted, tokenizer, context_length, name)
    bias = getattr(module, "logit_bias", None)
    return VLM(
        name=name,
        source="open_clip",
        revision=None,
        fingerprint=mark,
        module=module,
        encode_image=lambda pixels: module.encode_image(pixels, normalize=False),
        encode_text=lambda ids: module.encode_text(ids, normalize=False),
        tokenizer=adapted,
        preprocess=preprocess,
        text=open_text_tower(module, context_length, adapted.eos_id, name),
        image=open_image_tower(module.visual, name),
        embed_dim=int(facts["config"]["embed_dim"]),
        logit_scale=math.exp(module.logit_scale.item()),
        logit_bias=0.0 if bias is None else bias.item(),
    )


def _parse(name: str, checkpoint: Path | None, open_clip: Any) -> _Spec:
    rest = name.removeprefix("open_clip:")
    if rest.startswith(SCHEMAS):
        if checkpoint is not None:
            raise ModelError(f"'{name}' brings its own weights; leave checkpoint='{checkpoint}' out.")
        return _Spec(rest)
    arch, at, file = rest.partition("@")
    if at:
        if checkpoint is not None:
            raise ModelError(f"'{name}' names a file and checkpoint='{checkpoint}' another; give one of them.")
        spec = _Spec(arch, checkpoint=Path(file).expanduser())
    else:
        arch, _, tag = rest.partition("/")
        if tag and checkpoint is not None:
            raise ModelError(
                f"'{name}' names published weights and checkpoint='{checkpoint}' a file; give one of them."
            )
        spec = _Spec(arch, tag or None, checkpoint)
    architectures = open_clip.list_models()
    if spec.arch not in architectures:
        raise ModelError(
            f"open_clip {open_clip.__version__} has no architecture '{spec.arch}'."
            f"{did_you_mean(spec.arch, architectures)} `open_clip.list_models()` lists all; {HOW}."
        )
    tags = open_clip.list_pretrained_tags_by_model(spec.arch)
    if spec.pretrained is None and spec.checkpoint is None:
        raise ModelError(f"'{name}' does not say which weights. Published for it: {', '.join(tags) or 'none'}; {HOW}.")
    if spec.pretrained is not None and not open_clip.get_pretrained_cfg(spec.arch, spec.pretrained):
        raise ModelError(
            f"open_clip has no weights '{spec.pretrained}' for '{spec.arch}'.{did_you_mean(spec.pretrained, tags)} "
            f"Published: {', '.join(tags) or 'none'}."
        )
    return spec


def _weights(spec: _Spec, offline: bool | None, open_clip: Any) -> tuple[Path | None, dict[str, Any]]:
    """The local weight file, known to hold nothing but tensors, and the facts published with a tag."""
    if spec.checkpoint is not None:
        read_tensors(spec.checkpoint)
        return spec.checkpoint, {}
    if spec.pretrained is None:
        return None, {}
    tag = open_clip.get_pretrained_cfg(spec.arch, spec.pretrained)
    path = _cached(tag) if is_offline(offline) else None
    if path is None:
        if is_offline(offline):
            raise ModelError(
                f"the weights '{spec.pretrained}' of '{spec.arch}' are not on this machine, and offline mode is on "
                f"(offline=True or HF_HUB_OFFLINE). {OFFLINE_CHOICES}"
            )
        try:
            path = Path(open_clip.download_pretrained(tag))
        except Exception as error:  # network errors of several libraries
            raise ModelError(
                f"the weights '{spec.pretrained}' of '{spec.arch}' are not on this machine, and "
                f"{tag.get('hf_hub') or tag.get('url')} could not be reached ({_first_line(error)}). {OFFLINE_CHOICES}"
            ) from error
    if path.suffix not in (".npz", ".npy"):
        # Under PyTorch before 2.6, open_clip could fall back to unpickling everything; what passes here does not.
        read_tensors(path)
    return path, tag


def _cached(tag: dict[str, Any]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    if tag.get("hf_hub"):
        repository, _, file_name = str(tag["hf_hub"]).rpartition("/")
        found = (try_to_load_from_cache(repository, name) for name in ([file_name] if file_name else WEIGHT_NAMES))
        return next((Path(path) for path in found if isinstance(path, str)), None)
    path = Path.home() / ".cache" / "clip" / Path(str(tag.get("url"))).name  # open_clip's folder for plain addresses
    return path if path.is_file() else None


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


def _check_layout(adapted: Any, tokenizer: Any, context_length: int, name: str) -> None:
    """Methods lay prompts out as start, words, end, padding: a tokenizer that does otherwise cannot be used."""
    texts = ["a photo of a dog", "x"]
    if not torch.equal(layout(adapted, texts, context_length), tokenizer(texts)):
        raise ModelError(
            f"the tokenizer of '{name}' does not lay texts out as start token, words, end token, padding on the right; "
            "coopt has no way to put prompts into it."
        )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
