"""What the feature cache takes for the same: image content, model, transform and way of computing, and nothing less."""

import copy
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coopt.data import Augmentation, ImageDataset, load_dataset
from coopt.features import encode_dataset, training_augmentation
from coopt.features.cache_keys import find_space
from coopt.models import VLM, load_model
from coopt.models.preprocess import Preprocess
from tests.counted import counting, encoded_by


def other_fingerprint(vlm: VLM) -> VLM:
    other = copy.copy(vlm)
    other.fingerprint = "0" * 32
    return other


def other_precision(vlm: VLM) -> VLM:
    other = load_model("builtin", dtype="bfloat16")
    assert other.fingerprint == vlm.fingerprint
    return counting(other)


@pytest.mark.parametrize("change", [other_fingerprint, other_precision])
def test_another_model_is_a_miss(vlm: VLM, shapes: ImageDataset, change: Callable[[VLM], VLM]) -> None:
    other = change(vlm)
    encode_dataset(vlm, shapes)
    result, n = encoded_by(other, lambda: encode_dataset(other, shapes))
    assert n == 12
    assert torch.equal(result.features, encode_dataset(other, shapes, cache=False).features)


@pytest.mark.parametrize(
    "change",
    [
        lambda vlm: replace(vlm.preprocess, mode="squash"),
        lambda vlm: training_augmentation(vlm, 7, 1),
        lambda vlm: training_augmentation(vlm, 6, 2),
        lambda vlm: training_augmentation(vlm, 6, 1, 0.5),
        lambda vlm: replace(training_augmentation(vlm, 6, 1), resample=Image.Resampling.NEAREST),
        lambda vlm: lambda image: vlm.preprocess(image) + 1,
    ],
    ids=["preprocessing", "seed", "epoch", "smallest crop", "resampling", "a transform of one's own"],
)
def test_another_transform_is_a_miss(vlm: VLM, shapes: ImageDataset, change: Callable[[VLM], Any]) -> None:
    encode_dataset(vlm, shapes)
    encode_dataset(vlm, shapes, training_augmentation(vlm, 6, 1))
    transform = change(vlm)
    result, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes, transform))
    assert n == 12
    assert torch.equal(result.features, encode_dataset(vlm, shapes, transform, cache=False).features)


def test_the_index_of_an_augmented_image_counts_and_that_of_a_plain_one_does_not(
    vlm: VLM, shapes: ImageDataset
) -> None:
    augmentation = training_augmentation(vlm, 6, 1)
    encode_dataset(vlm, shapes, augmentation)
    encode_dataset(vlm, shapes)
    turned = shapes.subset(range(8, -1, -1))
    result, n = encoded_by(vlm, lambda: encode_dataset(vlm, turned, augmentation))
    assert n == 8  # all but the one in the middle
    assert torch.equal(result.features, encode_dataset(vlm, turned, augmentation, cache=False).features)
    assert encoded_by(vlm, lambda: encode_dataset(vlm, turned))[1] == 0


def test_how_it_is_computed_counts(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may change last bits, or the decoding, is part of the key: threads, autocast, versions, chunks."""
    digests = [find_space(vlm, vlm.preprocess, 4).digest, find_space(vlm, vlm.preprocess, 8).digest]  # type: ignore[union-attr]
    with torch.autocast("cpu", torch.bfloat16):
        digests.append(find_space(vlm, vlm.preprocess, 4).digest)  # type: ignore[union-attr]
    for place, value in (
        ("torch.get_num_threads", lambda: 3),
        ("torch.__version__", "9"),
        ("PIL.__version__", "99"),
        ("coopt.features.cache_keys.__version__", "9"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, value)
            digests.append(find_space(vlm, vlm.preprocess, 4).digest)  # type: ignore[union-attr]
    assert len(set(digests)) == 7


def test_only_transforms_that_are_known_have_a_place_in_the_cache(vlm: VLM) -> None:
    """A subclass may draw whatever it likes, and a function says nothing about itself."""

    class Mirrored(Augmentation):
        def __call__(self, image: Image.Image, index: int) -> torch.Tensor:
            return super().__call__(image, index).flip(-1)

    class Darkened(Preprocess):
        def __call__(self, image: Image.Image) -> torch.Tensor:
            return 0.5 * super().__call__(image)

    known = training_augmentation(vlm, 6, 1)
    assert find_space(vlm, known, 4) is not None and find_space(vlm, vlm.preprocess, 4) is not None
    assert find_space(vlm, Mirrored(known.size, known.mean, known.std), 4) is None
    assert find_space(vlm, Darkened(**vars(vlm.preprocess)), 4) is None
    assert find_space(vlm, lambda image: vlm.preprocess(image), 4) is None


def test_changed_content_is_a_miss_and_a_new_place_is_not(vlm: VLM, folder: Path, shapes: ImageDataset) -> None:
    encode_dataset(vlm, shapes)
    changed = folder / "train" / "square" / "1.png"
    times = changed.stat()
    content = bytearray(changed.read_bytes())
    Image.open(changed).rotate(90).resize((52, 40)).save(changed)
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))  # the time says nothing
    result, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes))
    assert n == 4
    assert torch.equal(result.features, encode_dataset(vlm, shapes, cache=False).features)
    changed.write_bytes(content)
    moved = load_dataset(str(folder.rename(folder.with_name("moved")))).train
    assert moved is not None
    assert encoded_by(vlm, lambda: encode_dataset(vlm, moved))[1] == 0


def sources(files: list[Path], place: Path) -> Iterator[tuple[str, Any]]:
    yield "paths", files
    yield "bytes", [file.read_bytes() for file in files]
    yield "PIL images", [Image.open(io.BytesIO(file.read_bytes())) for file in files]
    yield "array", np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    yield "tensor", torch.stack([torch.from_numpy(np.array(Image.open(file).convert("RGB"))) for file in files])
    with zipfile.ZipFile(place / "images.zip", "w") as archive:
        for file in files:
            archive.write(file, file.relative_to(place))
    yield "archive", str(place / "images.zip")


def test_every_kind_of_source_is_recognised(vlm: VLM, folder: Path) -> None:
    for name, source in sources(sorted((folder / "train").rglob("*.png"))[:5], folder):
        dataset = load_dataset(source, require_labels=False, make_split=False).whole()
        plain = encode_dataset(vlm, dataset, cache=False).features
        cold = encode_dataset(vlm, dataset).features
        warm, n = encoded_by(vlm, lambda dataset=dataset: encode_dataset(vlm, dataset).features)
        assert n == 0, name
        assert torch.equal(cold, plain) and torch.equal(warm, plain), name


def test_arrays_of_equal_bytes_are_told_apart(vlm: VLM) -> None:
    """Axes and types count: the same bytes may be other pictures."""
    values = np.random.default_rng(3).integers(0, 2, (13, 3, 3), dtype=np.uint8)
    images = [
        values,
        torch.from_numpy(values.copy()),
        values.reshape(39, 3),
        values.astype(bool),
        values.reshape(9, 13),
    ]
    dataset = ImageDataset(images, None, [])
    plain = encode_dataset(vlm, dataset, cache=False).features
    for index in range(5):
        encode_dataset(vlm, dataset.subset([index]))
    assert torch.equal(encode_dataset(vlm, dataset).features, plain)
    assert len(np.unique(plain.numpy(), axis=0)) >= 4


def test_orientation_beside_the_pixels_counts(vlm: VLM) -> None:
    upright = Image.fromarray(np.random.default_rng(3).integers(0, 256, (13, 29, 3), dtype=np.uint8))
    lying = upright.copy()
    lying.getexif()[0x0112] = 6
    encode_dataset(vlm, ImageDataset([upright], None, []))
    dataset = ImageDataset([lying], None, [])
    result, n = encoded_by(vlm, lambda: encode_dataset(vlm, dataset).features)
    assert n == 4 and torch.equal(result, encode_dataset(vlm, dataset, cache=False).features)
