"""Images that are already in memory: one array of all, or a list of arrays, tensors, PIL images, paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from coopt.data.arrays import CHANNELS, check_array, image_axes
from coopt.data.cells import MissingImage, memory_item, why_missing
from coopt.data.label_values import label_values
from coopt.data.labels import is_missing
from coopt.data.reading import Reading, Rows
from coopt.data.wording import count
from coopt.errors import DataError, did_you_mean


def read_memory(images: Any, labels: Any, *, check: bool = True) -> Reading:
    """Read images and labels in memory.

    Args:
        images: an array or tensor (N, H, W), (N, H, W, C) or (N, C, H, W), one image (H, W, C), or a sequence of
            single images: paths, file contents as bytes, PIL images, arrays, tensors.
        labels: a text, a number or a truth value per image, or None.
        check: refuse an element that is no image or no file; if not, opening it says so.

    Raises:
        DataError: an element is not an image, or the lengths differ.
    """
    values = None if labels is None else label_values(labels)
    where = ""
    if isinstance(images, (np.ndarray, torch.Tensor)):
        where = f"the {type(images).__name__} of shape {tuple(images.shape)}"
        images = _objects(images) if isinstance(images, np.ndarray) and images.dtype.kind in "OUST" else images
    if isinstance(images, (np.ndarray, torch.Tensor)):
        items = _unstack(images, None if values is None else len(values.codes))
        names = [str(index) for index in range(len(items))]
    else:
        items = [_read_item(item, index) for index, item in enumerate(images)]
        names = [_check_item(item, index, check) for index, item in enumerate(items)]
        where = where or f"the list of {len(items)} images"
    rows = Rows(images=items, names=names)
    reading = Reading(where, {"": rows})
    if values is not None:
        if len(values.codes) != len(items):
            raise DataError(f"There are {count(len(items), 'image', 'images')} but {len(values.codes)} labels.")
        rows.labels, reading.class_labels = values.names, values.texts
    return reading


def _objects(array: np.ndarray) -> Any:
    """The elements of an array of paths or objects, (N,) or one column (N, 1); equal images that were packed as one."""
    if array.ndim == 0:
        return [array.item()]
    if array.ndim > 2 and array.dtype.kind == "O":
        return np.array(array.tolist())
    if array.ndim == 2 and array.shape[1] != 1:
        raise DataError(
            f"The array of images has shape {array.shape}; paths are a flat list, (N,), or a column, (N, 1)."
        )
    return list(array.reshape(len(array)))


def _unstack(images: np.ndarray | torch.Tensor, n_labels: int | None) -> list[Any]:
    shape = tuple(images.shape)
    # (H, W, C), or one image however it is read; (C, H, W) may be C grey images as well.
    is_one = len(shape) == 3 and (shape[2] in CHANNELS or shape[0] == 1)
    is_stack = len(shape) == 3 or (len(shape) == 4 and image_axes(images[0] if shape[0] else images[:, :, :, 0]))
    if len(shape) == 2:
        raise DataError(
            f"The images have shape {shape}. One grey image goes in a list, [image]; flattened images need their "
            f"height and width back (reshape)."
        )
    if not is_stack:
        raise DataError(
            f"The images have shape {shape}; allowed are (N, H, W), (N, H, W, C) and (N, C, H, W) with C one of "
            f"{CHANNELS}, and one image (H, W, C). Flattened images need their height and width back (reshape)."
        )
    if len(shape) == 3 and not is_one and shape[0] in CHANNELS and n_labels != shape[0]:
        raise DataError(
            f"The images have shape {shape}: one image (C, H, W), or {shape[0]} grey images (N, H, W). Give a list: "
            "[image] for the one, list(images) for the others."
        )
    check_array(images, "The array of images")
    if is_one:
        return [images[0] if shape[0] == 1 and shape[2] not in CHANNELS else images]
    return [images[index] for index in range(shape[0])]


def _read_item(item: Any, index: int) -> Any:
    try:
        return memory_item(item)
    except TypeError as error:
        raise DataError(f"Image {index} is {error}; an object needs 'bytes' or 'path'.") from None


def _check_item(item: Any, index: int, check: bool) -> str:
    if not check:
        return str(item) if isinstance(item, (str, Path)) else str(index)
    if is_missing(item):
        raise DataError(f"Image {index} is missing: {item!r}. Leave it out.")
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
    elif not isinstance(item, (bytes, Image.Image)) and not hasattr(item, "read"):
        raise DataError(
            f"Image {index} is a {type(item).__name__}; allowed are paths, bytes, PIL images, arrays and tensors."
        )
    return str(index)


def is_memory(source: Any) -> bool:
    """Whether `source` holds images itself, instead of naming a place."""
    return isinstance(source, (np.ndarray, torch.Tensor)) or (
        isinstance(source, Sequence) and not isinstance(source, (str, bytes))
    )
