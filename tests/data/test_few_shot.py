"""The few-shot sample of a data set: picks, replacements of unreadable files, shortages."""

import numpy as np
import pytest
from data_helpers import picture, png

from coopt.data import (
    DataWarning,
    ImageDataset,
    Skipped,
    few_shot_subset,
    few_shot_train_val,
    sample_few_shot,
    sample_few_shot_train_val,
)
from coopt.errors import ConfigError, DataError

COUNTS = (11, 7, 3)
LABELS = np.repeat(np.arange(3), COUNTS).astype(np.int64)
REASON = "the content is not an image of a known format"


def dataset(bad: set[int] = frozenset()) -> ImageDataset:
    images = [b"junk" if index in bad else png(picture(index)) for index in range(len(LABELS))]
    return ImageDataset(images, LABELS, ["ant", "bee", "cat"], names=[f"{index}.png" for index in range(len(LABELS))])


def test_readable_files_give_the_authors_picks() -> None:
    sample = few_shot_subset(dataset(), 3, 5)
    assert sample.indices.tolist() == sample_few_shot(LABELS, 3, 5).tolist()
    assert sample.dataset.labels.tolist() == LABELS[sample.indices].tolist()
    assert sample.dataset.names == [f"{index}.png" for index in sample.indices]
    assert sample.skipped == [] and sample.notes == []


def test_unreadable_files_are_replaced_within_their_class() -> None:
    picks = sample_few_shot(LABELS, 3, 5)
    bad = {int(picks[1]), int(picks[3])}
    with pytest.warns(DataWarning, match="2 unreadable images left out"):
        sample = few_shot_subset(dataset(bad), 3, 5)
    assert np.bincount(LABELS[sample.indices]).tolist() == [3, 3, 3]
    assert len(set(sample.indices.tolist())) == 9 and not bad & set(sample.indices.tolist())
    kept = [place for place in range(9) if place not in (1, 3)]
    assert sample.indices[kept].tolist() == picks[kept].tolist()  # all other picks stay what they were
    assert sample.skipped == [Skipped(f"{picks[place]}.png", REASON) for place in (1, 3)]
    with pytest.warns(DataWarning):
        again = few_shot_subset(dataset(bad), 3, 5, n_workers=2)
    assert again.indices.tolist() == sample.indices.tolist()


def test_replacements_may_be_unreadable_too() -> None:
    readable = {0, 1, 7, 15, 18, 19, 20}
    with pytest.warns(DataWarning) as caught:
        sample = few_shot_subset(dataset(set(range(len(LABELS))) - readable), 2, 1)
    assert (
        {0, 1} <= set(sample.indices.tolist())
        or {0, 7} <= set(sample.indices.tolist())
        or {1, 7} <= set(sample.indices.tolist())
    )
    assert np.bincount(LABELS[sample.indices]).tolist() == [2, 1, 2]
    assert sample.notes[0] == "Fewer than 2 images, all of them used: bee (1)."
    assert [str(warning.message) for warning in caught] == sample.notes
    names = {name for name, _ in sample.skipped}
    assert all(int(name.removesuffix(".png")) not in readable for name in names) and len(names) == len(sample.skipped)


def test_short_classes_are_named() -> None:
    with pytest.warns(DataWarning, match=r"Fewer than 8 images, all of them used: bee \(7\), cat \(3\)\."):
        sample = few_shot_subset(dataset(), 8, 1)
    assert np.bincount(sample.dataset.labels).tolist() == [8, 7, 3]


def test_strict_refuses_unreadable_files() -> None:
    pick = int(sample_few_shot(LABELS, 3, 5)[4])
    with pytest.raises(DataError, match=f"Cannot read 1 picked image, the first is '{pick}.png': {REASON}"):
        few_shot_subset(dataset({pick}), 3, 5, strict=True)


def test_a_class_without_readable_images() -> None:
    with pytest.raises(DataError, match=r"No readable image of: 'cat'. The first unreadable file is '(18|19|20).png'"):
        few_shot_subset(dataset({18, 19, 20}), 3, 5)


def test_train_and_val_share_one_stream() -> None:
    train, val = few_shot_train_val(dataset(), dataset(), 3, 5)
    assert train.indices.tolist() == sample_few_shot(LABELS, 3, 5).tolist()
    assert val.indices.tolist() != train.indices.tolist()
    with pytest.warns(DataWarning) as caught:
        _, val = few_shot_train_val(dataset(), dataset(), 5, 5)
    assert [str(warning.message) for warning in caught] == [
        f"Fewer than {n} images, all of them used: cat (3)." for n in (5, 4)
    ]
    assert np.bincount(val.dataset.labels).tolist() == [4, 4, 3]


def test_what_cannot_be_sampled() -> None:
    with pytest.raises(DataError, match="needs labels; these images are unlabelled"):
        few_shot_subset(ImageDataset([picture(0)], None, []), 1, 1)
    with pytest.raises(ConfigError, match="number of shots is 0"):
        few_shot_subset(dataset(), 0, 1)


def test_strata_stand_in_for_labels() -> None:
    """Real-valued targets or sets of labels: the picks are those of classes, the groups are the caller's."""
    unlabelled = ImageDataset(dataset().images, None, [], names=dataset().names)
    strata = (np.arange(len(LABELS)) % 4).astype(np.int64)
    sample = few_shot_subset(unlabelled, 2, 5, strata=strata)
    assert sample.indices.tolist() == sample_few_shot(strata, 2, 5).tolist()
    assert sample.dataset.labels is None and sample.notes == []
    given = few_shot_subset(dataset(), 2, 5, strata=strata)
    assert given.indices.tolist() == sample.indices.tolist()
    assert given.dataset.labels.tolist() == LABELS[given.indices].tolist()
    with pytest.warns(DataWarning, match=r"Fewer than 6 images, all of them used: stratum 1 \(5\), stratum 2 \(5\)"):
        few_shot_subset(unlabelled, 6, 5, strata=strata)
    train, val = few_shot_train_val(unlabelled, unlabelled, 3, 3, strata=strata, val_strata=LABELS)
    expected = sample_few_shot_train_val(strata, LABELS, 3, 3)
    assert train.indices.tolist() == expected[0].tolist() and val.indices.tolist() == expected[1].tolist()


def test_unreadable_picks_are_replaced_within_their_stratum() -> None:
    strata = (np.arange(len(LABELS)) % 4).astype(np.int64)
    picks = sample_few_shot(strata, 2, 5)
    with pytest.warns(DataWarning, match="1 unreadable image left out"):
        sample = few_shot_subset(dataset({int(picks[2])}), 2, 5, strata=strata)
    assert np.bincount(strata[sample.indices]).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("strata", "message"),
    [
        (
            np.zeros(4, dtype=np.int64),
            "There are 4 strata for 21 images, the smallest is 0; give a whole number from 0",
        ),
        (np.full(21, -1), "There are 21 strata for 21 images, the smallest is -1"),
    ],
)
def test_strata_that_do_not_fit_are_refused(strata: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        few_shot_subset(dataset(), 2, 5, strata=strata)


def test_another_check_is_asked_in_place_of_decoding() -> None:
    picks = sample_few_shot(LABELS, 3, 5)
    asked = []

    def check(data: ImageDataset, indices: np.ndarray) -> dict[int, Skipped]:
        asked.append(indices.tolist())
        return {int(i): Skipped(data.name(int(i)), "no reason") for i in indices if i == picks[1]}

    with pytest.warns(DataWarning, match=rf"1 unreadable image left out: '{picks[1]}\.png' \(no reason\)"):
        sample = few_shot_subset(dataset(set(range(21))), 3, 5, check=check)
    assert asked == [picks.tolist(), [int(sample.indices[1])]]
