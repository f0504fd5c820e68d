"""Training images as pixels: the same views that features are made of, in the same order, and `learn` on them."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from coopt.data import ImageDataset, load_dataset
from coopt.features import Inputs, TrainingImages, encode_views, training_augmentation
from coopt.fit import Interrupted, Recipe, Reporter, learn
from coopt.fit.loop import EpochRecord
from coopt.models import VLM, load_model
from tests.pictures import shapes_folder

ORDER = [np.array([5, 20, 0, 7]), np.array([11, 3])]


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    """21 training images."""
    splits = load_dataset(str(shapes_folder(tmp_path_factory.mktemp("shapes") / "data")))
    assert splits.train is not None
    return splits.train


def pixels_of(vlm: VLM, shapes: ImageDataset, views: int | str, n_workers: int = 0) -> TrainingImages:
    return TrainingImages(vlm, shapes, Inputs("pixels"), views=views, seed=4, min_crop=0.08, n_workers=n_workers)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_no_views_are_the_models_own_preprocessing(vlm: VLM, shapes: ImageDataset, n_workers: int) -> None:
    images = pixels_of(vlm, shapes, 0, n_workers)
    assert len(images) == 21
    for epoch in range(2):
        for (pixels, index), rows in zip(images.batches(epoch, ORDER), ORDER, strict=True):
            assert torch.equal(pixels, torch.stack([vlm.preprocess(shapes.load(int(row))) for row in rows]))
            assert index.tolist() == rows.tolist()


def test_views_are_drawn_as_feature_views_draw_theirs(vlm: VLM, shapes: ImageDataset) -> None:
    """Pixels through the frozen tower are the cached features, view by view, in every epoch."""
    views = encode_views(vlm, shapes, 3, seed=4)
    features = TrainingImages(vlm, shapes, Inputs(), views=3, seed=4, min_crop=0.08, encoded=views)
    pixels = pixels_of(vlm, shapes, 3)
    first = []
    for epoch in range(4):
        pairs = zip(pixels.batches(epoch, ORDER), features.batches(epoch, ORDER), strict=True)
        for (x, y), (expected, rows) in pairs:
            with torch.no_grad():
                assert torch.allclose(vlm.encode_image(x), expected, atol=1e-4)
            assert y.tolist() == rows.tolist()
        first.append(next(iter(pixels.batches(epoch, ORDER)))[0])
    assert any(not torch.equal(first[0], other) for other in first[1:])


def test_fresh_pixels_are_the_augmentation_of_each_epoch(vlm: VLM, shapes: ImageDataset) -> None:
    images = pixels_of(vlm, shapes, "fresh")
    seen = []
    for epoch in range(2):
        ((pixels, _), _) = images.batches(epoch, ORDER)
        augment = training_augmentation(vlm, 4, epoch)
        assert torch.equal(pixels, torch.stack([augment(shapes.load(int(row)), int(row)) for row in ORDER[0]]))
        seen.append(pixels)
    assert not torch.equal(*seen)


@pytest.mark.parametrize("views", [0, 2, "fresh"])
def test_a_method_that_takes_pixels_learns_from_every_kind_of_views(
    vlm: VLM, shapes: ImageDataset, views: int | str
) -> None:
    recipe = Recipe(epochs=2, batch_size=4, lr=0.01, views=views)
    learned = learn(vlm, shapes, method="vpt", settings={"n_ctx": 3}, shots=3, recipe=recipe)
    assert len(learned.records) == 2
    torch.manual_seed(1)
    assert all(torch.isfinite(p).all() for p in learned.method.parameters())
    again = learn(vlm, shapes, method="vpt", settings={"n_ctx": 3}, shots=3, recipe=recipe)
    for name, value in learned.method.state_dict().items():
        assert torch.equal(again.method.state_dict()[name], value)


def test_the_methods_own_recipe_is_the_default(vlm: VLM, shapes: ImageDataset) -> None:
    learned = learn(vlm, shapes, method="maple", preset="cross-dataset", shots=1)
    assert (learned.recipe.epochs, learned.recipe.lr, learned.recipe.batch_size) == (2, 0.0026, 4)
    assert learned.recipe.views == "fresh"
    assert learned.method.settings["prompt_depth"] == 3
    assert len(learned.method.coupling) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["maple", "promptsrc"])
def test_an_interrupted_job_on_pixels_resumes_to_the_same_bits(
    tmp_path: Path, vlm: VLM, shapes: ImageDataset, key: str
) -> None:
    """From `learn` on: images, shots and random start are made again, the rest comes from the checkpoint."""

    class Stop(Reporter):
        def epoch(self, record: EpochRecord) -> None:
            if record.epoch == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    recipe, path = Recipe(epochs=4, batch_size=4, lr=0.01, views="fresh"), tmp_path / "checkpoint.safetensors"
    settings = {"templates": ["a photo of a {}."], "gpa_mean": 2.0, "gpa_std": 2.0} if key == "promptsrc" else {}
    job = {"method": key, "settings": settings, "shots": 3, "recipe": recipe}
    whole = learn(vlm, shapes, **job)
    with pytest.raises(Interrupted, match="stopped in epoch 3 of 4, after step 1"):
        learn(vlm, shapes, **job, checkpoint_path=path, reporter=Stop())
    resumed = learn(vlm, shapes, **job, checkpoint_path=path, resume=True)
    for name, value in whole.method.state_dict().items():
        assert torch.equal(resumed.method.state_dict()[name], value), name
