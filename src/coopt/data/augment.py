"""The training augmentation: random resized crop, random horizontal flip, normalise.

The sampling rules are torchvision's `RandomResizedCrop` and `RandomHorizontalFlip` (documented behaviour), with the
settings of CoOp's current configuration: scale 0.08 to 1, ratio 3/4 to 4/3, bicubic, flip with probability 0.5.
Every image draws from a generator of its own, made of (seed, epoch, index), so that neither the number of workers
nor the order of the images changes a pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from coopt.errors import ConfigError

SCALE = (0.08, 1.0)
"""Share of the image's area that a crop covers."""
RATIO = (3 / 4, 4 / 3)
"""Width by height of a crop."""
TRIES = 10

Resample = Image.Resampling | int | str


@dataclass(frozen=True)
class Augmentation:
    """The training augmentation of one epoch: a transform for `iterate_pixels`."""

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    resample: Resample = Image.Resampling.BICUBIC
    seed: int = 1
    epoch: int = 0
    min_crop: float = SCALE[0]
    """Smallest share of the image's area that a crop covers."""
    scale: float = 1 / 255
    """Factor that brings bytes to the range that `mean` and `std` are given in."""

    takes_index: ClassVar[bool] = True
    """Tells `iterate_pixels` to call with the image's index in the data set."""

    def __call__(self, image: Image.Image, index: int) -> Float[Tensor, "3 S S"]:
        """A random crop of `image`, resized to (S, S), flipped half of the time, normalised.

        Raises:
            ConfigError: `resample` is not one of Pillow's filters.
        """
        rng = augmentation_rng(self.seed, self.epoch, index)
        left, top, width, height = sample_crop(image.width, image.height, rng, self.min_crop)
        crop = image.crop((left, top, left + width, top + height))
        crop = crop.resize((self.size, self.size), resampling(self.resample))
        if rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return normalise(crop, self.mean, self.std, self.scale)


def augmentation_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random stream of one image in one epoch.

    NumPy promises that a SeedSequence hashes the same way on every platform and in every version, and that PCG64's
    stream stays.

    Raises:
        ConfigError: one of the three is negative.
    """
    if min(seed, epoch, index) < 0:
        raise ConfigError(f"Seed, epoch and index must not be negative; they are {(seed, epoch, index)}.")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, index))))


def sample_crop(
    width: int, height: int, rng: np.random.Generator, min_crop: float = SCALE[0]
) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop: ten tries, then the largest centre crop of an allowed ratio."""
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for _ in range(TRIES):
        area = width * height * rng.uniform(min_crop, SCALE[1])
        ratio = math.exp(rng.uniform(low, high))
        crop_width = round(math.sqrt(area * ratio))
        crop_height = round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(rng.integers(0, height - crop_height + 1))
            left = int(rng.integers(0, width - crop_width + 1))
            return left, top, crop_width, crop_height
    crop_width, crop_height = width, height
    if width / height < RATIO[0]:
        crop_height = max(1, round(width / RATIO[0]))
    elif width / height > RATIO[1]:
        crop_width = max(1, round(height * RATIO[1]))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def normalise(
    image: Image.Image, mean: Sequence[float], std: Sequence[float], scale: float = 1 / 255
) -> Float[Tensor, "3 H W"]:
    """An RGB image as (scale * value - mean) / std, channels first, float32."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1)  # (3, H, W)
    scaled = pixels.to(torch.float32) / (1 / scale)  # with 1 / 255 exactly a division by 255
    return (scaled - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def resampling(value: Resample) -> Image.Resampling:
    """Pillow's filter from its constant, number or name.

    Raises:
        ConfigError: there is no such filter.
    """
    names = Image.Resampling.__members__
    try:
        return names[value.upper()] if isinstance(value, str) else Image.Resampling(value)
    except (KeyError, ValueError):
        allowed = ", ".join(name.lower() for name in names)
        raise ConfigError(f"The resampling filter is {value!r}; allowed are {allowed}.") from None
