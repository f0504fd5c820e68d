"""What a cached feature depends on: the space (model, precision, transform, computing) and the image within it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from jaxtyping import UInt8
from PIL import Image

from coopt.data import Augmentation, ImageDataset
from coopt.data.arrays import as_array
from coopt.data.augment import RATIO, SCALE, TRIES, resampling
from coopt.data.batches import Transform
from coopt.data.decode import to_rgb
from coopt.models import VLM
from coopt.models.preprocess import Preprocess
from coopt.version import __version__

KEY_BYTES = 16


@dataclass(frozen=True)
class Space:
    """Everything but the image: features of one space were computed in the same way, to the last bit."""

    facts: dict[str, Any]
    """As JSON values; the space's identity."""
    model: str
    """The model's name, for `coopt cache info` alone: one model has many names."""
    width: int
    """Width E of the features."""

    @property
    def digest(self) -> str:
        """The facts in 32 hexadecimal digits."""
        return hashlib.blake2b(json.dumps(self.facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def find_space(vlm: VLM, transform: Transform, chunk: int) -> Space | None:
    """The space of features of `transform`ed images; None where the transform is not one that coopt knows.

    Args:
        vlm: the frozen model; its fingerprint stands for weights and configuration, its precision does not lie in it.
        transform: the model's preprocessing or an `Augmentation`; its seed and epoch (the view) count.
        chunk: how many images go through the tower at a time.
    """
    how = _transform_facts(transform)
    if how is None:
        return None
    facts = {
        "fingerprint": vlm.fingerprint,
        "dtype": str(vlm.dtype),
        "width": vlm.embed_dim,
        "transform": how,
        "computing": _computing_facts(vlm.device, chunk),
    }
    return Space(facts, vlm.name, vlm.embed_dim)


def _transform_facts(transform: Transform) -> dict[str, Any] | None:
    # A subclass may do anything, so only these very types are known.
    if type(transform) is Preprocess:
        return {"kind": "preprocess", "settings": transform.facts()}
    if type(transform) is Augmentation:
        settings = asdict(transform) | {"resample": resampling(transform.resample).name}
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


def image_key(dataset: ImageDataset, index: int, transform: Transform) -> bytes | None:
    """The key of one image in its space; None where its content cannot be read (decoding will say why).

    A transform that takes the index draws its randomness from it, so the index belongs to the key.
    """
    try:
        content = content_digest(dataset.images[index])
    except Exception:  # a missing file, a damaged archive, a picture that Pillow cannot convert
        return None
    if getattr(transform, "takes_index", False):
        return hashlib.blake2b(content + index.to_bytes(8, "little"), digest_size=KEY_BYTES).digest()
    return content


def content_digest(source: Any) -> bytes:
    """16 bytes that stand for an image's content: its file's bytes, undecoded, or its pixels in memory.

    Raises:
        Exception: whatever the place of the image raises when it cannot be read.
    """
    if isinstance(source, Image.Image):
        rgb = to_rgb(source)  # as decoding does: orientation, palette and transparency lie beside the pixels
        return _digest(f"pixels {rgb.size}", rgb.tobytes())
    if isinstance(source, (np.ndarray, torch.Tensor)):
        # The library counts too: where both readings of the axes fit, arrays and tensors are read differently.
        kind = "tensor" if isinstance(source, torch.Tensor) else "array"
        array = np.ascontiguousarray(as_array(source))
        return _digest(f"{kind} {source.dtype} {array.shape}", array.tobytes())
    if isinstance(source, bytes):
        return _digest("file", source)
    return _digest("file", Path(source).read_bytes() if isinstance(source, (str, Path)) else source.read())


def _digest(kind: str, content: bytes) -> bytes:
    digest = hashlib.blake2b(kind.encode() + b"\n", digest_size=KEY_BYTES)
    digest.update(content)
    return digest.digest()


def image_keys(dataset: ImageDataset, transform: Transform) -> tuple[UInt8[np.ndarray, "N 16"], np.ndarray]:
    """The keys of all images, and which of them there are (N,): an unreadable image has none."""
    keys = [image_key(dataset, index, transform) for index in range(len(dataset))]
    joined = b"".join(key or bytes(KEY_BYTES) for key in keys)
    readable = np.array([key is not None for key in keys], dtype=bool)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, KEY_BYTES), readable
