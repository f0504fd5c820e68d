"""What a cached feature depends on: the space (model, precision, transform, computing) and the image within it."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import PIL
import torch
from jaxtyping import Bool, Int64, UInt8

from coopt.data import Augmentation
from coopt.data.augment import RATIO, SCALE, TRIES, resampling
from coopt.data.batches import Transform
from coopt.data.digests import DIGEST_BYTES, content_digest
from coopt.features.inputs import PLAIN, Inputs
from coopt.models import VLM
from coopt.models.preprocess import Preprocess
from coopt.version import __version__

KEY_BYTES = DIGEST_BYTES


@dataclass(frozen=True)
class Space:
    """Everything but the image: features of one space were computed in the same way, to the last bit."""

    facts: dict[str, Any]
    """As JSON values; the space's identity."""
    model: str
    """The model's name, for `coopt cache info` only: one model has many names."""
    width: int
    """Numbers in a row."""

    @property
    def digest(self) -> str:
        """The facts in 32 hexadecimal digits."""
        return hashlib.blake2b(json.dumps(self.facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def find_space(vlm: VLM, transform: Transform, chunk: int, inputs: Inputs = PLAIN) -> Space | None:
    """The space of features of `transform`ed images; None where the transform is not one that coopt knows.

    Args:
        vlm: the frozen model; its fingerprint stands for weights and configuration, its precision does not lie in it.
        transform: the model's preprocessing or an `Augmentation`; its seed and epoch (the view) count.
        chunk: how many images go through the tower at a time.
        inputs: where the features are taken, and of how many frames. A row of the cache is a flat one.
    """
    how = _transform_facts(transform)
    if how is None:
        return None
    width = math.prod(inputs.row_shape(vlm))
    facts = {
        "fingerprint": vlm.fingerprint,
        "dtype": str(vlm.dtype),
        "width": width,
        "transform": how,
        "computing": _computing_facts(vlm.device, chunk),
    }
    # Plain features have no such entry, and are found again in caches of versions that knew nothing else.
    place = {"kind": inputs.kind, "at": inputs.at, "frames": inputs.frames}
    if place != {"kind": "features", "at": "joint", "frames": 1}:
        facts["inputs"] = place
    return Space(facts, vlm.name, width)


def _transform_facts(transform: Transform) -> dict[str, Any] | None:
    # A subclass may do anything, so only these very types are known.
    if type(transform) is Preprocess:
        return {"kind": "preprocess", "settings": transform.facts()}
    if type(transform) is Augmentation:
        settings = asdict(transform) | {"resample": resampling(transform.resample).name}
        if transform.scale == 1 / 255:  # as written before there was another scale
            del settings["scale"]
        return {"kind": "augmentation", "settings": settings, "constants": [SCALE, RATIO, TRIES]}
    return None


def _computing_facts(device: torch.device, chunk: int) -> dict[str, Any]:
    """What changes the last bits of a feature, or how a file is decoded, though the model is the same."""
    on_cpu = device.type == "cpu"
    return {
        "device": torch.backends.cpu.get_cpu_capability() if on_cpu else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads() if on_cpu else None,
        "chunk": chunk,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "convolution_tf32": torch.backends.cudnn.allow_tf32,
        "autocast": str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else None,
        "coopt": __version__,
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


class ContentKeys:
    """The keys of an image in the spaces of its views, and whether all of them are in the cache: for `iterate_pixels`.

    A transform that takes the index draws its randomness from it, so the index belongs to the key of its view.

    Args:
        takes_index: of the transform of each view.
        frames: how many frames of the image are looked at.
        there: the keys that the cache has in each view's space, sorted.
    """

    def __init__(self, takes_index: Sequence[bool], frames: int, there: Sequence[UInt8[np.ndarray, "_ 16"]]) -> None:
        self.takes_index = takes_index
        self.frames = frames
        self.there = there

    def __call__(self, content: Any, index: int) -> tuple[bytes | None, bool]:
        """The keys, one after the other; None where the content cannot be read (decoding will say why)."""
        try:
            digest = content_digest(content, self.frames)
        except Exception:  # a picture that Pillow cannot convert
            return None, False
        indexed = hashlib.blake2b(digest + index.to_bytes(8, "little"), digest_size=KEY_BYTES).digest()
        keys = b"".join(indexed if takes_index else digest for takes_index in self.takes_index)
        each = np.frombuffer(keys, dtype=np.uint8).reshape(-1, 1, KEY_BYTES)
        return keys, all(find_keys(there, key)[1][0] for there, key in zip(self.there, each, strict=True))

    def forget(self) -> None:
        """Expect nothing of the cache any more."""
        self.there = [there[:0] for there in self.there]


def order_keys(keys: UInt8[np.ndarray, "n 16"]) -> Int64[np.ndarray, " m"]:
    """The positions of the different keys in sorted order; of equal ones the first."""
    halves = _halves(keys)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: of equal keys the first stays in front
    new = np.ones(len(order), dtype=bool)
    new[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    return order[new]


def find_keys(
    keys: UInt8[np.ndarray, "n 16"], wanted: UInt8[np.ndarray, "N 16"]
) -> tuple[Int64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """The position of each wanted key among the sorted `keys`, and whether it is there."""
    if len(keys) == 0:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    mine, theirs = _halves(keys), _halves(wanted)  # (n, 2), (N, 2)
    rows = np.searchsorted(mine[:, 0], theirs[:, 0]).clip(max=len(mine) - 1)
    return rows.astype(np.int64), (mine[rows] == theirs).all(axis=1)


def _halves(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys).view("<u8")  # (n, 2)
