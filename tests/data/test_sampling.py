"""Picks, splits and batch orders against the authors' own, and their properties."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coopt.data.sampling import (
    epoch_batches,
    epoch_order,
    sample_few_shot,
    sample_few_shot_train_val,
    split_classes,
    split_train_val,
    split_train_val_test,
)
from coopt.errors import ConfigError

GOLDENS = Path(__file__).parents[1] / "goldens"
CASES = json.loads((GOLDENS / "data.json").read_text())["cases"]
ARRAYS = np.load(GOLDENS / "data.npz")


def cases(prefix: str) -> list[str]:
    return [name for name in CASES if name.startswith(prefix)]


PICKS = cases("odd7") + cases("shuf5")


def test_every_golden_case_is_used() -> None:
    # evaluator_60x6 is about metrics, which coopt.evaluate answers for.
    others = {"split_trainval_odd7_seed1", "read_and_split_seed1", "evaluator_60x6", *cases("order_")}
    assert len(CASES) == 30 and len(PICKS) == 24
    assert set(CASES) == set(PICKS) | others


@pytest.mark.parametrize("name", PICKS)
def test_picks_equal_the_authors(name: str) -> None:
    case = CASES[name]
    labels = {part: np.array(case["item_labels"][part]) for part in ("train", "val", "test")}
    train, val = sample_few_shot_train_val(labels["train"], labels["val"], case["num_shots"], case["seed"])
    picked = {"train": train, "val": val, "test": np.arange(len(labels["test"]))}
    assert sample_few_shot(labels["train"], case["num_shots"], case["seed"]).tolist() == train.tolist()
    for part, indices in picked.items():
        subset = split_classes(labels[part][indices], case["subsample"], class_set=labels["train"][train])
        assert indices[subset.indices].tolist() == ARRAYS[f"{name}/{part}_idx"].tolist()
        assert subset.labels.tolist() == ARRAYS[f"{name}/{part}_label"].tolist()
        assert [f"class_{label:02d}" for label in subset.classes] == case["classnames"]


def test_train_val_split_equals_the_authors() -> None:
    case = CASES["split_trainval_odd7_seed1"]
    train, val = split_train_val(case["item_labels"], case["seed"], case["p_val"])
    assert train.tolist() == ARRAYS["split_trainval_odd7_seed1/train_idx"].tolist()
    assert val.tolist() == ARRAYS["split_trainval_odd7_seed1/val_idx"].tolist()


def test_three_way_split_equals_the_authors() -> None:
    counts = CASES["read_and_split_seed1"]["images_per_class"]
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    first = np.cumsum([0, *counts.values()])  # the goldens count images within their class
    for part, indices in zip(("train", "val", "test"), split_train_val_test(labels, 1), strict=True):
        assert labels[indices].tolist() == ARRAYS[f"read_and_split_seed1/{part}_label"].tolist()
        assert (indices - first[labels[indices]]).tolist() == ARRAYS[f"read_and_split_seed1/{part}_idx"].tolist()


@pytest.mark.parametrize("name", cases("order_"))
def test_batch_order_equals_the_authors(name: str) -> None:
    case = CASES[name]
    for epoch, expected in enumerate(case["batches"]):
        batches = epoch_batches(case["n"], case["batch_size"], case["seed"], epoch)
        assert [batch.tolist() for batch in batches] == expected


label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=83)


@given(label_lists, st.integers(1, 11), st.integers(0, 2**31))
def test_few_shot_picks_are_distinct_and_complete(labels: list[int], n_shots: int, seed: int) -> None:
    picks = sample_few_shot(labels, n_shots, seed)
    assert len(set(picks.tolist())) == len(picks)
    for label in set(labels):
        assert sum(labels[pick] == label for pick in picks) == min(n_shots, labels.count(label))


def test_a_short_class_keeps_its_order_and_draws_nothing() -> None:
    # Class 1 has two of three asked for: taken as they are, and class 2 is drawn as if class 1 were not there.
    labels = [1, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]
    with_short = sample_few_shot(labels, 3, 5)
    assert with_short[:2].tolist() == [0, 6]
    without = sample_few_shot([label for label in labels if label != 1], 3, 5)
    assert np.array(labels)[with_short[2:]].tolist() == [0, 0, 0, 2, 2, 2]
    positions = [index for index, label in enumerate(labels) if label != 1]
    assert [positions[pick] for pick in without] == with_short[2:].tolist()


@pytest.mark.parametrize("n_shots", [0, -3])
def test_shots_below_one_are_refused(n_shots: int) -> None:
    with pytest.raises(ConfigError, match=f"number of shots is {n_shots}"):
        sample_few_shot([0, 1], n_shots, 1)


@given(label_lists)
def test_base_and_new_classes_are_a_partition(labels: list[int]) -> None:
    base, new, whole = (split_classes(labels, part) for part in ("base", "new", "all"))
    assert sorted([*base.indices, *new.indices]) == list(range(len(labels)))
    assert len(base.classes) - len(new.classes) in (0, 1)
    assert [*base.classes, *new.classes] == whole.classes.tolist() == sorted(set(labels))
    for subset in (base, new, whole):
        assert subset.classes[subset.labels].tolist() == [labels[index] for index in subset.indices]


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="'old'; allowed are 'all', 'base' and 'new'"):
        split_classes([0, 1], "old")


@given(
    st.lists(st.integers(2, 23), min_size=1, max_size=7),
    st.integers(0, 99),
    st.sampled_from([(0.5, 0.2, 0.3), (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.99, 0.0, 0.01), (0.01, 0.0, 0.99)]),
)
def test_three_way_split_is_a_stratified_partition(
    sizes: list[int], seed: int, fractions: tuple[float, float, float]
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    parts = split_train_val_test(labels, seed, fractions)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        counts = [int((labels[part] == label).sum()) for part in parts]
        assert counts[0] >= 1 and counts[2] >= 1
        assert all(abs(count - size * fraction) <= 2 for count, fraction in zip(counts, fractions, strict=True))


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.2, 0.2), (1.0, 0.0, 0.0), (0.0, 0.5, 0.5), (-0.5, 0.5, 1.0)])
def test_impossible_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        split_train_val_test([0, 0], 1, fractions)


def test_a_class_too_small_for_validation_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Class 7 has 2 image\(s\): a validation fraction of 0.2"):
        split_train_val([7, 7], 1)


def test_epoch_order_depends_on_its_arguments_alone() -> None:
    order = epoch_order(37, 1, 5)
    assert sorted(order) == list(range(37))
    assert order.tolist() == epoch_order(37, 1, 5).tolist()
    assert order.tolist() != epoch_order(37, 1, 6).tolist()
    assert order.tolist() != epoch_order(37, 2, 5).tolist()
