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
from coopt.data.decode import UnreadableImageError, decode_frames, frames_of

MAX_BYTES = 2**32
"""A file above this size is no image that can be decoded."""


def open_image(source: Any, name: str) -> Image.Image:
    """Open `source` as an 8-bit RGB image; of several frames the first.

    Args:
        source: a path, bytes, PIL image, array (H, W), (H, W, 1 | 3 | 4), tensor (also channels first), or an object
            with `read() -> bytes` such as `ArchiveMember`.
        name: what to call it in an error.

    Raises:
        UnreadableImageError: it cannot be decoded.
    """
    return open_frames(source, name, None)[0]


def open_frames(source: Any, name: str, n_frames: int | None) -> list[Image.Image]:
    """Open `n_frames` equally spaced frames of `source` (see `frames_of`); what `open_image` opens when None.

    Raises:
        UnreadableImageError: as `open_image`.
    """
    if isinstance(source, (str, Path)):
        return decode_frames(Path(source), name, n_frames)
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return [array_to_rgb(source, name)] * (n_frames or 1)
    if isinstance(source, Image.Image):
        shown = source.tell()
        try:
            return frames_of(source, n_frames)
        except Exception as error:  # a lazily opened PIL image decodes only now
            raise UnreadableImageError(name, str(error) or type(error).__name__) from error
        finally:
            if source.tell() != shown:
                source.seek(shown)
    content = read_content(source, name)
    if isinstance(content, bytes):
        return decode_frames(content, name, n_frames)
    if not isinstance(content, (np.ndarray, torch.Tensor, Image.Image)):
        raise UnreadableImageError(name, f"a {type(content).__name__} is no image")
    return open_frames(content, name, n_frames)


def read_content(source: Any, name: str) -> Any:
    """The bytes of a file, read once; an image, array or tensor in memory as it is. `open_frames` opens both.

    Raises:
        UnreadableImageError: the file is not there, or too large, or its archive is damaged.
    """
    if isinstance(source, (bytes, Image.Image, np.ndarray, torch.Tensor)):
        return source
    try:
        if not isinstance(source, (str, Path)):
            return source.read()
        if Path(source).stat().st_size > MAX_BYTES:
            raise UnreadableImageError(name, f"it is larger than {MAX_BYTES:,} bytes")
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise UnreadableImageError(name, "the file does not exist") from None
    except UnreadableImageError:
        raise
    except Exception as error:  # an archive that vanished or is damaged
        raise UnreadableImageError(name, str(error) or type(error).__name__) from error
