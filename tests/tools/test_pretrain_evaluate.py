"""The tables come from the records alone, and the sets made by formula are what they say."""

import numpy as np
import pytest
import torch

from coopt.models import load_model
from tools.pretrain.evaluate import HAND_WRITTEN, METHODS, TEMPLATES, Encoded, Records, tables
from tools.pretrain.evaluation_sets import TEXTURES, EvaluationSet, dataset, texture
from tools.pretrain.near_duplicates import fingerprint


def test_tables_show_best_worst_mean_spread_number_of_seeds_and_what_is_missing(tmp_path):
    records = Records(tmp_path / "records.jsonl")
    for number, template in enumerate(TEMPLATES):
        row = {"model": "m", "set": "cats", "method": "hand-written", "template": template}
        records.add(row | {"images": 7, "accuracy": 20.0 + number})
    for seed, accuracy in ((1, 40.0), (2, 44.0)):
        row = {"model": "m", "set": "cats", "method": "CoOp M=4", "shots": 2, "seed": seed}
        records.add(row | {"accuracy": accuracy})
    records.add({"model": "other", "set": "cats", "method": "CoOp M=16", "shots": 2, "seed": 1, "accuracy": 99.0})
    text = tables(Records(tmp_path / "records.jsonl"), "m")
    assert f'| cats | 7 | 20.0 | 35.0 ("{TEMPLATES[-1]}") | 20.0 ("{HAND_WRITTEN}") |' in text
    assert "| cats | CoOp M=4 | 42.0 ± 2.8 (2) |" in text
    assert "| cats | CoOp M=16 | missing |" in text and len(METHODS) == 3


def test_a_record_is_found_by_its_key(tmp_path):
    records = Records(tmp_path / "records.jsonl")
    records.add({"model": "m", "set": "cats", "seed": 1, "accuracy": 3.0})
    assert records.find(model="m", set="cats", seed=1) and not records.find(model="m", set="cats", seed=2)


def test_unequal_classes_count_alike_where_a_set_is_balanced():
    """Of class 0 one image of four is right, of class 1 the only one: 40% of the images, 62.5% of the classes' mean."""
    vlm = load_model("builtin")
    chance = np.random.default_rng(3)
    kinds = ["bricks", "bricks", "bricks", "noise", "noise"]
    test = dataset([texture(kind, chance) for kind in kinds], [0, 0, 0, 0, 1], ["a", "b"])
    encoded = Encoded(vlm)
    encoded.features[id(test)] = torch.tensor([[0.0, 1], [0, 1], [0, 1], [1, 0], [0, 1]])
    features = torch.eye(2)
    assert encoded.accuracy(EvaluationSet("plain", test), features) == 40
    assert encoded.accuracy(EvaluationSet("balanced", test, balanced=True), features) == 62.5


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_are_pictures_of_two_colours_that_vary(name):
    chance = np.random.default_rng(7)
    first, second = (np.asarray(texture(name, chance)) for _ in range(2))
    assert first.shape == (96, 96, 3) and not np.array_equal(first, second)
    assert first.std() > 15


def test_stripes_run_as_their_name_says():
    chance = np.random.default_rng(7)
    for name, axis in (("horizontal stripes", 1), ("vertical stripes", 0)):
        grey = np.asarray(texture(name, chance)).mean(2)
        assert grey.mean(axis).std() > 3 * grey.mean(1 - axis).std()


def test_a_moved_and_scaled_shape_keeps_its_fingerprint():
    small, large = np.zeros((2, 64, 64), dtype=np.uint8)
    small[4:16, 6:18] = np.triu(np.full((12, 12), 255))
    large[10:58, 8:56] = np.triu(np.full((48, 48), 255))
    assert float(fingerprint(small) @ fingerprint(large)) > 0.9
    assert float(fingerprint(small) @ fingerprint(large[::-1].copy())) < 0.5
    assert fingerprint(np.zeros((64, 64), dtype=np.uint8)) is None
