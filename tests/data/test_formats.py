"""Images by what they hold: any ending or none, formats of plugins, and formats that are not read."""

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_helpers import class_paths, picture, png
from PIL import Image, ImageFile

from coopt.data import UnreadableImageError, load_dataset
from coopt.data.decode import decode_file
from coopt.data.formats import is_read, open_formats, sniff
from coopt.errors import DataError

Make = Callable[..., Path]
HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(50)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    picture(5).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI"])
def test_formats_that_are_read_are_known_by_their_first_bytes(kind: str) -> None:
    assert sniff(encoded(kind)) == kind and is_read(kind)
    assert decode_file(encoded(kind), "x").size == (7, 5)


@pytest.mark.parametrize(("content", "expected"), [
    (HEIC, "HEIC"), (b"\x00\x00\x00\x1cftypmif1" + bytes(20), "HEIC"), (b"\x00\x00\x00\x1cftypavif", "AVIF"),
    (bytes(128) + b"DICM", "DICOM"), (b"<?xml version='1.0'?>\n<svg width='3'>", "SVG"), (b"8BPS\x00\x01", "PSD"),
    (b"BM is a shop", None), (b"P1 is a name", None), (b"", None), (b"MM", None), (b"<html>", None), (b"ftypheic", None),
])  # fmt: skip
def test_first_bytes(content: bytes, expected: str | None) -> None:
    assert sniff(content) == expected


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_endings_do_not_matter(make_files: Make, kind: str) -> None:
    contents = {
        "cat/IMG_0001": encoded("JPEG"), "cat/a.dat": encoded("WEBP"), "cat/b.txt": png(picture(1)), "cat/c.JPG": png(picture(2)),
        "cat/notes.txt": "BM, a text", "cat/model.bin": bytes(999),
    }  # fmt: skip
    root = make_files("data", *class_paths({"dog": 2}), contents=contents)
    splits = load_dataset(root if kind == "folder" else shutil.make_archive(str(root), kind, root), make_split=False)
    whole = splits.any
    assert whole.names == ["cat/IMG_0001", "cat/a.dat", "cat/b.txt", "cat/c.JPG", "dog/0.png", "dog/1.png"]
    assert whole.load(2).tobytes() == picture(1).tobytes() and whole.load(3).tobytes() == picture(2).tobytes()
    assert splits.ignored_files == 2


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_formats_that_are_not_read_are_counted_with_the_remedy(make_files: Make, kind: str) -> None:
    contents = {
        "cat/IMG_1.HEIC": HEIC, "cat/IMG_2.heif": HEIC, "dog/photo": HEIC, "dog/scan.dcm": bytes(128) + b"DICM",
        "dog/x.nef": b"MM\x00*" + bytes(40), "cat/x.svg": "<svg></svg>",
    }  # fmt: skip
    root = make_files("data", *class_paths({"cat": 2, "dog": 2}), contents=contents)
    splits = load_dataset(root if kind == "folder" else shutil.make_archive(str(root), kind, root), make_split=False)
    assert len(splits.any) == 4 and splits.ignored_files == 0
    said = "\n".join(splits.notes)
    assert (
        "left out: 3 images in HEIC ('cat/IMG_1.HEIC', 'cat/IMG_2.heif', 'dog/photo'): install the package pillow-heif"
        in said
    )
    assert "1 image in DICOM ('dog/scan.dcm'): convert to PNG or TIFF, for example with the package pydicom" in said
    assert "1 image in camera raw ('dog/x.nef')" in said and "1 image in SVG ('cat/x.svg')" in said


def test_a_class_with_such_images_alone(make_files: Make) -> None:
    root = make_files("data", *class_paths({"cat": 2}), contents={"dog/0.heic": HEIC})
    with pytest.raises(
        DataError,
        match="without images: 'dog'. They hold images of a format that is not read, for example 'dog/0.heic'",
    ):
        load_dataset(root)
    with pytest.raises(DataError, match="No images in .*Left out: 1 image in HEIC.*install the package pillow-heif"):
        load_dataset(root / "dog", require_labels=False)
    with pytest.raises(
        DataError, match="0.heic' is an image in HEIC, which is not read: install the package pillow-heif"
    ):
        load_dataset(root / "dog" / "0.heic", require_labels=False)
    with pytest.raises(UnreadableImageError, match="'mine': it is in HEIC, which is not read: install"):
        decode_file(HEIC, "mine")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package `pillow_heif` that reads every such file as a red image."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "pillow_heif.py").write_text("from tests.data.test_formats import register_heif_opener\n")
    monkeypatch.syspath_prepend(tmp_path / "plugins")
    open_formats.cache_clear()
    yield
    Image.OPEN.pop("HEIF", None)
    Image.ID[:] = [name for name in Image.ID if name != "HEIF"]
    sys.modules.pop("pillow_heif", None)
    open_formats.cache_clear()


class RedImage(ImageFile.ImageFile):
    format = "HEIF"

    def _open(self) -> None:
        self._size, self._mode, self.tile = (3, 2), "RGB", []

    def load(self) -> object:
        self.im = Image.new("RGB", (3, 2), "red").im
        return self.im.pixel_access(True)


def register_heif_opener() -> None:
    Image.register_open("HEIF", RedImage, lambda head: head[4:8] == b"ftyp")


@pytest.mark.usefixtures("plugin")
def test_a_plugin_that_is_installed_is_used(make_files: Make) -> None:
    root = make_files("data", *class_paths({"cat": 2}), contents={"dog/0.heic": HEIC, "dog/1": HEIC})
    dataset = load_dataset(root, make_split=False).any
    assert dataset.names == ["cat/0.png", "cat/1.png", "dog/0.heic", "dog/1"]
    assert dataset.load(3).getpixel((0, 0)) == (255, 0, 0)
