"""Every oddity of image files, with files made here: what each becomes."""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import coopt.data.decode as decode
from coopt.data import ImageDataset
from coopt.data.archives import ArchiveMember
from coopt.data.decode import UnreadableImageError
from coopt.data.formats import is_image_name
from coopt.data.sources import open_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def decoded(content: bytes) -> Image.Image:
    image = open_image(content, "it")
    assert image.mode == "RGB"
    return image


def red_blue(width: int = 7, height: int = 5) -> Image.Image:
    # Left column red, the rest blue: no symmetry that a wrong rotation could hide behind.
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, 1, height))
    image.putpixel((0, 0), WHITE)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = red_blue()
    # What a camera stores, by orientation: the inverse of what a viewer must do.
    transpose = Image.Transpose
    store = {1: None, 2: transpose.FLIP_LEFT_RIGHT, 3: transpose.ROTATE_180, 4: transpose.FLIP_TOP_BOTTOM,
             5: transpose.TRANSPOSE, 6: transpose.ROTATE_90, 7: transpose.TRANSVERSE, 8: transpose.ROTATE_270}[orientation]  # fmt: skip
    stored = upright if store is None else upright.transpose(store)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decoded(encoded(stored, "PNG", exif=exif)).tobytes() == upright.tobytes()


def test_a_malformed_exif_block_is_ignored() -> None:
    content = encoded(red_blue(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", quality=95)
    assert decoded(content).size == (7, 5)


def test_palette_becomes_its_colours() -> None:
    image = red_blue().convert("P", palette=Image.Palette.ADAPTIVE)
    assert decoded(encoded(image, "PNG")).tobytes() == red_blue().tobytes()


@pytest.mark.parametrize(("mode", "pixel", "expected"), [
    ("L", 71, (71, 71, 71)),
    ("1", 1, WHITE),
    ("LA", (0, 51), (204, 204, 204)),
    ("RGBA", (255, 0, 0, 0), WHITE),
    ("RGBA", (255, 0, 0, 255), RED),
    ("RGBA", (0, 0, 0, 102), (153, 153, 153)),
])  # fmt: skip
def test_grey_bit_and_alpha(mode: str, pixel: object, expected: tuple[int, int, int]) -> None:
    assert decoded(encoded(Image.new(mode, (3, 2), pixel), "PNG")).getpixel((1, 1)) == expected


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 255, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    for content in (encoded(image, "PNG", transparency=0), encoded(image, "GIF", transparency=0)):
        assert [decoded(content).getpixel((x, 0)) for x in (0, 1)] == [WHITE, BLUE]


def test_a_transparent_colour_is_white() -> None:
    assert decoded(encoded(red_blue(), "PNG", transparency=BLUE)).getpixel((3, 3)) == WHITE


def test_cmyk() -> None:
    image = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    assert decoded(encoded(image, "TIFF")).getpixel((1, 1)) == RED
    assert np.abs(np.array(decoded(encoded(image, "JPEG", quality=95)).getpixel((1, 1))) - RED).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind: str) -> None:
    values = np.array([[0, 128, 129, 257], [32768, 33023, 65406, 65535]], dtype=np.uint16)
    out = np.asarray(decoded(encoded(Image.fromarray(values), kind)))[:, :, 0]
    assert out.tolist() == [[0, 0, 1, 1], [128, 128, 254, 255]]


@pytest.mark.parametrize(("values", "expected"), [
    ([[0, 257, 65535]], [[0, 1, 255]]),
    ([[0, 35000, 70000]], [[0, 128, 255]]),
    ([[-10, 0, 10]], [[0, 128, 255]]),
    ([[-5, -5, -5]], [[0, 0, 0]]),
])  # fmt: skip
def test_32_bit_integers(values: list[list[int]], expected: list[list[int]]) -> None:
    image = Image.fromarray(np.array(values, dtype=np.int32))
    assert np.asarray(decoded(encoded(image, "TIFF")))[:, :, 0].tolist() == expected


@pytest.mark.parametrize(("values", "expected"), [
    ([[0, 0.5, 1]], [[0, 128, 255]]),
    ([[0, 2, 254.6]], [[0, 2, 255]]),
    ([[-1, 0, 1]], [[0, 128, 255]]),
    ([[0, 500, 1000]], [[0, 128, 255]]),
])  # fmt: skip
def test_floats(values: list[list[float]], expected: list[list[int]]) -> None:
    image = Image.fromarray(np.array(values, dtype=np.float32))
    assert np.asarray(decoded(encoded(image, "TIFF")))[:, :, 0].tolist() == expected


def test_floats_that_are_not_numbers_are_unreadable() -> None:
    image = Image.fromarray(np.array([[0, np.nan]], dtype=np.float32))
    with pytest.raises(UnreadableImageError, match="'it': it has pixels that are not finite numbers"):
        decoded(encoded(image, "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_give_the_first(kind: str) -> None:
    frames = [Image.new("RGB", (5, 3), color) for color in (RED, BLUE)]
    settings = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **settings)
    assert decoded(content).getpixel((2, 1)) == RED


GREYS = [0, 40, 80, 120, 160, 200, 240]


def animation(kind: str, greys: list[int] = GREYS) -> bytes:
    frames = [Image.new("RGB", (5, 3), (grey,) * 3) for grey in greys]
    settings = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **settings)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [120]),
        (2, [40, 200]),
        (3, [40, 120, 200]),
        (7, GREYS),
        (10, [0, 40, 40, 80, 120, 120, 160, 200, 200, 240]),
    ],
)
def test_frames_are_equally_spaced(kind: str, n: int, expected: list[int], tmp_path: Path) -> None:
    """Frame floor((i + 0.5) * 7 / n) for i below n."""
    content = animation(kind)
    (tmp_path / "it").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
        archive.writestr("x/it.gif", content)
    in_memory = Image.open(io.BytesIO(content))
    for source in (content, tmp_path / "it", ArchiveMember(str(tmp_path / "it.zip"), "x/it.gif"), in_memory):
        dataset = ImageDataset([source], None, [])
        frames = dataset.load_frames(0, n)
        assert [frame.getpixel((2, 1)) for frame in frames] == [(grey,) * 3 for grey in expected]
        assert {frame.mode for frame in frames} == {"RGB"}
        assert dataset.load(0).getpixel((2, 1)) == (0, 0, 0)  # the image of the caller shows what it showed


@pytest.mark.parametrize("source", [encoded(Image.new("RGB", (5, 3), RED), "JPEG"), np.full((3, 5), 200, np.uint8)])
def test_a_still_image_is_repeated(source: object) -> None:
    dataset = ImageDataset([source], None, [])
    frames = dataset.load_frames(0, 3)
    assert [frame.tobytes() for frame in frames] == [dataset.load(0).tobytes()] * 3


def test_previews_beside_a_jpeg_are_no_frames() -> None:
    pictures = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    content = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    red, green, blue = ImageDataset([content], None, []).load_frames(0, 2)[1].getpixel((4, 4))
    assert red > 200 and green < 60 and blue < 60


def test_a_damaged_frame_makes_the_animation_unreadable() -> None:
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (31, 37, 3), dtype=np.uint8)) for i in (1, 2)]
    content = encoded(noise[0], "PNG", save_all=True, append_images=noise[1:])
    cut = ImageDataset([content[: len(content) * 3 // 4]], None, [])
    assert cut.load(0).size == (37, 31)
    with pytest.raises(UnreadableImageError, match="Cannot read image '0': ."):
        cut.load_frames(0, 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_truncated_file_is_unreadable(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (61, 67, 3), dtype=np.uint8))
    content = encoded(noise, kind)
    assert decoded(content).size == (67, 61)
    with pytest.raises(UnreadableImageError, match="Cannot read image 'it': ."):
        decoded(content[: len(content) // 2])


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_no_image_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="not an image of a known format"):
        decoded(content)


def test_formats_that_start_programs_stay_closed() -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(UnreadableImageError, match="it is in EPS, which is not read: convert"):
        decoded(postscript)


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (13_379, 13_377)])
def test_an_image_bomb_is_refused(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    # The limit is ours: it holds where a program has switched Pillow's off.
    for limit in (Image.MAX_IMAGE_PIXELS, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UnreadableImageError, match="'it': it has more than 178,956,970 pixels"):
            decoded(bomb(*size))


def test_the_limit_itself_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 35)
    assert decoded(encoded(red_blue(7, 5), "PNG")).size == (7, 5)
    with pytest.raises(UnreadableImageError, match="more than 35 pixels"):
        decoded(encoded(red_blue(6, 6), "PNG"))
    with pytest.raises(UnreadableImageError, match="'mine': it has more than 35 pixels"):
        open_image(red_blue(6, 6), "mine")


def test_a_large_image_warns_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert decoded(encoded(red_blue(), "PNG")).size == (7, 5)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="'x.png': the file does not exist"):
        open_image(tmp_path / "x.png", "x.png")
    with pytest.raises(UnreadableImageError, match="Is a directory"):
        open_image(tmp_path, "x.png")


def test_the_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImageError("a.png", "why")))
    assert (error.name, error.reason, str(error)) == ("a.png", "why", "Cannot read image 'a.png': why")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.JPG", True), ("b/c.webp", True), ("a.txt", False), ("jpg", False), ("a.svg", False)]
)
def test_image_names(name: str, expected: bool) -> None:
    assert is_image_name(name) is expected
