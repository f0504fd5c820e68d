"""The training augmentation: its distribution, its reproducibility and its pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coopt.data import Augmentation, augmentation_rng, normalise
from coopt.data.augment import RATIO, SCALE, sample_crop
from coopt.errors import ConfigError
from coopt.models.preprocess import Preprocess

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


def ramp(width: int = 53, height: int = 41) -> Image.Image:
    """Red grows to the right, green downwards."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, 0 * red], axis=2).astype(np.uint8))


@given(st.integers(1, 307), st.integers(1, 307), st.integers(0, 999))
def test_crops_lie_inside_with_allowed_area_and_ratio(width: int, height: int, seed: int) -> None:
    left, top, crop_width, crop_height = sample_crop(width, height, augmentation_rng(seed, 0, 0))
    assert 0 <= left <= left + crop_width <= width and crop_width >= 1
    assert 0 <= top <= top + crop_height <= height and crop_height >= 1
    if min(width, height) > 150:  # rounding to whole pixels matters little then
        assert 0.95 * SCALE[0] <= crop_width * crop_height / (width * height) <= SCALE[1]
        assert 0.95 * RATIO[0] <= crop_width / crop_height <= 1.05 * RATIO[1]


def test_crops_are_distributed_as_documented() -> None:
    rng = augmentation_rng(1, 0, 0)
    crops = np.array([sample_crop(1009, 1013, rng) for _ in range(4000)])
    area = crops[:, 2] * crops[:, 3] / (1009 * 1013)
    log_ratio = np.log(crops[:, 2] / crops[:, 3])
    # A crop fits when its area is at most exp(-|log ratio|), so the mean over fitting crops is a quotient of integrals.
    high = math.log(RATIO[1])
    fits = (1 - math.exp(-high)) / high - SCALE[0]
    expected = ((1 - math.exp(-2 * high)) / (2 * high) - SCALE[0] ** 2) / 2 / fits  # 0.478
    assert abs(area.mean() - expected) < 0.01 and area.min() < 0.09 and area.max() > 0.95
    assert abs(log_ratio.mean()) < 0.01
    assert abs(log_ratio.max() - math.log(RATIO[1])) < 0.01 and abs(log_ratio.min() - math.log(RATIO[0])) < 0.01
    small = crops[area < 0.3]
    for start, length, size in ((0, 2, 1009), (1, 3, 1013)):
        assert abs((small[:, start] / (size - small[:, length])).mean() - 0.5) < 0.02


@pytest.mark.parametrize(("size", "expected"), [
    ((300, 10), (143, 0, 13, 10)),
    ((9, 300), (0, 144, 9, 12)),
])  # fmt: skip
def test_the_fallback_is_the_centre(size: tuple[int, int], expected: tuple[int, int, int, int]) -> None:
    # So thin an image fits no crop of 8 % of its area: the ten tries fail whatever is drawn.
    for seed in range(5):
        assert sample_crop(*size, augmentation_rng(seed, 0, 0)) == expected


def test_half_of_the_images_are_flipped() -> None:
    flipped = []
    for index in range(600):
        pixels = Augmentation(11, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bicubic", seed=3, epoch=0)(ramp(), index)
        assert pixels[1, -1].mean() > pixels[1, 0].mean()  # never upside down
        flipped.append(float(pixels[0, :, 0].mean() > pixels[0, :, -1].mean()))
    assert 0.44 < np.mean(flipped) < 0.56


def test_the_pixels_are_the_crop_resized_and_normalised() -> None:
    rng = augmentation_rng(5, 2, 17)
    left, top, width, height = sample_crop(53, 41, rng)
    crop = ramp().crop((left, top, left + width, top + height)).resize((13, 13), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    expected = (np.asarray(crop).transpose(2, 0, 1) / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    out = Augmentation(13, MEAN, STD, "bicubic", seed=5, epoch=2)(ramp(), 17)
    assert out.shape == (3, 13, 13) and out.dtype == torch.float32
    assert np.abs(out.numpy() - expected).max() < 1e-5


def test_the_stream_is_the_same_on_every_machine() -> None:
    # Numbers of NumPy's PCG64 seeded with SeedSequence((seed, epoch, index)): they must never change.
    assert augmentation_rng(1, 2, 3).integers(0, 10**6, 4).tolist() == [964015, 670472, 872316, 111014]
    assert sample_crop(500, 375, augmentation_rng(1, 2, 3)) == (136, 8, 308, 335)


def test_seed_epoch_and_index_all_matter() -> None:
    crops = {sample_crop(499, 373, augmentation_rng(*triple)) for triple in np.ndindex(5, 5, 5)}
    assert len(crops) == 125
    one, other = (Augmentation(7, MEAN, STD, seed=1, epoch=epoch)(ramp(), 0) for epoch in (0, 1))
    assert not torch.equal(one, other)
    assert torch.equal(one, Augmentation(7, MEAN, STD, seed=1, epoch=0)(ramp(), 0))


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must not be negative; they are \(1, -1, 0\)"):
        augmentation_rng(1, -1, 0)


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(ConfigError, match="filter is 'cubic'; allowed are nearest, .*bicubic"):
        Augmentation(7, MEAN, STD, "cubic")(ramp(), 0)


@pytest.mark.parametrize("resample", ["bicubic", "BICUBIC", 3, Image.Resampling.BICUBIC])
def test_filters_by_name_number_and_constant(resample: object) -> None:
    assert torch.equal(Augmentation(7, MEAN, STD, resample)(ramp(), 0), Augmentation(7, MEAN, STD)(ramp(), 0))


def test_normalise() -> None:
    image = Image.new("RGB", (2, 3), (255, 0, 51))
    out = normalise(image, (0.5, 0.25, 0.2), (0.5, 0.25, 2.0))
    assert out.shape == (3, 3, 2)
    assert torch.allclose(out[:, 0, 0], torch.tensor([1.0, -1.0, 0.0]), atol=1e-6)


def test_the_scale_of_the_models_preprocessing_is_kept() -> None:
    """A model with `do_rescale: false` has mean and std in bytes; its augmented images must have them too."""
    mean, std = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
    image = Image.new("RGB", (29, 31), (250, 30, 90))
    found = Augmentation(13, mean, std, seed=5, scale=1.0)(image, 17)
    assert torch.allclose(found, Preprocess(13, mean, std, scale=1.0)(image), atol=1e-5)
    assert torch.allclose(found[:, 0, 0], torch.tensor([3.0, -80 / 60, -30 / 70]))
    # The usual scale divides by 255, to the last bit.
    pixels = torch.arange(256, dtype=torch.float32)
    grey = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
    assert torch.equal(normalise(grey, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))[0, 0], pixels / 255)


def test_the_smallest_crop_can_be_set() -> None:
    rng = augmentation_rng(1, 0, 0)
    areas = [w * h / (1009 * 1013) for _, _, w, h in (sample_crop(1009, 1013, rng, 0.5) for _ in range(500))]
    assert 0.49 < min(areas) < 0.52
    half = Augmentation(13, MEAN, STD, seed=5, min_crop=0.5)
    assert not torch.equal(half(ramp(), 17), Augmentation(13, MEAN, STD, seed=5)(ramp(), 17))
