"""A model's own image preparation with PIL and numpy: resize, centre crop, scale, normalise. No torchvision."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image, Resampling
from torch import Tensor

from coopt.errors import ModelError

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocess:
    """PIL image to normalised pixels, as the model was trained with.

    Two ways of reaching `size` x `size` pixels: `mode="shortest"` resizes the shorter side to `edge` and cuts the
    middle out; `mode="squash"` resizes both sides at once and keeps no aspect ratio.
    """

    size: int
    """Height and width of the output."""
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    resample: Resampling = Resampling.BICUBIC
    mode: Literal["shortest", "squash"] = "shortest"
    edge: int | None = None
    """What the shorter side is resized to before the crop; None is `size`."""
    crop_rounding: Literal["floor", "even"] = "floor"
    """Where an odd margin goes: transformers rounds the offset down, torchvision rounds half to even."""
    scale: float = 1 / 255
    """Factor that brings bytes to the range that `mean` and `std` are given in."""

    def __post_init__(self) -> None:
        if self.size < 1 or (self.edge is not None and self.edge < self.size):
            raise ModelError(
                f"image preparation resizes the shorter side to {self.edge} and cuts out {self.size} x {self.size} "
                "pixels; the crop must be at least 1 and must not be larger than the resized image."
            )
        if min(self.std) <= 0:
            raise ModelError(f"image preparation divides by std={self.std}; every entry must be above 0.")

    def __call__(self, image: Image) -> Float[Tensor, "3 H W"]:
        """The pixels of one image, float32."""
        if image.mode != "RGB":
            image = image.convert("RGB")
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        pixels = (np.asarray(self._resized(image), np.float32) * np.float32(self.scale) - mean) / std  # (H, W, 3)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def _resized(self, image: Image) -> Image:
        if self.mode == "squash":
            return image.resize((self.size, self.size), resample=self.resample)
        width, height = image.size
        edge = self.edge or self.size
        # The longer side is cut off, not rounded, after multiplying first: torchvision and transformers agree on it.
        if width <= height:
            new_width, new_height = edge, int(edge * height / width)
        else:
            new_width, new_height = int(edge * width / height), edge
        image = image.resize((new_width, new_height), resample=self.resample)
        left, top = self._offset(new_width), self._offset(new_height)
        return image.crop((left, top, left + self.size, top + self.size))

    def _offset(self, length: int) -> int:
        margin = length - self.size
        return margin // 2 if self.crop_rounding == "floor" else round(margin / 2)

    def facts(self) -> dict[str, Any]:
        """What the pixels depend on, as JSON values (for fingerprints and reports)."""
        resample = Resampling(self.resample).name.lower()
        lists = {"mean": list(self.mean), "std": list(self.std)}
        return {**asdict(self), **lists, "resample": resample, "edge": self.edge or self.size}


def from_processor_config(config: Mapping[str, Any], *, square: bool, where: str) -> Preprocess:
    """Read the fields of a `preprocessor_config.json`, or of the "image_processor" part of a `processor_config.json`.

    `square` says what a bare number in "size" means: both sides (SigLIP), or the shorter side (CLIP).

    Raises:
        ModelError: a step is switched off or a size is not square, which the towers cannot take.
    """
    for step in ("do_resize", "do_normalize"):
        if not config.get(step, True):
            raise ModelError(f"{where}: {step} is false; coopt needs images that are resized and normalised.")
    size = config.get("size", 224)
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else size
    if edge and isinstance(size, Mapping) and size.get("longest_edge"):
        raise ModelError(f"{where}: size={dict(size)} limits the longer side too; that is not supported.")
    is_squashed = not edge or (square and edge is size)
    crop = config.get("crop_size") if config.get("do_center_crop", not square) else None
    mean, std = _three(config.get("image_mean", OPENAI_MEAN)), _three(config.get("image_std", OPENAI_STD))
    resample = Resampling(int(config.get("resample", Resampling.BICUBIC)))
    scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    shared: dict[str, Any] = {"mean": mean, "std": std, "resample": resample, "scale": scale}
    if is_squashed:
        both = _square_side(size, where)
        if crop is not None and _square_side(crop, where) != both:
            raise ModelError(f"{where}: squashes to {both} pixels, then crops to {crop}; that is not supported.")
        return Preprocess(size=both, mode="squash", **shared)
    if crop is None:
        raise ModelError(
            f"{where}: resizes the shorter side to {edge} and crops nothing, so images would not be square; "
            "give 'size' as height and width, or 'crop_size'."
        )
    return Preprocess(size=_square_side(crop, where), edge=_square_side(edge, where), **shared)


def _square_side(size: Any, where: str) -> int:
    if isinstance(size, (int, float)) and not math.isnan(size):
        return int(size)
    if isinstance(size, Mapping) and size.get("height") and size.get("height") == size.get("width"):
        return int(size["height"])
    raise ModelError(f"{where}: size is {size!r}; coopt supports square images only (equal height and width).")


def _three(values: Any) -> tuple[float, float, float]:
    values = [values] * 3 if isinstance(values, (int, float)) else list(values)
    first, second, third = (float(value) for value in values)
    return first, second, third
