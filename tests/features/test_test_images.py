"""Test images as a method asks for them: in order, views from the picture alone, unreadable ones left out."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from coopt.data import ImageDataset, UnreadableImageError, image_digest
from coopt.errors import DataError
from coopt.features import Inputs, TestImages, encode_batch, encode_dataset, training_augmentation
from coopt.models import VLM
from tests.counted import encoded_by
from tests.features.places import with_places

PLAIN, PIXELS = Inputs(), Inputs(kind="pixels")
EVERY = [
    PLAIN,
    Inputs(kind="tokens", at=2),
    PIXELS,
    Inputs(test_views=3),
    Inputs(kind="tokens", at=2, test_views=3),
    Inputs(kind="pixels", test_views=3),
    Inputs(frames=2),
    Inputs(kind="pixels", test_views=3, frames=2),
    Inputs(test_views=1),
]


def by_hand(vlm: VLM, dataset: ImageDataset, inputs: Inputs, row: int, seed: int = 3) -> Tensor:
    frames = dataset.load_frames(row, inputs.frames) if inputs.frames > 1 else [dataset.load(row)]
    picture = int(image_digest(frames[0]), 16)
    crops = [training_augmentation(vlm, seed, view) for view in range(inputs.test_views - 1)]
    views = [[vlm.preprocess(f) for f in frames], *([crop(f, picture) for f in frames] for crop in crops)]
    pixels = torch.stack([torch.stack(view) for view in views])  # (V, F, 3, H, W)
    pixels = pixels if inputs.frames > 1 else pixels[:, 0]
    pixels = pixels if inputs.test_views else pixels[0]
    return encode_batch(vlm, pixels[None], inputs)[0]


def joined(images: TestImages) -> tuple[Tensor, list[int]]:
    batches = list(images)
    return torch.cat([batch for batch, _ in batches]), torch.cat([rows for _, rows in batches]).tolist()


@pytest.mark.parametrize("inputs", EVERY)
@pytest.mark.parametrize("n_workers", [0, 2])
def test_each_image_is_what_was_asked_for(vlm: VLM, shapes: ImageDataset, inputs: Inputs, n_workers: int) -> None:
    places = with_places(vlm)
    images = TestImages(places, shapes, inputs, seed=3, batch_size=4, n_workers=n_workers)
    found, indices = joined(images)
    assert indices == list(range(9)) and images.skipped == []
    for row in range(9):
        expected = by_hand(places, shapes, inputs, row)
        assert found[row].shape == expected.shape
        assert torch.allclose(found[row], expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("inputs", EVERY)
def test_it_depends_on_neither_the_batch_nor_the_other_images(vlm: VLM, shapes: ImageDataset, inputs: Inputs) -> None:
    places = with_places(vlm)
    whole, _ = joined(TestImages(places, shapes, inputs, seed=3))
    part, _ = joined(TestImages(places, shapes.subset([7, 2, 3]), inputs, seed=3, batch_size=2))
    assert torch.equal(part, whole[[7, 2, 3]])
    if inputs.test_views > 1:
        other, _ = joined(TestImages(places, shapes, inputs, seed=4))
        assert not torch.allclose(other[:, 1:], whole[:, 1:], atol=1e-3)


@pytest.mark.parametrize(
    ("inputs", "more", "sizes"),
    [
        (PLAIN, {}, [9]),
        (PLAIN, {"rows_at_once": 4}, [4, 4, 1]),
        (Inputs(kind="tokens", at=2), {}, [4, 4, 1]),
        (PIXELS, {}, [4, 4, 1]),
        (Inputs(test_views=2), {}, [4, 4, 1]),
        (Inputs(kind="pixels", test_views=128), {}, [2, 2, 2, 2, 1]),  # 256 views as pixels at a time
        (Inputs(kind="pixels", test_views=64, frames=2), {}, [2, 2, 2, 2, 1]),
        (Inputs(kind="pixels", frames=300), {}, [1] * 9),
        (Inputs(kind="tokens", at=2, test_views=128), {}, [2, 2, 2, 2, 1]),
    ],
)
def test_how_much_comes_at_a_time(
    vlm: VLM, shapes: ImageDataset, inputs: Inputs, more: dict[str, int], sizes: list[int]
) -> None:
    images = TestImages(with_places(vlm), shapes, inputs, seed=3, batch_size=4, **more)  # type: ignore[arg-type]
    assert [len(batch) for batch, _ in images] == sizes


def test_encoded_images_come_in_blocks_of_bounded_size(
    vlm: VLM, shapes: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("0.png", "1.png"):  # all of the first block
        (folder / "train" / "circle" / name).write_bytes(b"no image")
    whole = encode_dataset(vlm, shapes)
    monkeypatch.setattr("coopt.features.testing.BLOCK_BYTES", 4 * 192 * 2)
    seen: list[tuple[int, int]] = []
    images = TestImages(vlm, shapes, PLAIN, seed=3, batch_size=2, progress=lambda *n: seen.append(n))
    batches = list(images)
    assert [rows.tolist() for _, rows in batches] == [[2, 3], [4, 5], [6, 7], [8]]
    assert torch.equal(torch.cat([batch for batch, _ in batches]), whole.features)
    assert images.skipped == whole.skipped and len(images.skipped) == 2
    assert seen == sorted(seen) and seen[-1] == (9, 9)


def test_known_features_are_used_for_plain_inputs_only(vlm: VLM, shapes: ImageDataset) -> None:
    known = encode_dataset(vlm, shapes.subset([0, 1, 2]), cache=False)
    fewer = TestImages(vlm, shapes, PLAIN, seed=3, encoded=known)
    (found, indices), n = encoded_by(vlm, lambda: joined(fewer))
    assert n == 0 and torch.equal(found, known.features) and indices == [0, 1, 2]
    for inputs in (PIXELS, Inputs(test_views=2), Inputs(frames=2)):
        assert joined(TestImages(vlm, shapes, inputs, seed=3, encoded=known))[1] == list(range(9))


@pytest.mark.parametrize("inputs", EVERY)
def test_unreadable_images_are_left_out_and_named(vlm: VLM, shapes: ImageDataset, folder: Path, inputs: Inputs) -> None:
    places = with_places(vlm)
    whole, _ = joined(TestImages(places, shapes, inputs, seed=3))
    bad, kept = [3, 5], [0, 1, 2, 4, 6, 7, 8]
    for row in bad:
        Path(shapes.images[row]).write_bytes(b"no image")
    images = TestImages(places, shapes, inputs, seed=3, batch_size=2)
    for _ in range(2):  # a second pass starts its list anew
        found, indices = joined(images)
        assert indices == kept and torch.equal(found, whole[kept])
        assert [item.name for item in images.skipped] == [shapes.name(row) for row in bad]
    with pytest.raises(UnreadableImageError, match=r"0\.png"):
        list(TestImages(places, shapes, inputs, seed=3, strict=True))
    with pytest.raises(DataError, match=r"None of the 2 images can be read; the first: .*0\.png: the content is not"):
        list(TestImages(places, shapes.subset(bad), inputs, seed=3))


@pytest.mark.parametrize("inputs", EVERY)
def test_progress_runs_to_the_end(vlm: VLM, shapes: ImageDataset, inputs: Inputs) -> None:
    seen: list[tuple[int, int]] = []
    list(TestImages(with_places(vlm), shapes, inputs, seed=3, batch_size=4, progress=lambda *n: seen.append(n)))
    assert seen == sorted(seen) and seen[-1] == (9, 9) and {total for _, total in seen} == {9}


def test_frames_of_one_view_show_the_same_crop(vlm: VLM) -> None:
    noise = np.random.default_rng(7).integers(100, 200, (29, 31, 3), dtype=np.uint8)
    frames = [Image.fromarray(noise), Image.fromarray(noise - 60)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    dataset = ImageDataset([buffer.getvalue()], None, [])
    ((pixels, _),) = TestImages(vlm, dataset, Inputs(kind="pixels", test_views=4, frames=2), seed=3)
    assert pixels.shape == (1, 4, 2, 3, 48, 48)
    assert (pixels[0, :, 0] - pixels[0, :, 1]).std((2, 3)).max() < 0.15
    assert not torch.allclose(pixels[0, 1], pixels[0, 2], atol=0.1)
