"""Features of other places in the tower, tokens and frames: shapes, the cache, and nothing mixed up."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopt.data import ImageDataset
from coopt.errors import ConfigError, DataError
from coopt.features import Inputs, encode_batch, encode_dataset, encode_views
from coopt.models import VLM
from tests.counted import cache_files, encoded_by
from tests.features.places import N_POSITIONS, with_places

TOKENS = Inputs(kind="tokens", at=2)
UNPROJECTED = Inputs(at="unprojected")
CLIPS = Inputs(frames=4)
SHAPES = [
    (Inputs(), (192,)),
    (UNPROJECTED, (5,)),
    (Inputs(at="values"), (192,)),
    (Inputs(kind="tokens"), (1 + N_POSITIONS, 192)),
    (TOKENS, (1 + N_POSITIONS, 7)),
    (Inputs(at="unprojected", frames=2), (2, 5)),
    (Inputs(kind="tokens", at=2, frames=3), (3, 1 + N_POSITIONS, 7)),
]


@pytest.fixture
def places(vlm: VLM) -> VLM:
    return with_places(vlm)


def clip(colours: list[int]) -> bytes:
    frames = [Image.fromarray(np.full((17, 23, 3), colour, dtype=np.uint8)) for colour in colours]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(("inputs", "row"), SHAPES)
def test_the_shape_is_what_was_asked_for_cold_and_warm(
    places: VLM, shapes: ImageDataset, inputs: Inputs, row: tuple[int, ...]
) -> None:
    pixels = torch.stack([places.preprocess(shapes.load(i)) for i in range(9)])  # (9, 3, H, W)
    if inputs.frames > 1:
        pixels = pixels[:, None].expand(-1, inputs.frames, -1, -1, -1)  # still images are repeated
    expected = encode_batch(places, pixels, inputs)
    cold = encode_dataset(places, shapes, inputs=inputs)
    places.encoded.clear()
    warm, n = encoded_by(places, lambda: encode_dataset(places, shapes, inputs=inputs))
    assert n == 0 and places.encoded == []
    for found in (cold, warm):
        assert found.features.shape == (9, *row)
        assert torch.allclose(found.features, expected, atol=1e-5 * float(expected.abs().max()))
    assert torch.equal(cold.features, warm.features)
    views = encode_views(places, shapes, 2, seed=3, inputs=inputs)
    assert views.shape == (2, 9, *row)
    assert not torch.allclose(views[0], views[1])


def test_every_place_has_a_space_of_its_own(places: VLM, shapes: ImageDataset) -> None:
    for number, (inputs, _) in enumerate(SHAPES, start=1):
        encode_dataset(places, shapes, inputs=inputs)
        assert len({file.parent for file in cache_files()}) == number
    first = [encode_dataset(places, shapes, inputs=inputs).features for inputs, _ in SHAPES]
    assert not torch.equal(first[0], first[2])


def test_views_and_unlabelled_images_are_no_part_of_the_key(places: VLM, shapes: ImageDataset) -> None:
    encode_dataset(places, shapes)
    asks_more = Inputs(train_views=3, test_views=2, unlabelled=1)
    assert encoded_by(places, lambda: encode_dataset(places, shapes, inputs=asks_more))[1] == 0


def test_frames_are_encoded_one_by_one_in_order(vlm: VLM) -> None:
    contents = [clip([10, 90, 170, 250, 60, 140, 220, 30]), clip([200, 100])]
    dataset = ImageDataset(contents, None, [])
    found = encode_dataset(vlm, dataset, inputs=CLIPS, batch_size=1).features  # (2, 4, E)
    for row, colours in enumerate(([90, 250, 140, 30], [200, 200, 100, 100])):
        for frame, colour in enumerate(colours):
            image = Image.fromarray(np.full((17, 23, 3), colour, dtype=np.uint8))
            expected = encode_dataset(vlm, ImageDataset([image], None, []), cache=False).features[0]
            assert torch.allclose(found[row, frame], expected, atol=1e-5 * float(expected.abs().max()))


def test_animations_in_memory_that_differ_later_are_told_apart(vlm: VLM) -> None:
    one, other = (Image.open(io.BytesIO(clip(colours))) for colours in ([10, 90, 170, 250], [10, 90, 170, 30]))
    first = encode_dataset(vlm, ImageDataset([one], None, []), inputs=CLIPS).features
    second, n = encoded_by(vlm, lambda: encode_dataset(vlm, ImageDataset([other], None, []), inputs=CLIPS).features)
    assert n == 4
    assert torch.equal(first[0, :3], second[0, :3]) and not torch.equal(first[0, 3], second[0, 3])


def test_pixels_are_not_encoded(vlm: VLM, shapes: ImageDataset) -> None:
    with pytest.raises(ConfigError, match="Pixels are not encoded; inputs.kind must be 'features' or 'tokens'"):
        encode_dataset(vlm, shapes, inputs=Inputs(kind="pixels"))


@pytest.mark.parametrize("inputs", [Inputs(), TOKENS])
def test_features_that_are_not_finite_are_refused(places: VLM, shapes: ImageDataset, inputs: Inputs) -> None:
    places._encode_image = lambda pixels: torch.full((len(pixels), 192), float("nan"))
    places.encode_image_at = lambda pixels, kind, at: torch.full((len(pixels), 4, 7), float("inf"))
    with pytest.raises(DataError, match="gave image features that are not finite in torch.float32"):
        encode_dataset(places, shapes, inputs=inputs)
    assert not cache_files()


def test_an_unreadable_animation_is_left_out(vlm: VLM, tmp_path: Path) -> None:
    whole = clip([10, 90, 170, 250])
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) - 60])
    dataset = ImageDataset([tmp_path / "cut.png", whole], None, [])
    assert len(encode_dataset(vlm, dataset).features) == 2  # the first frame is there
    found = encode_dataset(vlm, dataset, inputs=CLIPS)
    assert found.indices.tolist() == [1]
    assert [item.name for item in found.skipped] == ["0"]
