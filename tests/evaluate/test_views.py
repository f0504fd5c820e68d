"""Views of test images: the plain image first, crops drawn from the picture alone, unreadable images left out."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from coopt.data import ImageDataset, image_digest, load_dataset
from coopt.errors import DataError
from coopt.evaluate import dataset_logits
from coopt.features import Inputs, encode_batch, encode_dataset, training_augmentation
from coopt.methods import Method
from coopt.models import VLM, load_model
from tests.pictures import CLASSES, shapes_folder

N_VIEWS = 5


class Shows(Method):
    """Keeps what it is given; its logits are the views' first features."""

    inputs = Inputs(test_views=N_VIEWS)

    def __init__(self, vlm: VLM) -> None:
        super().__init__(vlm, CLASSES)
        self.given: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(images)
        return images[:, :, : len(CLASSES)].mean(1)


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture
def shapes(tmp_path: Path) -> ImageDataset:
    splits = load_dataset(str(shapes_folder(tmp_path / "data")))
    assert splits.test is not None
    return splits.test.subset(range(7))


def views_of(vlm: VLM, dataset: ImageDataset, batch_size: int, seed: int = 3) -> Tensor:
    learner = Shows(vlm)
    dataset_logits(vlm, learner.predictor(), dataset, seed=seed, batch_size=batch_size)
    assert [len(part) for part in learner.given[:-1]] == [batch_size] * (len(learner.given) - 1)
    return torch.cat(learner.given)


def test_the_first_view_is_the_plain_image_and_the_others_are_its_crops(vlm: VLM, shapes: ImageDataset) -> None:
    views = views_of(vlm, shapes, 3)
    assert views.shape == (7, N_VIEWS, vlm.embed_dim)
    plain = encode_dataset(vlm, shapes, cache=False).features
    assert torch.allclose(views[:, 0], plain, atol=1e-5 * float(plain.abs().max()))
    image = shapes.load(4)
    for view in range(N_VIEWS - 1):
        crop = training_augmentation(vlm, 3, view)(image, int(image_digest(image), 16))
        expected = encode_batch(vlm, crop[None])[0]
        assert torch.allclose(views[4, view + 1], expected, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(views[4, 1], views[4, 2], atol=1e-3)


def test_views_depend_on_the_picture_and_the_seed_alone(vlm: VLM, shapes: ImageDataset) -> None:
    views = views_of(vlm, shapes, 3)
    assert torch.equal(views_of(vlm, shapes, 64), views)
    assert torch.equal(views_of(vlm, shapes.subset([5, 2]), 2), views[[5, 2]])
    assert not torch.allclose(views_of(vlm, shapes, 3, seed=4)[:, 1:], views[:, 1:], atol=1e-3)


def test_unreadable_images_are_left_out_and_named(vlm: VLM, tmp_path: Path) -> None:
    folder = shapes_folder(tmp_path / "broken")
    files = sorted(folder.rglob("*.png"))
    for file in files[:2]:
        file.write_bytes(b"no picture")
    dataset = load_dataset(str(folder), require_labels=False, make_split=False).whole()
    bad = {index for index, name in enumerate(dataset.names or []) if (folder / name) in files[:2]}
    assert len(bad) == 2
    found = dataset_logits(vlm, Shows(vlm).predictor(), dataset)
    assert found.indices.tolist() == [index for index in range(len(dataset)) if index not in bad]
    assert len(found.logits) == len(dataset) - 2
    assert len(found.skipped) == 2
    with pytest.raises(DataError, match="None of the 2 images can be read"):
        dataset_logits(vlm, Shows(vlm).predictor(), dataset.subset(sorted(bad)))
