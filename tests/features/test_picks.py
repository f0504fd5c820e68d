"""Few-shot picks that are checked and encoded from one decoding."""

from pathlib import Path

import numpy as np
import pytest
import torch

from coopt.data import DataWarning, ImageDataset, few_shot_subset, few_shot_train_val
from coopt.features import EncodedPicks, Inputs, encode_dataset
from coopt.models import VLM
from tests.counted import encoded_by, opens
from tests.features.places import with_places


@pytest.mark.parametrize("cache", ["on", "off"])
def test_picks_are_opened_decoded_and_encoded_once(
    vlm: VLM, shapes: ImageDataset, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    if cache == "off":
        monkeypatch.setenv("COOPT_CACHE", "off")
    picks = EncodedPicks(vlm)
    with opens(monkeypatch) as seen:
        sample, n = encoded_by(vlm, lambda: few_shot_subset(shapes, 2, 1, check=picks))
        features = picks.features(shapes, sample.indices)
    assert (seen.files, seen.decoded, n) == (6, 6, 8)  # 6 images in chunks of 4
    assert sample.indices.tolist() == few_shot_subset(shapes, 2, 1).indices.tolist()
    assert torch.equal(features, encode_dataset(vlm, sample.dataset, cache=False).features)


@pytest.mark.parametrize("inputs", [Inputs(), Inputs(kind="tokens", at=2)])
def test_replacements_are_encoded_too(vlm: VLM, shapes: ImageDataset, inputs: Inputs) -> None:
    bad = few_shot_subset(shapes, 2, 1).indices[[0, 3]]
    for index in bad:
        Path(shapes.images[index]).write_bytes(b"no image")
    places = with_places(vlm)
    picks = EncodedPicks(places, inputs)
    with pytest.warns(DataWarning, match="2 unreadable images left out"):
        expected = few_shot_subset(shapes, 2, 1)
    with pytest.warns(DataWarning, match="2 unreadable images left out"):
        sample = few_shot_subset(shapes, 2, 1, check=picks)
    assert sample.indices.tolist() == expected.indices.tolist() and sample.skipped == expected.skipped
    found = picks.features(shapes, sample.indices)
    assert torch.equal(found, encode_dataset(places, sample.dataset, inputs=inputs, cache=False).features)


def test_training_and_validation_images_are_kept_apart(vlm: VLM, shapes: ImageDataset) -> None:
    train, val = shapes.subset([0, 1, 3, 4, 6, 7]), shapes.subset([8, 5, 2])
    train, val = (ImageDataset(part.images, np.sort(part.labels), part.class_names) for part in (train, val))
    picks = EncodedPicks(vlm)
    shown, chosen = few_shot_train_val(train, val, 1, 1, check=picks)
    for dataset, sample in ((train, shown), (val, chosen)):
        features = picks.features(dataset, sample.indices)
        assert torch.equal(features, encode_dataset(vlm, sample.dataset, cache=False).features)
