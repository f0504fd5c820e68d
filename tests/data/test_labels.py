"""One rule for labels: what is one label, what is missing, what a prompt says of a number."""

import json
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coopt.data import load_dataset
from coopt.data.classes import clean_words
from coopt.data.labels import folder_label, is_missing, label_text
from coopt.errors import DataError

Make = Callable[..., Path]
IMAGES = [f"images/{index}.png" for index in range(6)]


@pytest.mark.parametrize(("value", "text"), [
    ("cat", "cat"), (" cat ", "cat"), (3, "3"), (3.0, "3"), ("3.0", "3"), ("3.00", "3"), ("-2.0", "-2"), (-0.0, "0"),
    ("-0.0", "0"), ("0.0", "0"), (0.5, "0.5"), ("0.50", "0.50"), ("1.", "1."), ("007", "007"), ("01.0", "01.0"),
    ("v1.0", "v1.0"), (True, "True"), (np.True_, "True"), (np.float32(2), "2"), (np.int8(-1), "-1"),
    (Decimal("4.0"), "4"), (Decimal("4.5"), "4.5"), (np.str_("x"), "x"), (b"x", "x"), (2**60, str(2**60)),
    (unicodedata.normalize("NFD", "café"), "café"), ("none", "none"), ("Nano", "Nano"),
])  # fmt: skip
def test_one_text_for_each_label(value: Any, text: str) -> None:
    assert label_text(value) == text


@pytest.mark.parametrize("value", [
    None, float("nan"), np.float32("nan"), np.datetime64("NaT"), Decimal("NaN"), type("NAType", (), {})(), type("NaTType", (), {})(), "", "  ", "NaN", "nan",
    "None", "null", "NULL", "NA", "N/A", "<NA>", "NaT", " nan ",
])  # fmt: skip
def test_missing_values(value: Any) -> None:
    assert is_missing(value) and label_text(value) is None


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("inf"), Decimal("Infinity"), object()])
def test_what_is_no_label(value: Any) -> None:
    with pytest.raises(TypeError):
        label_text(value)


def test_a_folder_is_never_missing() -> None:
    assert [folder_label(name) for name in ("None", "nan", "NA", "1.0")] == ["None", "nan", "NA", "1"]


@pytest.mark.parametrize(("label", "words"), [
    ("-1", "-1"), ("-0.5", "-0.5"), ("-.5", "-.5"), ("1-2", "1 2"), ("t-shirt", "t shirt"), ("temp_-5", "temp -5"),
    ("0--5", "0 -5"), ("-5_to_-1", "-5 to -1"), ("--x", "x"), ("x-1", "x 1"), ("é-1", "é 1"), ("(-3)", "(-3)"),
    ("_-_2", "2"), ("red\x1b[31m\nfox", "red [31m fox"),
])  # fmt: skip
def test_a_sign_is_no_joiner(label: str, words: str) -> None:
    assert clean_words(label) == words


def write(root: Path, kind: str, labels: list[Any]) -> Path:
    """A table of the kind with these labels."""
    path = root / f"t.{kind}"
    if kind in ("csv", "tsv"):
        sign = "\t" if kind == "tsv" else ","
        texts = ["" if label is None or label != label else str(label) for label in labels]
        rows = [f"{image}{sign}{text}\n" for image, text in zip(IMAGES, texts, strict=True)]
        path.write_text("".join([f"image{sign}label\n", *rows]))
    elif kind == "jsonl":
        records = [{"image": i, "label": label} for i, label in zip(IMAGES, labels, strict=True)]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif kind == "json":
        path.write_text(json.dumps({"image": IMAGES, "label": labels}))
    else:
        pq.write_table(pa.table({"image": IMAGES, "label": pa.array(labels)}), path)
    return path


KINDS = ["csv", "tsv", "json", "jsonl", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_a_column_with_gaps_are_the_same_labels(make_files: Make, kind: str) -> None:
    root = make_files("data", *IMAGES)
    dataset = load_dataset(write(root, kind, [10.0, -1.0, 0.0, 10.0, -1.0, 0.0]), make_split=False).unsplit
    assert dataset.class_labels == ["-1", "0", "10"] == dataset.class_names
    assert dataset.labels.tolist() == [2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [float("nan"), None])
def test_missing_labels_are_counted_in_every_source(make_files: Make, kind: str, missing: Any) -> None:
    path = write(make_files("data", *IMAGES), kind, [0.0, missing, 1.0, missing, 1.0, 0.0])
    with pytest.raises(DataError, match=r"Row\(s\) 2, 4 .* have no label in column 'label' \(2 of 6 rows\)"):
        load_dataset(path)
    splits = load_dataset(path, require_labels=False)
    assert splits.unsplit.labels is None and splits.notes == ("labels are not used: 2 rows have none",)


@pytest.mark.parametrize("text", ["NaN", "null", "None", "<NA>", "N/A"])
def test_texts_that_stand_for_missing_values(make_files: Make, text: str) -> None:
    labels = ["a", "b", text, "a", "b", "a"]
    with pytest.raises(DataError, match=r"Row\(s\) 3 .* have no label"):
        load_dataset(write(make_files("data", *IMAGES), "jsonl", labels))
    with pytest.raises(DataError, match=r"1 label is missing of 6; the first is number 2 \(counted from 0\)"):
        load_dataset([np.zeros((5, 7), dtype=np.uint8)] * 6, labels=labels)


def test_labels_agree_across_sources(make_files: Make) -> None:
    root = make_files("data", *IMAGES, *[f"folders/{label}/x.png" for label in ("0.0", "1.0", "2")])
    run = load_dataset(write(root, "jsonl", [0, 1, 2, 0, 1, 2]), make_split=False).unsplit
    folders = load_dataset(root / "folders", make_split=False).unsplit
    assert folders.align(run.class_labels, run.class_names).labels.tolist() == [0, 1, 2]
    # A run of another version may have kept the other spelling.
    assert run.align(["0.0", "1.0", "2.0"], ["zero", "one", "two"]).labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_folders_that_are_one_label(make_files: Make) -> None:
    root = make_files("data", "0/a.png", "0.0/b.png", "1/c.png")
    splits = load_dataset(root, make_split=False)
    assert splits.any.class_labels == ["0", "1"] and splits.any.class_counts().tolist() == [2, 1]
    assert "'0', '0.0' are one class, '0'" in splits.notes


def test_a_map_of_names_follows_the_same_rule(make_files: Make) -> None:
    table = write(make_files("data", *IMAGES), "csv", [0, 1, 0, 1, 0, 1])
    for words in ({0: "disc", 1: "box"}, {"0.0": "disc", "1.0": "box"}, {0.0: "disc", True: "x", "1": "box"}):
        assert load_dataset(table, class_names=words).class_names == ["disc", "box"]
    with pytest.raises(DataError, match="gives the label '0' both 'disc' and 'ring'"):
        load_dataset(table, class_names={"0": "disc", "0.0": "ring", "1": "box"})
    with pytest.raises(DataError, match="gives 7 for the label '1'; words are a text"):
        load_dataset(table, class_names={"0": "disc", "1": 7})
