"""Images that are arrays or tensors in memory: what is allowed, and how they become 8-bit RGB.

| dtype | range | becomes |
| --- | --- | --- |
| bool | | 0 and 255 |
| uint8 | 0..255 | as it is |
| uint16 | 0..65535 | as a 16-bit grey file (`coopt.data.decode`) |
| other integers | 0..255 | as uint8 |
| floats | 0..1 | times 255, rounded |

Axes: (H, W), (H, W, C) or (C, H, W) with C = 1 (grey), 3 (RGB) or 4 (RGB and alpha, on white). Where both
readings fit, arrays are (H, W, C) and tensors (C, H, W), as their libraries have it.
"""

import numpy as np
import torch
from PIL import Image

from coopt.data.decode import MAX_PIXELS, UnreadableImageError
from coopt.data.pixels import scale_to_8_bit, sixteen_bit_top, to_rgb
from coopt.errors import DataError

CHANNELS = (1, 3, 4)
# Resizing overshoots by rounding; a value further out is another scale.
TOLERANCE = 1e-3


def check_array(values: np.ndarray | torch.Tensor, name: str) -> None:
    """Refuse an image, or a stack of images, whose axes, type or range is not in the module's table.

    Raises:
        DataError: it cannot be read as images; the message names the shape, type or range.
    """
    array = as_array(values)
    if 0 in array.shape:
        raise DataError(f"{name} has shape {array.shape}: there are no pixels in it.")
    if array.dtype == np.bool_ or array.dtype in (np.uint8, np.uint16):
        return
    if not np.issubdtype(array.dtype, np.integer) and not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{name} has type {array.dtype}; images must be uint8, uint16, bool or float in 0..1.")
    low, high = float(array.min()), float(array.max())
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError(f"{name} has values that are not finite numbers.")
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            raise DataError(
                f"{name} has float values from {low:g} to {high:g}; floats must lie in 0..1. Divide by the "
                f"largest possible value, or convert to uint8."
            )
    elif low < 0 or high > 255:
        raise DataError(
            f"{name} has {array.dtype} values from {low:g} to {high:g}; such integers must lie in 0..255. "
            f"Convert to uint8 or uint16."
        )


def image_axes(values: np.ndarray | torch.Tensor) -> str | None:
    """The axes of one image: "HW", "HWC" or "CHW"; None where no reading fits."""
    shape = tuple(values.shape)
    if len(shape) == 2:
        return "HW"
    if len(shape) != 3:
        return None
    readings = [axes for axes in ("HWC", "CHW") if shape[axes.index("C")] in CHANNELS]
    if len(readings) == 2:
        return "CHW" if isinstance(values, torch.Tensor) else "HWC"
    return readings[0] if readings else None


def array_to_rgb(values: np.ndarray | torch.Tensor, name: str, bits: int | None = None) -> Image.Image:
    """One image as 8-bit RGB; `bits` says how many bits the values of uint16 have, None goes by the largest of them.

    Raises:
        UnreadableImageError: the axes, type or range is not in the module's table.
    """
    axes = image_axes(values)
    if axes is None:
        raise UnreadableImageError(name, f"an image of shape {tuple(values.shape)} is not (H, W), (H, W, C), (C, H, W)")
    try:
        check_array(values, "it")
    except DataError as error:
        raise UnreadableImageError(name, str(error)) from error
    pixels = _to_8_bit(as_array(values), bits)
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise UnreadableImageError(name, f"it has more than {MAX_PIXELS:,} pixels")
    if axes == "CHW":
        pixels = pixels.transpose(1, 2, 0)  # (H, W, C)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]  # (H, W)
    return to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))


def as_array(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """The values in NumPy; half precision of tensors becomes float32."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return values.float().numpy() if values.is_floating_point() else values.numpy()
    return values


def _to_8_bit(array: np.ndarray, bits: int | None) -> np.ndarray:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return scale_to_8_bit(array, 0.0, float(sixteen_bit_top(float(array.max()), bits)))
    if np.issubdtype(array.dtype, np.floating):
        return np.floor(array.clip(0, 1).astype(np.float64) * 255 + 0.5).astype(np.uint8)
    return array.astype(np.uint8)
