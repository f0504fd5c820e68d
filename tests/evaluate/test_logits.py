"""Logits of a data set for methods that take pixels: image by image, unreadable ones skipped, classes computed once."""

from pathlib import Path

import pytest
import torch

from coopt.data import ImageDataset, UnreadableImageError, load_dataset
from coopt.errors import DataError
from coopt.evaluate import dataset_logits
from coopt.methods import IVLP, MaPLe, Method
from coopt.models import VLM, load_model
from tests.pictures import CLASSES, shapes_folder


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture
def shapes(tmp_path: Path) -> ImageDataset:
    """15 test images."""
    splits = load_dataset(str(shapes_folder(tmp_path / "data")))
    assert splits.test is not None
    return splits.test


@pytest.fixture
def method(vlm: VLM) -> Method:
    """Prompts far from their start, so that the untouched tower gives other logits."""
    made = MaPLe(vlm, CLASSES)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return made


def by_hand(method: Method, dataset: ImageDataset, rows: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([method(method.vlm.preprocess(dataset.load(row))[None]) for row in rows])


@pytest.mark.parametrize(("batch_size", "n_workers"), [(4, 0), (15, 0), (7, 2)])
def test_pixels_go_through_the_method_image_by_image(
    vlm: VLM, method: Method, shapes: ImageDataset, batch_size: int, n_workers: int
) -> None:
    seen = []
    found = dataset_logits(
        vlm,
        method.predictor(),
        shapes,
        batch_size=batch_size,
        n_workers=n_workers,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.indices.tolist() == list(range(15))
    assert found.skipped == []
    expected = by_hand(method, shapes, list(range(15)))
    assert torch.allclose(found.logits, expected, atol=1e-4 * float(expected.abs().max()))
    assert not found.logits.requires_grad
    assert seen[-1] == (15, 15)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_plain_features_are_of_no_use_to_it(vlm: VLM, method: Method, shapes: ImageDataset) -> None:
    """`encoded` is what other learners share; a method that changes the image tower must not look at it."""
    from coopt.features import encode_dataset

    encoded = encode_dataset(vlm, shapes)
    with_features = dataset_logits(vlm, method.predictor(), shapes, encoded=encoded)
    assert torch.equal(with_features.logits, dataset_logits(vlm, method.predictor(), shapes).logits)


def test_an_instance_that_needs_no_pixels_takes_the_features(vlm: VLM, shapes: ImageDataset) -> None:
    language_only = IVLP(vlm, CLASSES, n_ctx=4, n_ctx_vision=0)
    from coopt.features import encode_dataset

    encoded = encode_dataset(vlm, shapes)
    found = dataset_logits(vlm, language_only.predictor(), shapes, encoded=encoded)
    with torch.no_grad():
        assert torch.allclose(found.logits, language_only(encoded.features), atol=1e-5)


def test_unreadable_images_are_skipped_named_and_left_out(vlm: VLM, method: Method, shapes: ImageDataset) -> None:
    bad = [3, 9]
    for row in bad:
        Path(shapes.images[row]).write_bytes(b"no image")
    found = dataset_logits(vlm, method.predictor(), shapes, batch_size=4)
    kept = [row for row in range(15) if row not in bad]
    assert found.indices.tolist() == kept
    assert [item.name for item in found.skipped] == [shapes.name(row) for row in bad]
    expected = by_hand(method, shapes, kept)
    assert torch.allclose(found.logits, expected, atol=1e-4 * float(expected.abs().max()))
    with pytest.raises(UnreadableImageError, match=r"3\.png"):
        dataset_logits(vlm, method.predictor(), shapes, strict=True)


def test_none_readable_is_an_error(vlm: VLM, method: Method, shapes: ImageDataset) -> None:
    for row in range(15):
        Path(shapes.images[row]).write_bytes(b"no image")
    with pytest.raises(DataError, match="None of the 15 images can be read; the first: .*"):
        dataset_logits(vlm, method.predictor(), shapes)


def test_class_features_are_computed_once_for_a_predictor(vlm: VLM, method: Method, shapes: ImageDataset) -> None:
    calls = []
    compute = method.class_features

    def counted() -> torch.Tensor | None:
        calls.append(1)
        return compute()

    method.class_features = counted  # type: ignore[method-assign]
    before = dataset_logits(vlm, method.predictor(), shapes, batch_size=2).logits
    assert len(calls) == 1
    with torch.no_grad():
        next(iter(method.parameters())).add_(1.0)
    calls.clear()
    assert not torch.allclose(dataset_logits(vlm, method.predictor(), shapes).logits, before)
    assert len(calls) == 1
