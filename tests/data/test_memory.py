"""Images in memory: arrays, tensors, lists of anything, and labels of any kind."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import picture, png
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coopt.data import ImageDataset, UnreadableImageError, load_dataset
from coopt.errors import DataError

LABELS = ["b", "a", "b", "a"]
STACK = np.stack([np.asarray(picture(seed)) for seed in range(4)])  # (4, 5, 7, 3)


def loaded(images: object, labels: object = LABELS) -> ImageDataset:
    return load_dataset(images, labels=labels, make_split=False, require_labels=labels is not None).unsplit


def pixels(dataset: ImageDataset, index: int = 0) -> np.ndarray:
    image = dataset.load(index)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("images", [
    STACK,
    STACK.transpose(0, 3, 1, 2),
    torch.from_numpy(STACK),
    torch.from_numpy(STACK).permute(0, 3, 1, 2),
    torch.from_numpy(STACK).permute(0, 3, 1, 2).float() / 255,
    (torch.from_numpy(STACK).double() / 255),
    STACK.astype(np.uint16) * 257,
    STACK.astype(np.float32) / 255,
    STACK.astype(np.int64),
    list(STACK),
    tuple(torch.from_numpy(STACK).permute(0, 3, 1, 2)),
    [Image.fromarray(array) for array in STACK],
    [png(Image.fromarray(array)) for array in STACK],
    np.concatenate([STACK, np.full((4, 5, 7, 1), 255, dtype=np.uint8)], axis=3),
])  # fmt: skip
def test_every_form_gives_the_same_images(images: object) -> None:
    dataset = loaded(images)
    assert dataset.labels.tolist() == [1, 0, 1, 0] and dataset.class_names == ["a", "b"]
    assert dataset.names == ["0", "1", "2", "3"]
    for index in range(4):
        assert (pixels(dataset, index) == STACK[index]).all()


@pytest.mark.parametrize("images", [STACK[:, :, :, 0], STACK[:, :, :, :1], torch.from_numpy(STACK[:, None, :, :, 0])])
def test_grey(images: object) -> None:
    assert (pixels(loaded(images), 2) == STACK[2, :, :, :1]).all()


def test_two_values_and_alpha() -> None:
    flags = np.zeros((2, 5, 7), dtype=bool)
    flags[0, 1, 2] = True
    assert np.argwhere(pixels(loaded(flags, [0, 1]))[:, :, 0]).tolist() == [[1, 2]]
    clear = np.zeros((2, 5, 7, 4), dtype=np.uint8)
    assert (pixels(loaded(clear, [0, 1])) == 255).all()


def test_ambiguous_axes_follow_the_library() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    assert pixels(loaded([image], None)).shape == (3, 5, 3)
    assert (pixels(loaded([image], None)) == image).all()
    assert (pixels(loaded([torch.from_numpy(image)], None)) == image.transpose(1, 2, 0)).all()


def test_paths(tmp_path: Path) -> None:
    for seed in range(4):
        picture(seed).save(tmp_path / f"photo_{seed}.png")
    paths = [tmp_path / f"photo_{seed}.png" for seed in range(4)]
    for images in (paths, [str(path) for path in paths], np.array([str(path) for path in paths])):
        dataset = loaded(images)
        assert (pixels(dataset, 3) == STACK[3]).all() and dataset.names[3] == str(paths[3])
    with pytest.raises(DataError, match=r"Image 1: '.*photo_x.png' is not a file. Did you mean 'photo_"):
        loaded([paths[0], tmp_path / "photo_x.png"], [0, 1])


@pytest.mark.parametrize(("labels", "class_labels", "numbers"), [
    ([10, 9, 10, 2], ["2", "9", "10"], [2, 1, 2, 0]),
    (np.array([10, 9, 10, 2]), ["2", "9", "10"], [2, 1, 2, 0]),
    (torch.tensor([10, 9, 10, 2]), ["2", "9", "10"], [2, 1, 2, 0]),
    (np.array([1.0, 0.0, 1.0, 0.0]), ["0", "1"], [1, 0, 1, 0]),
    (["10", "9", "10", "2"], ["10", "2", "9"], [0, 2, 0, 1]),
    ([0.5, 10.25, -2, 10.25], ["-2", "0.5", "10.25"], [1, 2, 0, 2]),
    (np.array([0.1, 0.1, 7, 7], dtype=np.float32), ["0.1", "7"], [0, 0, 1, 1]),
    ([True, False, True, True], ["False", "True"], [1, 0, 1, 1]),
    (np.array([True, False, False, True]), ["False", "True"], [1, 0, 0, 1]),
    (np.array([0, 0.0, 1, -0.0], dtype=object), ["0", "1"], [0, 0, 1, 0]),
    (np.array(["x y", "a", "a", "a"]), ["a", "x y"], [1, 0, 0, 0]),
    ([-1, 3, 3, 3], ["-1", "3"], [0, 1, 1, 1]),
    ([True, False, True, False], ["False", "True"], [1, 0, 1, 0]),
])  # fmt: skip
def test_labels(labels: object, class_labels: list[str], numbers: list[int]) -> None:
    words = {label: f"class {label}" for label in class_labels}
    dataset = load_dataset(STACK, labels=labels, class_names=words, make_split=False).unsplit
    assert dataset.class_labels == class_labels and dataset.labels.tolist() == numbers
    assert dataset.class_names == [f"class {label}" for label in class_labels]


@pytest.mark.parametrize(("images", "labels", "message"), [
    (STACK, [0, 1], "There are 4 images but 2 labels"),
    (STACK, [0, 1, None, 1], "labels: 1 label is missing .* the first is number 2"),
    (STACK, [0, np.nan, np.nan, 1], "labels: 2 labels are missing .* the first is number 1"),
    (STACK, [0, 1, "", float("nan")], "labels: 2 labels are missing .* the first is number 2"),
    (STACK, ["a", "b", " ", "b"], "1 label is missing .* the first is number 2"),
    (STACK, ["a", 1, "b", 2], "labels: numbers and texts are mixed, such as 1 and 'a'"),
    (STACK, [True, 1, "b", 2], "numbers and texts and truth values are mixed, such as 1 and .b. and True"),
    (STACK, [0, 1, np.inf, 1], "label 2 is inf; a label must be a text that is not empty, a whole number, a finite"),
    (STACK, ["a", ["b"], "b", "a"], "label 1 is .'b'.; a label must be"),
    (STACK, np.eye(4), r"labels has shape \(4, 4\); one label for each image"),
    (STACK, None, "array of shape .4, 5, 7, 3.* has images but no labels"),
    (STACK * 1.0, LABELS, r"float values from 0 to 25\d; floats must lie in 0..1. Divide by the"),
    (STACK / 255 - 0.5, LABELS, r"float values from -0.5 to 0.5"),
    (np.full((4, 5, 7), np.nan), LABELS, "values that are not finite numbers"),
    (STACK.astype(np.int32) * 100, LABELS, r"int32 values from \d+ to \d+; such integers must lie in 0..255"),
    (STACK.astype(np.complex64), LABELS, "has type complex64; images must be uint8"),
    (STACK.reshape(4, -1), LABELS, r"images have shape \(4, 105\)\. One grey image goes in a list, .image.; flattened images need"),
    (np.zeros((4, 5, 7, 2), dtype=np.uint8), LABELS, r"images have shape \(4, 5, 7, 2\)"),
    (np.zeros((4, 0, 7), dtype=np.uint8), LABELS, "has shape .4, 0, 7.: there are no pixels"),
    ([STACK[0], STACK[0, 0, 0]], [0, 1], r"Image 1 has shape \(3,\); allowed are"),
    ([STACK[0], STACK[0] * 1.0], [0, 1], "Image 1 has float values from 0 to"),
    ([STACK[0], 3], [0, 1], "Image 1 is a int; allowed are paths, bytes, PIL images, arrays and tensors"),
    ([], [], "No images in the list of 0 images"),
    ("somewhere", [0, 1], "Labels were given beside 'somewhere'; they go with images in memory"),
])  # fmt: skip
def test_what_is_wrong_is_said(images: object, labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(images, labels=labels)


def test_a_single_picture_can_be_predicted() -> None:
    assert (pixels(loaded(picture(3), None)) == STACK[3]).all()


def test_a_damaged_element_is_unreadable() -> None:
    dataset = loaded([picture(0), b"junk"], [0, 1])
    with pytest.raises(UnreadableImageError, match="'1': the content is not an image"):
        dataset.load(1)
    raw = ImageDataset([np.full((5, 7), 3.0), np.zeros(3), object()], None, [])
    for index, reason in enumerate(["float values from 3 to 3", "shape .3,. is not", "no attribute 'read'"]):
        with pytest.raises(UnreadableImageError, match=reason):
            raw.load(index)


@given(st.integers(0, 65535))
def test_16_bit_rounds_to_the_nearest(value: int) -> None:
    out = pixels(loaded([np.full((1, 1), value, dtype=np.uint16)], None))[0, 0, 0]
    assert abs(int(out) - value / 257) <= 0.5
