"""A list of class names goes to the classes in the order in which one counts, or is refused; never by text order."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from data_helpers import class_paths, picture

from coopt.data import load_dataset
from coopt.data.classes import seen_order
from coopt.errors import DataError

Make = Callable[..., Path]
WORDS = "zero one two three four five six seven eight nine ten eleven".split()


@pytest.mark.parametrize(("labels", "expected"), [
    (["10", "9", "1"], ["1", "9", "10"]),
    (["-1", "10", "2", "-10"], ["-10", "-1", "2", "10"]),
    (["010", "9"], ["9", "010"]),
    (["class10", "class9", "class1"], ["class1", "class9", "class10"]),
    (["b", "A", "c2", "C10"], ["A", "b", "c2", "C10"]),
    (["1.5", "1.25", "x"], ["1.5", "1.25", "x"]),
])  # fmt: skip
def test_the_order_in_which_one_counts(labels: list[str], expected: list[str]) -> None:
    assert seen_order(labels) == expected


@pytest.mark.parametrize("kind", ["list", "json", "txt", "no ending"])
@pytest.mark.parametrize("prefix", ["", "class_", "n"])
def test_numbered_folders(make_files: Make, tmp_path: Path, kind: str, prefix: str) -> None:
    root = make_files("data", *class_paths({f"{prefix}{number}": 2 for number in range(12)}))
    file = tmp_path / ("names" if kind == "no ending" else f"names.{kind}")
    file.write_text(json.dumps(WORDS) if kind == "json" else "\ufeff" + "\r\n".join(WORDS) + "\n\n", encoding="utf-8")
    splits = load_dataset(root, class_names=WORDS if kind == "list" else file)
    assert dict(zip(splits.any.class_labels, splits.class_names, strict=True)) == {
        f"{prefix}{number}": word for number, word in enumerate(WORDS)
    }
    assert any(
        note == f"the list of class names was matched in the order in which one counts: '{prefix}0' is 'zero', "
        f"'{prefix}1' is 'one', '{prefix}2' is 'two', ..., '{prefix}11' is 'eleven'"
        for note in splits.notes
    )


def test_numbers_of_a_table_and_of_arrays(make_files: Make) -> None:
    lines = "".join(f"{number}/{i}.png,{number}\n" for number in range(12) for i in range(2))
    root = make_files("data", *class_paths({str(n): 2 for n in range(12)}), contents={"t.csv": f"image,label\n{lines}"})
    pictures = [picture(seed) for seed in range(24)]
    for source, labels in (
        (root / "t.csv", None),
        (pictures, [i % 12 for i in range(24)]),
        (pictures, [str(i % 12) for i in range(24)]),
    ):
        dataset = load_dataset(source, labels=labels, class_names=WORDS, make_split=False).any
        assert all(
            WORDS[int(label)] == word for label, word in zip(dataset.class_labels, dataset.class_names, strict=True)
        )


def test_the_labels_themselves_in_another_order(make_files: Make) -> None:
    root = make_files("data", *class_paths({"big_cat": 2, "dog": 2, "ant": 2}))
    assert load_dataset(root, class_names=["Dog", "big cat", "ant"]).class_names == ["ant", "big cat", "Dog"]
    with pytest.raises(DataError, match=r"in another order than the classes, which are 'ant', 'big_cat', 'dog': the class 'ant' would be called 'dog'") as error:  # fmt: skip
        load_dataset(root, class_names=["dog", "lion", "insect"])
    assert '{"ant": "...", "big_cat": "...", "dog": "dog"}' in str(error.value)


def test_another_number_of_names_says_what_to_do(make_files: Make) -> None:
    root = make_files("data", *class_paths({"0": 2, "1": 2, "10": 2}))
    with pytest.raises(
        DataError, match="lists 12 names, but the data has 3 classes: '0', '1', '10'. Give a map from label to words"
    ):
        load_dataset(root, class_names=WORDS)
