"""Images that are already in memory: one array of all, or a list of arrays, tensors, PIL images, paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from coopt.data.arrays import CHANNELS, check_array, image_axes
from coopt.data.cells import EmbeddedImage, MissingImage, memory_item, why_missing
from coopt.data.labels import is_missing, is_whole, label_text
from coopt.data.reading import Reading, Rows
from coopt.data.wording import count
from coopt.errors import DataError, did_you_mean


def read_memory(images: Any, labels: Any) -> Reading:
    """Read images and labels in memory.

    Args:
        images: an array or tensor (N, H, W), (N, H, W, C) or (N, C, H, W), or a sequence of single images: paths,
            file contents as bytes, PIL images, arrays, tensors.
        labels: one whole number or text per image, or None.

    Raises:
        DataError: an element is not an image, or the lengths differ.
    """
    holds_objects = isinstance(images, np.ndarray) and images.dtype.kind in "OUS"
    if isinstance(images, (np.ndarray, torch.Tensor)) and not holds_objects:
        items: list[Any] = _unstack(images)
        names = [str(index) for index in range(len(items))]
        where = f"the {type(images).__name__} of shape {tuple(images.shape)}"
    else:
        items = [_read_item(item, index) for index, item in enumerate(images)]
        names = [_check_item(item, index) for index, item in enumerate(items)]
        where = f"the list of {len(items)} images"
    rows = Rows(images=items, names=names)
    reading = Reading(where, {"": rows})
    if labels is not None:
        rows.labels, reading.numeric_labels = read_labels(labels, len(items))
    return reading


def read_labels(labels: Any, n_images: int) -> tuple[list[str], bool]:
    """Labels as texts (`coopt.data.labels`), and whether they are whole numbers.

    Raises:
        DataError: there are too many or too few, some are missing, or one is no label.
    """
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(values) != n_images:
        raise DataError(f"There are {n_images} images but {len(values)} labels.")
    texts: list[str] = []
    missing = [index for index, value in enumerate(values) if is_missing(value)]
    if missing:
        raise DataError(
            f"{count(len(missing), 'label is', 'labels are')} missing of {n_images}; the first is number {missing[0]} "
            f"(counted from 0), {values[missing[0]]!r}. Leave these images out, or give them labels."
        )
    for index, value in enumerate(values):
        try:
            text = label_text(value)
        except TypeError:
            text = None
        if text is None or (isinstance(value, (float, np.floating)) and not is_whole(text)):
            raise DataError(f"Label {index} is {value!r}; a label must be a whole number, a truth value or a text.")
        texts.append(text)
    return texts, not any(isinstance(value, str) for value in values) and all(map(is_whole, texts))


def _unstack(images: np.ndarray | torch.Tensor) -> list[Any]:
    shape = tuple(images.shape)
    stacked = len(shape) == 3 or (len(shape) == 4 and image_axes(images[0] if shape[0] else images[:, :, :, 0]))
    if not stacked:
        raise DataError(
            f"The images have shape {shape}; allowed are (N, H, W), (N, H, W, C) and (N, C, H, W) with C one of "
            f"{CHANNELS}. Flattened images need their height and width back (reshape)."
        )
    check_array(images, "The array of images")
    return [images[index] for index in range(shape[0])]


def _read_item(item: Any, index: int) -> Any:
    try:
        return memory_item(item)
    except TypeError as error:
        raise DataError(f"Image {index} is {error}; an object needs 'bytes' or 'path'.") from None


def _check_item(item: Any, index: int) -> str:
    if isinstance(item, (str, Path)):
        reason = why_missing(str(item))
        if reason != MissingImage().reason:
            raise DataError(f"Image {index}, '{str(item)[:200]}', is not there: {reason}.")
        if not Path(item).is_file():
            folder = Path(item).parent
            siblings = [child.name for child in folder.iterdir()] if folder.is_dir() else []
            raise DataError(f"Image {index}: '{item}' is not a file.{did_you_mean(Path(item).name, siblings)}")
        return str(item)
    if isinstance(item, (np.ndarray, torch.Tensor)):
        if image_axes(item) is None:
            raise DataError(
                f"Image {index} has shape {tuple(item.shape)}; allowed are (H, W), (H, W, C) and (C, H, W) with C one "
                f"of {CHANNELS}."
            )
        check_array(item, f"Image {index}")
    elif not isinstance(item, (bytes, Image.Image, EmbeddedImage, MissingImage)):
        raise DataError(
            f"Image {index} is a {type(item).__name__}; allowed are paths, bytes, PIL images, arrays and tensors."
        )
    return str(index)


def is_memory(source: Any) -> bool:
    """Whether `source` holds images itself, instead of naming a place."""
    return isinstance(source, (np.ndarray, torch.Tensor)) or (
        isinstance(source, Sequence) and not isinstance(source, (str, bytes))
    )
