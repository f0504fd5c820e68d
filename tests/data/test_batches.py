"""Batches of pixels: the same for any number of workers, in order, unreadable images skipped and reported."""

import numpy as np
import pytest
import torch
from data_helpers import picture, png
from PIL import Image
from torch import Tensor

from coopt.data import (
    Augmentation,
    ImageDataset,
    Skipped,
    UnreadableImageError,
    find_unreadable,
    iterate_pixels,
    normalise,
)
from coopt.errors import ConfigError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
BAD = (2, 6, 7, 8, 12)
REASON = "the content is not an image of a known format"


def preprocess(image: Image.Image) -> Tensor:
    return normalise(image.resize((5, 5)), MEAN, STD)


def dataset() -> ImageDataset:
    images = [b"junk" if index in BAD else png(picture(index, 11, 13)) for index in range(13)]
    return ImageDataset(images, None, [], names=[f"image {index}" for index in range(13)])


def test_batches_hold_the_images_in_order() -> None:
    data = dataset()
    order = [5, 0, 11, 3, 4, 1, 10]
    batches = list(iterate_pixels(data, order, preprocess, batch_size=3))
    assert [batch.indices.tolist() for batch in batches] == [[5, 0, 11], [3, 4, 1], [10]]
    for batch in batches:
        assert batch.pixels.dtype == torch.float32 and batch.pixels.shape == (len(batch.indices), 3, 5, 5)
        for pixels, index in zip(batch.pixels, batch.indices, strict=True):
            assert torch.equal(pixels, preprocess(picture(int(index), 11, 13)))


def test_unreadable_images_are_left_out_and_listed() -> None:
    batches = iterate_pixels(dataset(), None, preprocess, batch_size=3)
    assert len(batches) == 5
    for _ in range(2):  # a second pass starts its list anew
        assert [batch.indices.tolist() for batch in batches] == [[0, 1], [3, 4, 5], [9, 10, 11]]
        assert batches.skipped == [Skipped(f"image {index}", REASON) for index in BAD]


def test_strict_makes_them_an_error() -> None:
    for n_workers in (0, 2):
        batches = iter(iterate_pixels(dataset(), None, preprocess, batch_size=2, n_workers=n_workers, strict=True))
        assert next(batches).indices.tolist() == [0, 1]
        with pytest.raises(UnreadableImageError, match=f"Cannot read image 'image 2': {REASON}"):
            next(batches)


@pytest.mark.parametrize("transform", [preprocess, Augmentation(5, MEAN, STD, seed=3, epoch=1)])
def test_workers_change_nothing(transform: object) -> None:
    order = np.random.default_rng(0).permutation(13)
    state = torch.random.get_rng_state()
    runs = []
    for n_workers in (0, 2):
        batches = iterate_pixels(dataset(), order, transform, batch_size=4, n_workers=n_workers)
        runs.append(([(batch.pixels, batch.indices.tolist()) for batch in batches], batches.skipped))
    (alone, alone_skipped), (together, together_skipped) = runs
    assert alone_skipped == together_skipped and len(alone_skipped) == len(BAD)
    assert len(alone) == len(together)
    for (pixels, indices), (other_pixels, other_indices) in zip(alone, together, strict=True):
        assert indices == other_indices and torch.equal(pixels, other_pixels)
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's stream does not notice


def test_augmentation_depends_on_the_index_not_the_place() -> None:
    augmentation = Augmentation(5, MEAN, STD, seed=3, epoch=1)
    pixels = {}
    for order, batch_size in (([0, 1, 3, 4], 4), ([4, 3, 1, 0], 3)):
        for batch in iterate_pixels(dataset(), order, augmentation, batch_size=batch_size):
            for image, index in zip(batch.pixels, batch.indices.tolist(), strict=True):
                assert torch.equal(pixels.setdefault(index, image), image)
    assert len(pixels) == 4


def test_nothing_to_read() -> None:
    for n_workers in (0, 2):
        batches = iterate_pixels(dataset(), [], preprocess, batch_size=3, n_workers=n_workers)
        assert list(batches) == [] and batches.skipped == []
        batches = iterate_pixels(dataset(), [7, 6], preprocess, batch_size=3, n_workers=n_workers)
        assert list(batches) == [] and [name for name, _ in batches.skipped] == ["image 7", "image 6"]


@pytest.mark.parametrize(("settings", "message"), [
    ({"batch_size": 0}, "batch size is 0; it must be 1 or more"),
    ({"batch_size": 3, "n_workers": -1}, "number of workers is -1; it must be 0"),
])  # fmt: skip
def test_sizes_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        iterate_pixels(dataset(), None, preprocess, **settings)


def test_find_unreadable() -> None:
    expected = {index: Skipped(f"image {index}", REASON) for index in BAD}
    assert find_unreadable(dataset()) == find_unreadable(dataset(), n_workers=2) == expected
    assert list(find_unreadable(dataset(), [9, 8, 2, 1])) == [8, 2]
    assert find_unreadable(dataset(), [0]) == {}
