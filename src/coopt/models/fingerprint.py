"""The fingerprint of a loaded model: one hash over weights, configuration and image preparation."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor


def fingerprint(weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """A hash that two models share when they compute the same features from the same images and token ids.

    Weights are hashed by name, shape and float32 values: the same model loaded from another place, from a
    half-precision copy that loses nothing, into another precision or onto another device has the same fingerprint.
    `weights` are as loaded, before they are cast; `facts` are what else the features depend on, as JSON values.
    """
    names = sorted(weights)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    with ThreadPoolExecutor() as pool:  # hashlib releases the interpreter lock, so that threads hash at the same time
        for name, content in zip(names, pool.map(_content, (weights[name] for name in names)), strict=True):
            digest.update(f"\n{name} {tuple(weights[name].shape)} ".encode() + content)
    return digest.hexdigest()[:32]


def _content(tensor: Tensor) -> bytes:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
    content: Any = tensor.contiguous().flatten().view(torch.uint8).numpy()  # shares the tensor's memory
    return hashlib.sha256(content).digest()
