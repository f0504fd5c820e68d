"""Opening one image lazily, from every kind of place: file, archive member, table cell, memory.

Each source is a small picklable value. Archives and tables are opened once per process and kept: a handle that
crossed a fork would share its file position with the other processes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from coopt.data.arrays import array_to_rgb
from coopt.data.decode import UnreadableImageError, check_size, decode_file, to_rgb


def open_image(source: Any, name: str) -> Image.Image:
    """Open `source` as an 8-bit RGB image.

    Args:
        source: a path, bytes, PIL image, array (H, W), (H, W, 1 | 3 | 4), tensor (also channels first), or an object
            with `read() -> bytes` such as `ArchiveMember`.
        name: what to call it in an error.

    Raises:
        UnreadableImageError: it cannot be decoded.
    """
    if isinstance(source, (str, Path)):
        return decode_file(Path(source), name)
    if isinstance(source, bytes):
        return decode_file(source, name)
    if isinstance(source, Image.Image):
        try:
            check_size(source)
            return to_rgb(source)
        except Exception as error:  # a lazily opened PIL image decodes only now
            raise UnreadableImageError(name, str(error) or type(error).__name__) from error
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return array_to_rgb(source, name)
    try:
        content = source.read()
    except Exception as error:  # an archive that vanished or is damaged
        raise UnreadableImageError(name, str(error) or type(error).__name__) from error
    return decode_file(content, name)
