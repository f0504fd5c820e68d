"""OpenAI's weight names and layout to transformers' CLIP: every tensor is taken out of the given dict once."""

import json
from pathlib import Path
from typing import Literal

from torch import Tensor

from coopt.errors import ModelError

NAMES = json.loads((Path(__file__).parent / "data" / "openai_names.json").read_text(encoding="utf-8"))
"""OpenAI's names to transformers': tensors that a tower has once, the parts of a layer, each tower's projection."""


def tower_weights(left: dict[str, Tensor], tower: Literal["text", "vision"]) -> dict[str, Tensor]:
    """A transformer tower with its projection (stored transposed); what is used leaves `left`.

    Raises:
        ModelError: a tensor is missing.
    """
    prefix = "" if tower == "text" else "visual."
    converted = {f"{tower}_model.{theirs}": _take(left, prefix + ours) for ours, theirs in NAMES[tower].items()}
    layers = f"{prefix}transformer.resblocks."
    for number in {key.removeprefix(layers).split(".")[0] for key in left if key.startswith(layers)}:
        ours, theirs = f"{layers}{number}.", f"{tower}_model.encoder.layers.{number}."
        for kind in ("weight", "bias"):
            for our_name, their_name in NAMES["layer"].items():
                converted[f"{theirs}{their_name}.{kind}"] = _take(left, f"{ours}{our_name}.{kind}")
            fused = _take(left, f"{ours}attn.in_proj_{kind}")
            for part, tensor in zip("qkv", fused.chunk(3), strict=True):
                converted[f"{theirs}self_attn.{part}_proj.{kind}"] = tensor.contiguous()
    our_name, their_name = NAMES["projection"][tower]
    converted[their_name] = _take(left, our_name).T.contiguous()
    return converted


def _take(left: dict[str, Tensor], name: str) -> Tensor:
    if name not in left:
        raise ModelError(f"the checkpoint has no tensor '{name}': it is incomplete or another architecture.")
    return left.pop(name)
