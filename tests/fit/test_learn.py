"""`learn`: shots, features, views and training together, against the plain way written out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coopt.data import DataWarning, ImageDataset, load_dataset, sample_few_shot, sample_few_shot_train_val
from coopt.errors import ConfigError, DataError, RunError
from coopt.features import Inputs, TrainingImages, encode_dataset, encode_views, training_augmentation
from coopt.fit import Recipe, Reporter, fit, learn
from coopt.methods import METHODS, CoOp, Shots
from coopt.models import VLM, load_model
from tests.given import given
from tests.pictures import CLASSES, shapes_folder


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    splits = load_dataset(str(shapes_folder(tmp_path_factory.mktemp("shapes") / "data")))
    assert splits.train is not None
    return splits.train


RECIPE = Recipe(epochs=6, batch_size=5, lr=0.02)


def test_it_is_sample_encode_train(vlm: VLM, shapes: ImageDataset) -> None:
    learned = learn(vlm, shapes, shots=3, seed=2, settings={"n_ctx": 4}, recipe=RECIPE)
    picks = sample_few_shot(shapes.labels, 3, 2)
    assert learned.train.names == [shapes.name(int(i)) for i in picks]
    with torch.no_grad():
        pixels = torch.stack([vlm.preprocess(shapes.load(int(i))) for i in picks])
        features = vlm.encode_image(pixels)
    torch.manual_seed(2)
    plain = CoOp(vlm, list(CLASSES), n_ctx=4)
    fit(plain, given(features[None], torch.as_tensor(shapes.labels[picks]), 2), RECIPE, seed=2)
    assert torch.allclose(learned.method.ctx, plain.ctx, atol=1e-6)


def test_the_callers_random_stream_is_left_alone(vlm: VLM, shapes: ImageDataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learn(vlm, shapes, shots=1, settings={"n_ctx": 2}, recipe=Recipe(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_workers_and_batch_size_do_not_change_features(vlm: VLM, shapes: ImageDataset) -> None:
    one = encode_dataset(vlm, shapes, batch_size=21)
    other = encode_dataset(vlm, shapes, batch_size=4, n_workers=2)
    assert torch.allclose(one.features, other.features, atol=1e-5)
    assert one.indices.tolist() == list(range(21))


def test_fresh_views_are_the_augmentation_of_each_epoch(vlm: VLM, shapes: ImageDataset) -> None:
    """View v of the cached way is what the paper's way sees in epoch v."""
    views = encode_views(vlm, shapes, 3, seed=4)
    assert views.shape == (3, 21, vlm.embed_dim)
    batches = TrainingImages(vlm, shapes, Inputs(), views="fresh", seed=4, min_crop=0.08)
    for epoch in range(3):
        order = np.array([5, 20, 0, 7])
        ((features, index),) = batches.batches(epoch, [order])
        assert torch.allclose(features, views[epoch, order], atol=1e-5)
        assert index.tolist() == order.tolist()
        pixels = training_augmentation(vlm, 4, epoch)(shapes.load(20), 20)
        with torch.no_grad():
            assert torch.allclose(vlm.encode_image(pixels[None])[0], features[1], atol=1e-5)
    assert not torch.allclose(views[0], views[1], atol=1e-2)
    plain = encode_views(vlm, shapes, 0, seed=4)
    assert torch.equal(plain[0], encode_dataset(vlm, shapes).features)


@pytest.mark.parametrize("views", [0, 2, "fresh"])
def test_every_way_of_views_trains(vlm: VLM, shapes: ImageDataset, views: int | str) -> None:
    recipe = Recipe(epochs=4, batch_size=21, lr=0.1, views=views)
    # Under each other's names, so that the model does not know the answers before it learns.
    renamed = replace(shapes, class_names=[*CLASSES[1:], CLASSES[0]])
    learned = learn(vlm, renamed, shots=None, settings={"n_ctx": 4}, recipe=recipe)
    assert len(learned.train) == 21
    assert learned.records[-1].loss < 0.8 * learned.records[0].loss


def test_validation_shots_come_from_the_same_stream(vlm: VLM, shapes: ImageDataset) -> None:
    learned = learn(vlm, shapes, val=shapes, method="linear-probe", shots=5, seed=3)
    assert learned.val is not None
    train_picks, val_picks = sample_few_shot_train_val(shapes.labels, shapes.labels, 5, 3)
    assert learned.train.names == [shapes.name(int(i)) for i in train_picks]
    assert learned.val.names == [shapes.name(int(i)) for i in val_picks]
    assert learned.val.class_counts().tolist() == [4, 4, 4]
    assert learned.method.found == {"C": learned.method.C}  # the run folder says what was found
    assert learned.records == []


def test_a_checkpoint_of_other_images_is_refused(vlm: VLM, shapes: ImageDataset, tmp_path: Path) -> None:
    path, settings = tmp_path / "c.safetensors", {"n_ctx": 2}
    learn(vlm, shapes, shots=2, settings=settings, recipe=Recipe(epochs=1), checkpoint_path=path)
    other = shapes.subset(range(20, -1, -1))
    with pytest.raises(RunError, match="images: .* then, .* now"):
        learn(vlm, other, shots=2, settings=settings, recipe=Recipe(epochs=1), checkpoint_path=path, resume=True)
    with pytest.raises(RunError, match=r"settings \(recipe.lr: 0.002 then, 0.1 now\)"):
        learn(
            vlm, shapes, shots=2, settings=settings, recipe=Recipe(epochs=1, lr=0.1), checkpoint_path=path, resume=True
        )


def test_unreadable_images_are_replaced_and_told(vlm: VLM, tmp_path: Path) -> None:
    folder = shapes_folder(tmp_path / "data", n_train=4)
    (folder / "train" / "square" / "2.png").write_bytes(b"not an image")
    train = load_dataset(str(folder)).train
    assert train is not None
    with pytest.warns(DataWarning, match=r"1 unreadable image left out: .*2\.png"):
        learned = learn(vlm, train, shots=3, seed=1, settings={"n_ctx": 2}, recipe=Recipe(epochs=1))
    assert learned.train.class_counts().tolist() == [3, 3, 3]
    assert [s.name.split("/")[-1] for s in learned.skipped] == ["2.png"]
    with pytest.raises(DataError, match=r"2\.png"):
        learn(vlm, train, shots=3, seed=1, strict=True)
    with pytest.raises(DataError, match=r"1 training image\(s\) cannot be read, the first is .*2\.png"):
        learn(vlm, train, shots=None, strict=True)


def test_a_class_with_too_few_images_is_told(vlm: VLM, shapes: ImageDataset) -> None:
    class Notes(Reporter):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def note(self, message: str) -> None:
            self.seen.append(message)

    notes = Notes()
    learn(vlm, shapes, shots=9, settings={"n_ctx": 2}, recipe=Recipe(epochs=1), reporter=notes)
    assert notes.seen == ["Fewer than 9 images, all of them used: circle (7), square (7), triangle (7)."]


def test_what_cannot_be_learned_from(vlm: VLM, shapes: ImageDataset) -> None:
    unlabelled = ImageDataset(shapes.images, None, ["a", "b"])
    with pytest.raises(DataError, match="needs labelled images"):
        learn(vlm, unlabelled)
    with pytest.raises(ConfigError, match="shots is 0; allowed is a whole number from 1"):
        learn(vlm, shapes, shots=0)
    with pytest.raises(ConfigError, match="seed is -1"):
        learn(vlm, shapes, seed=-1)
    broken = load_model("builtin")
    broken._encode_image = lambda pixels: torch.full((len(pixels), broken.embed_dim), float("nan"))
    with pytest.raises(DataError, match="'builtin' gave image features that are not finite in torch.float32"):
        learn(broken, shapes, shots=1)


@pytest.mark.parametrize("views", [0, 2, 3, 4, "fresh"])
def test_a_method_that_looks_before_the_first_step_trains_on_the_same_features(
    vlm: VLM, shapes: ImageDataset, monkeypatch: pytest.MonkeyPatch, views: int | str
) -> None:
    """What `prepare` was given is not encoded again, what it was not given is; `finish` comes last with the same."""
    seen: list[tuple[str, Shots]] = []

    class Looks(CoOp):
        inputs = Inputs(train_views=3)

        def prepare(self, shots: Shots) -> None:
            seen.append(("prepare", shots))

        def finish(self, shots: Shots) -> None:
            assert not torch.equal(self.ctx, start)
            seen.append(("finish", shots))

    monkeypatch.setitem(METHODS, "looks", Looks)
    recipe = Recipe(epochs=3, batch_size=6, views=views, min_crop=0.7)
    torch.manual_seed(2)
    start = CoOp(vlm, list(CLASSES), n_ctx=2).ctx.detach()
    looked = learn(vlm, shapes, val=shapes, method="looks", shots=3, seed=2, settings={"n_ctx": 2}, recipe=recipe)
    assert [what for what, _ in seen] == ["prepare", "finish"]
    assert seen[0][1] is seen[1][1]
    assert seen[0][1].val is not None and seen[0][1].val.targets is not None
    assert len(seen[0][1].val.targets) == 9
    crops = seen[0][1].train.views
    assert crops is not None
    assert torch.equal(crops, encode_views(vlm, looked.train, 3, 2, min_crop=0.7))
    assert not torch.allclose(crops, encode_views(vlm, looked.train, 3, 2), atol=1e-2)
    plain = learn(vlm, shapes, val=shapes, shots=3, seed=2, settings={"n_ctx": 2}, recipe=recipe)
    assert torch.allclose(looked.method.ctx, plain.method.ctx, atol=1e-6)
