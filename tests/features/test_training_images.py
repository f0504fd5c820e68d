"""Training images as a method asks for them: which view in which epoch, known features, parallel views, frames."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from coopt.data import ImageDataset, augmentation_rng
from coopt.features import (
    FeatureViews,
    Inputs,
    TrainingImages,
    encode_batch,
    encode_dataset,
    encode_views,
    training_augmentation,
)
from coopt.models import VLM
from tests.counted import encoded_by
from tests.features.places import with_places

ORDER = [np.array([5, 8, 0, 7]), np.array([1, 3])]
PLAIN, PIXELS = Inputs(), Inputs(kind="pixels")


def training(vlm: VLM, dataset: ImageDataset, inputs: Inputs, views: int | str, **more: object) -> TrainingImages:
    return TrainingImages(vlm, dataset, inputs, views=views, seed=4, min_crop=0.3, **more)  # type: ignore[arg-type]


def augmented(vlm: VLM, dataset: ImageDataset, row: int, epoch: int) -> Tensor:
    return training_augmentation(vlm, 4, epoch, 0.3)(dataset.load(row), row)


def expected_pixels(vlm: VLM, dataset: ImageDataset, views: int | str, epoch: int, rows: np.ndarray) -> Tensor:
    """By hand: the plain image, the view that the epoch draws for it, or the epoch's own."""
    if views == 0:
        return torch.stack([vlm.preprocess(dataset.load(int(row))) for row in rows])
    drawn = [epoch] * 9
    if views != "fresh":
        drawn = augmentation_rng(4, epoch, 9).integers(0, views, size=9).tolist()
    return torch.stack([augmented(vlm, dataset, int(row), drawn[row]) for row in rows])


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("views", [0, 3, "fresh"])
def test_pixels_are_the_views_of_each_epoch(vlm: VLM, shapes: ImageDataset, views: int | str, n_workers: int) -> None:
    images = training(vlm, shapes, PIXELS, views, n_workers=n_workers)
    assert len(images) == 9
    seen = []
    for epoch in range(3):
        for (pixels, indices), rows in zip(images.batches(epoch, ORDER), ORDER, strict=True):
            assert torch.equal(pixels, expected_pixels(vlm, shapes, views, epoch, rows))
            assert np.array_equal(indices, rows)
            seen.append(pixels)
    assert torch.equal(seen[0], seen[2]) == (views == 0)


@pytest.mark.parametrize("views", [0, 3, "fresh"])
@pytest.mark.parametrize("inputs", [PLAIN, Inputs(kind="tokens", at=2), Inputs(at="unprojected")])
def test_features_are_those_of_the_pixels(vlm: VLM, shapes: ImageDataset, inputs: Inputs, views: int | str) -> None:
    places = with_places(vlm)
    images = training(places, shapes, inputs, views)
    for epoch in range(3):
        for (features, indices), rows in zip(images.batches(epoch, ORDER), ORDER, strict=True):
            expected = encode_batch(places, expected_pixels(vlm, shapes, views, epoch, rows), inputs)
            assert features.shape == expected.shape
            assert torch.allclose(features, expected, atol=1e-4 * float(expected.abs().max()))
            assert np.array_equal(indices, rows)


def test_what_is_encoded_once_is_not_encoded_again(vlm: VLM, shapes: ImageDataset) -> None:
    images, n = encoded_by(vlm, lambda: training(vlm, shapes, PLAIN, 2))
    assert n == 20  # 9 images in 2 views, in chunks of 4
    assert encoded_by(vlm, lambda: [list(images.batches(epoch, ORDER)) for epoch in range(3)])[1] == 0


def test_known_features_are_used_where_they_are_what_is_asked_for(vlm: VLM, shapes: ImageDataset) -> None:
    features, views = torch.randn(9, 192), torch.randn(4, 9, 192)
    ((found, _), _) = training(vlm, shapes, PLAIN, 0, encoded=features).batches(0, ORDER)
    assert torch.equal(found, features[ORDER[0]])
    (images, n) = encoded_by(vlm, lambda: training(vlm, shapes, PLAIN, 3, encoded=views))
    assert n == 0
    for epoch in range(3):
        for (found, _), (same, _) in zip(
            images.batches(epoch, ORDER), FeatureViews(views[:3], 4).batches(epoch, ORDER), strict=True
        ):
            assert torch.equal(found, same)
    # Plain features are no augmented views, four views are too few for five, and views are no plain features.
    for number, known in ((2, features), (5, views), (0, views)):
        images = training(vlm, shapes, PLAIN, number, encoded=known)
        expected = FeatureViews(encode_views(vlm, shapes, number, 4, min_crop=0.3), 4)
        for (found, _), (same, _) in zip(images.batches(1, ORDER), expected.batches(1, ORDER), strict=True):
            assert torch.equal(found, same)


@pytest.mark.parametrize("inputs", [PIXELS, PLAIN, Inputs(kind="tokens", at=2)])
@pytest.mark.parametrize("views", [0, 2, "fresh"])
def test_two_in_parallel_are_the_plain_image_and_the_epochs_own_view(
    vlm: VLM, shapes: ImageDataset, inputs: Inputs, views: int | str
) -> None:
    places = with_places(vlm)
    images = training(places, shapes, inputs, views, n_parallel=2)
    for epoch in range(2):
        for (found, indices), rows in zip(images.batches(epoch, ORDER), ORDER, strict=True):
            for place, what in enumerate((0, "fresh")):
                expected = encode_batch(places, expected_pixels(vlm, shapes, what, epoch, rows), inputs)
                assert torch.allclose(found[:, place], expected, atol=1e-4 * float(expected.abs().max()))
            assert found.shape[:2] == (len(rows), 2)
            assert np.array_equal(indices, rows)


def moving(n: int) -> bytes:
    """A noise picture that grows darker with each frame."""
    noise = np.random.default_rng(7).integers(100, 200, (29, 31, 3), dtype=np.uint8)
    frames = [Image.fromarray(noise - 30 * frame) for frame in range(n)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_frames_are_augmented_alike(vlm: VLM, n_parallel: int) -> None:
    dataset = ImageDataset([moving(3), moving(3)], np.array([0, 1]), ["a", "b"])
    images = training(vlm, dataset, Inputs(kind="pixels", frames=3), "fresh", n_parallel=n_parallel)
    ((pixels, _),) = images.batches(1, [np.array([1, 0])])
    if n_parallel == 2:
        plain = torch.stack([vlm.preprocess(frame) for frame in dataset.load_frames(1, 3)])
        assert torch.equal(pixels[0, 0], plain)
        pixels = pixels[:, 1]  # (B, F, 3, H, W)
    assert pixels.shape == (2, 3, 3, 48, 48)
    # The same crop of a picture that differs by a constant.
    step = 30 / 255 / torch.tensor(vlm.preprocess.std)
    darker = (pixels[:, 0] - pixels[:, 1]).mean((2, 3))
    assert torch.allclose(darker, step.expand(2, -1), atol=0.02)
    assert (pixels[:, 0] - pixels[:, 1]).std((2, 3)).max() < 0.1
    assert not torch.allclose(pixels[0], pixels[1], atol=0.1)  # two samples have two crops
    clips = Inputs(frames=3)
    ((features, _),) = training(vlm, dataset, clips, "fresh", n_parallel=n_parallel).batches(1, [np.array([1, 0])])
    assert features.shape == ((2, 3, 192) if n_parallel == 1 else (2, 2, 3, 192))
    strong = features if n_parallel == 1 else features[:, 1]
    assert torch.allclose(strong, encode_batch(vlm, pixels, clips), atol=1e-4)
    plain = training(vlm, dataset, clips, 0)
    ((features, _),) = plain.batches(0, [np.array([1, 0])])
    assert torch.equal(features, encode_dataset(vlm, dataset, inputs=clips).features[[1, 0]])


def test_an_epoch_without_batches_is_empty(vlm: VLM, shapes: ImageDataset) -> None:
    for inputs in (PLAIN, PIXELS):
        assert list(training(vlm, shapes, inputs, "fresh").batches(0, [])) == []
