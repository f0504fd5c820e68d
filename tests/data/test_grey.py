"""Grey images of 16 bits: the range that becomes black to white; and large images in little memory."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.data import ImageDataset, UnreadableImageError, load_dataset
from coopt.data import pixels as pixels_module
from coopt.data.decode import decode_file
from coopt.errors import ConfigError
from coopt.features.cache_keys import content_digest

Make = Callable[..., Path]
RAMP = np.linspace(0, 1, 35).reshape(5, 7)


def grey(top: int) -> np.ndarray:
    return np.rint(RAMP * top).astype(np.uint16)


def encoded(values: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def brightest(content: bytes, bits: int | None = None) -> int:
    return int(np.asarray(decode_file(content, "x", bits)).max())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_that_are_used_fill_the_range(kind: str, bits: int) -> None:
    out = np.asarray(decode_file(encoded(grey(2**bits - 1), kind), "x"))[:, :, 0]
    assert np.abs(out - RAMP * 255).max() <= 0.5 + 255 / 2**bits and out.max() == 255


@pytest.mark.parametrize(("top", "bits", "expected"), [
    (1000, None, 249), (1000, 12, 62), (1000, 16, 4), (5000, 12, 78), (60000, 10, 233),
])  # fmt: skip
def test_given_bits_decide_unless_a_value_is_larger(top: int, bits: int | None, expected: int) -> None:
    """1000 of 1023, 4095 and 65535; 5000 and 60000 are beyond what is said, and take 14 and 16 bits."""
    assert brightest(encoded(grey(top)), bits) == expected
    dataset = ImageDataset([grey(top), encoded(grey(top))], None, [], image_bits=bits)
    assert [int(np.asarray(dataset.load(i)).max()) for i in (0, 1)] == [expected, expected]


def test_the_file_says_its_range() -> None:
    dark = grey(1000)
    assert brightest(encoded(dark, "TIFF", tiffinfo={281: 4095})) == 62
    assert brightest(b"P5\n7 5\n4095\n" + dark.astype(">u2").tobytes()) == 62
    png = encoded(dark)
    chunk = b"sBIT\x0c"
    png = png[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]  # after the header
    assert brightest(png) == 62


def test_colour_of_12_bits_is_refused_and_not_black() -> None:
    def png(values: np.ndarray) -> bytes:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        height, width = values.shape
        rows = b"".join(b"\x00" + np.repeat(row, 3).astype(">u2").tobytes() for row in values)
        header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    assert brightest(png(grey(65535))) == 255
    with pytest.raises(UnreadableImageError, match="16 bits per channel and uses 12 or fewer"):
        decode_file(png(grey(4095)), "x")


class TestSeries:
    """The images of a data set are scaled alike."""

    def root(self, make_files: Make, *tops: int) -> Path:
        contents = {f"{'ab'[i % 2]}/{i}.png": encoded(grey(top)) for i, top in enumerate(tops)}
        return make_files("data", contents=contents)

    def test_one_range_for_all(self, make_files: Make) -> None:
        splits = load_dataset(self.root(make_files, 900, 3900, 500, 700), make_split=False)
        tops = [int(np.asarray(splits.any.load(i)).max()) for i in range(4)]  # a/0, a/2, b/1, b/3
        assert splits.any.image_bits == 12 and tops == [56, 31, 243, 44]
        assert any(note.startswith("the 16-bit grey images use 12 bits: 0 to 4,095 becomes") for note in splits.notes)
        assert splits.any.subset([1]).image_bits == 12

    def test_what_a_user_says(self, make_files: Make) -> None:
        root = self.root(make_files, 900, 900)
        splits = load_dataset(root, make_split=False, image_bits=16)
        assert splits.any.image_bits == 16 and splits.notes == ()
        for bits in (7, 17, True):
            with pytest.raises(ConfigError, match="image_bits is .*; allowed is a whole number from 8 to 16"):
                load_dataset(root, image_bits=bits)

    def test_arrays_and_images_of_8_bits(self, make_files: Make) -> None:
        stack = np.stack([grey(900), grey(3900)])
        assert load_dataset(stack, require_labels=False).any.image_bits == 12
        assert load_dataset(stack.astype(np.int32) // 16, require_labels=False).any.image_bits is None
        root = make_files("eight", "a/0.png", "b/0.png")
        assert load_dataset(root, make_split=False).any.image_bits is None
        full = self.root(make_files, 65535, 900)
        splits = load_dataset(full, make_split=False)
        assert splits.any.image_bits == 16 and splits.notes == ()

    def test_kept_features_know_the_bits(self) -> None:
        content = encoded(grey(900))
        assert len({content_digest(content, 1, bits) for bits in (None, 10, 12)}) == 3


class TestLargeImages:
    """Converted in strips to the same pixels; halved where there are too many."""

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
    def test_strips_change_nothing(self, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        noise = np.random.default_rng(3).integers(0, 256, (37, 29, 4), dtype=np.uint8)
        if mode in ("I;16", "F"):
            image = Image.fromarray(noise[:, :, 0].astype(np.uint16 if mode == "I;16" else np.float32) * 11)
        else:
            image = Image.fromarray(noise, "RGBA") if mode == "RGBA" else Image.fromarray(noise[:, :, :3]).convert(mode)
        if mode == "P":
            image.info["transparency"] = 3
        whole = pixels_module.to_rgb(image)
        monkeypatch.setattr(pixels_module, "STRIP_PIXELS", 29 * 5)
        assert pixels_module.to_rgb(image).tobytes() == whole.tobytes()

    @pytest.mark.parametrize("mode", ["1", "L", "RGB"])
    def test_too_many_pixels_are_halved(self, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        noise = np.random.default_rng(3).integers(0, 256, (37, 29), dtype=np.uint8)
        image = Image.fromarray(noise).convert(mode)
        expected = image.convert("RGB").reduce(2)
        monkeypatch.setattr(pixels_module, "LARGE_PIXELS", 500)
        monkeypatch.setattr(pixels_module, "STRIP_PIXELS", 29 * 6)
        out = pixels_module.to_rgb(image)
        assert out.size == (15, 19) and out.tobytes() == expected.tobytes()
        monkeypatch.setattr(pixels_module, "LARGE_PIXELS", 37 * 29)
        assert pixels_module.to_rgb(image).size == (29, 37)

    def test_a_jpeg_is_decoded_smaller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = encoded(np.full((64, 48, 3), 200, dtype=np.uint8), "JPEG")
        monkeypatch.setattr(pixels_module, "LARGE_PIXELS", 1000)
        assert decode_file(content, "x").size == (24, 32)

    def test_the_orientation_of_a_halved_image(self, monkeypatch: pytest.MonkeyPatch) -> None:
        exif = Image.Exif()
        exif[0x112] = 6
        content = encoded(np.full((64, 48, 3), 200, dtype=np.uint8), "PNG", exif=exif)
        monkeypatch.setattr(pixels_module, "LARGE_PIXELS", 1000)
        assert decode_file(content, "x").size == (32, 24)

    def test_a_source_of_large_images_warns_nobody(self, make_files: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        assert len(load_dataset(make_files("large", "a/0.png", "b/0.png"), make_split=False).any) == 2
