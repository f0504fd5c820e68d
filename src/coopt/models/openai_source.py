"""Checkpoints in OpenAI's format: vision transformers become transformers' CLIPModel, ResNets our own module."""

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coopt.errors import ModelError
from coopt.models.archive import read_tensors
from coopt.models.fingerprint import fingerprint
from coopt.models.hf_source import module_facts, open_module, read_module
from coopt.models.hf_towers import hf_text_tower
from coopt.models.library import library_class
from coopt.models.openai_convert import tower_weights
from coopt.models.openai_tokenizer import openai_tokenizer
from coopt.models.preprocess import Preprocess
from coopt.models.resnet import ModifiedResNet, open_resnet
from coopt.models.vlm import VLM

# Beside the weights, the published archives carry three settings as tensors.
NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size"}


class ResNetCLIP(nn.Module):
    """A modified ResNet beside transformers' CLIP text model (which has no ResNet to go with it)."""

    def __init__(self, visual: ModifiedResNet, text: Any, logit_scale: Tensor) -> None:
        super().__init__()
        self.visual = visual
        self.text = text
        self.logit_scale = nn.Parameter(logit_scale)

    def encode_text(self, ids: Tensor) -> Tensor:
        """Token ids (C, L) to features (C, E)."""
        return self.text.text_projection(self.text.text_model(input_ids=ids).pooler_output)


def load_checkpoint(name: str, path: Path, revision: str | None, device: torch.device, dtype: torch.dtype) -> VLM:
    """Load an OpenAI-format file: TorchScript archive, pickled state dict or safetensors; any stored precision.

    Raises:
        ModelError: the file cannot be read, or holds another architecture.
    """
    weights = {key: value for key, value in read_tensors(path).items() if key not in NOT_WEIGHTS}
    weights = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    if "visual.proj" in weights and "visual.class_embedding" in weights:
        module, image_size = _vision_transformer(weights, path)
        encode_image, encode_text, text, image = open_module(module, name)
        facts = module_facts(module)
    elif "visual.attnpool.positional_embedding" in weights:
        module, image_size = _resnet(weights, path)
        encode_image, encode_text = module.visual, module.encode_text
        text = hf_text_tower(module.text.text_model, module.text.text_projection)
        image = open_resnet(module.visual, name)
        facts = {"architecture": "ResNetCLIP", "n_heads": module.visual.attnpool.num_heads}
    else:
        raise ModelError(
            f"'{path}' is not a CLIP checkpoint in OpenAI's format: among its {len(weights)} tensors are neither "
            "'visual.proj' nor 'visual.attnpool.positional_embedding'. A checkpoint of open_clip loads with "
            f"'open_clip:ARCH@{path}', a transformers model as its folder."
        )
    preprocess = Preprocess(size=image_size, crop_rounding="even")
    state = {key: value for key, value in module.state_dict().items() if "num_batches_tracked" not in key}
    return VLM(
        name=name,
        source="openai",
        revision=revision,
        fingerprint=fingerprint(state, {**facts, "preprocess": preprocess.facts()}),
        module=module,
        encode_image=encode_image,
        encode_text=encode_text,
        tokenizer=openai_tokenizer(),
        preprocess=preprocess,
        text=text,
        image=image,
        embed_dim=weights["text_projection"].shape[1],
        device=device,
        dtype=dtype,
    )


def _text_config(weights: dict[str, Tensor], path: Path) -> dict[str, Any]:
    vocab_size, width = weights["token_embedding.weight"].shape
    tokenizer = openai_tokenizer()
    if vocab_size != tokenizer.vocab_size:
        raise ModelError(
            f"'{path}' has {vocab_size} tokens; OpenAI's vocabulary has {tokenizer.vocab_size}. It was trained with "
            "another tokenizer and cannot be loaded from a bare checkpoint."
        )
    return {
        "vocab_size": vocab_size,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "projection_dim": weights["text_projection"].shape[1],
        "num_hidden_layers": _count(weights, r"transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": _heads(width, path),
        "max_position_embeddings": weights["positional_embedding"].shape[0],
        "hidden_act": "quick_gelu",
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }


def _vision_transformer(weights: dict[str, Tensor], path: Path) -> tuple[Any, int]:
    width, _, patch_size, _ = weights["visual.conv1.weight"].shape
    image_size = patch_size * _side(weights["visual.positional_embedding"], path)
    vision = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "projection_dim": weights["visual.proj"].shape[1],
        "num_hidden_layers": _count(weights, r"visual\.transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": _heads(width, path),
        "image_size": image_size,
        "patch_size": patch_size,
        "hidden_act": "quick_gelu",
    }
    config = library_class("CLIPConfig")(
        text_config=_text_config(weights, path),
        vision_config=vision,
        projection_dim=weights["text_projection"].shape[1],
    )
    left = dict(weights)
    converted = {**tower_weights(left, "text"), **tower_weights(left, "vision"), "logit_scale": left.pop("logit_scale")}
    _nothing_left(left, path)
    return read_module("CLIPModel", path, None, config=config, state_dict=converted), image_size


def _resnet(weights: dict[str, Tensor], path: Path) -> tuple[Any, int]:
    left = dict(weights)
    config = library_class("CLIPTextConfig")(**_text_config(weights, path))
    converted = tower_weights(left, "text")
    text = read_module("CLIPTextModelWithProjection", path, None, config=config, state_dict=converted)
    logit_scale = left.pop("logit_scale")
    width = weights["visual.layer1.0.conv1.weight"].shape[0]
    image_size = 32 * _side(weights["visual.attnpool.positional_embedding"], path)
    layers = [_count(weights, rf"visual\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4)]
    with torch.device("meta"):  # the weights are put in below
        visual = ModifiedResNet(
            layers, width, image_size, weights["text_projection"].shape[1], _heads(width * 32, path)
        )
    own = {key.removeprefix("visual."): left.pop(key) for key in list(left) if key.startswith("visual.")}
    _nothing_left(left, path)
    try:
        visual.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ModelError(f"'{path}' does not fit CLIP's ResNet: {error}") from error
    return ResNetCLIP(visual, text, logit_scale), image_size


def _nothing_left(left: dict[str, Tensor], path: Path) -> None:
    if left:
        raise ModelError(
            f"'{path}' holds {len(left)} tensors that OpenAI's architecture does not have, such as "
            f"{sorted(left)[:3]}. A checkpoint of open_clip loads with 'open_clip:ARCH@{path}'."
        )


def _count(weights: dict[str, Tensor], pattern: str) -> int:
    found = (re.match(pattern, key) for key in weights)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _heads(width: int, path: Path) -> int:
    if width % 64:
        raise ModelError(f"'{path}' has a tower of width {width}; OpenAI's heads are 64 wide, which must divide it.")
    return width // 64


def _side(positions: Tensor, path: Path) -> int:
    n_places = positions.shape[0] - 1
    side = math.isqrt(n_places)
    if side * side != n_places:
        raise ModelError(f"'{path}' has {n_places} image positions, which is no square; coopt needs square images.")
    return side
