"""One text in two Unicode forms is one text, wherever it stands."""

import json
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_helpers import class_paths, picture, png

from coopt.data import ImageDataset, load_dataset
from coopt.data.unicode import find_file, one_form

Make = Callable[..., Path]
WORDS = ["naïve", "Ångström", "한국", "ガ"]


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("word", WORDS)
def test_one_form(word: str) -> None:
    assert nfd(word) != word and one_form(nfd(word)) == one_form(word) == word
    assert one_form("K") == "K"  # the sign of kelvin is the letter


def test_two_folders_of_one_class(make_files: Make) -> None:
    root = make_files("data", f"{nfd('é')}/0.png", "é/0.png", "é/1.png", "b/0.png", "b/1.png")
    dataset = load_dataset(root, make_split=False).any
    assert dataset.class_labels == ["b", "é"] and dataset.class_counts().tolist() == [2, 3]
    seen = {dataset.load(index).tobytes() for index in range(5)}
    assert seen == {picture(seed).tobytes() for seed in range(5)}  # none is read twice, none is lost


def test_parts_in_different_forms(make_files: Make) -> None:
    root = make_files(
        "data", *class_paths({word: 2 for word in WORDS}, "train/"), *class_paths({nfd(w): 1 for w in WORDS}, "test/")
    )
    splits = load_dataset(root)
    assert splits.train.class_labels == sorted(WORDS) and splits.test.class_counts().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_tables(make_files: Make, ending: str, on_disk: str) -> None:
    folder = unicodedata.normalize(on_disk, "été")
    rows = [(f"{form('été')}/{i}.png", form(word)) for i, form in enumerate((nfd, one_form)) for word in ("é", "ü")]
    text = {
        "csv": "image,label\n" + "".join(f"{path},{label}\n" for path, label in rows),
        "tsv": "image\tlabel\n" + "".join(f"{path}\t{label}\n" for path, label in rows),
        "jsonl": "".join(json.dumps({"image": path, "label": label}) + "\n" for path, label in rows),
    }[ending]
    root = make_files("data", f"{folder}/0.png", f"{folder}/1.png", contents={f"t.{ending}": text})
    for source in (root, root / f"t.{ending}"):
        dataset = load_dataset(source, make_split=False).any
        assert dataset.class_labels == ["é", "ü"] and dataset.labels.tolist() == [0, 1, 0, 1]
        assert dataset.load(3).tobytes() == picture(1).tobytes()


def test_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number, name in enumerate(["é", nfd("é"), "b", "b"]):
            archive.writestr(f"{name}/{number}.png", png(picture(number)))
    dataset = load_dataset(tmp_path / "x.zip", make_split=False).any
    assert dataset.class_labels == ["b", "é"] and dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.names == ["b/2.png", "b/3.png", "é/0.png", "é/1.png"]
    assert [dataset.load(i).tobytes() for i in range(4)] == [picture(seed).tobytes() for seed in (2, 3, 0, 1)]


def test_lists_maps_and_files_of_names(make_files: Make, tmp_path: Path) -> None:
    root = make_files("data", *class_paths({nfd("é"): 2, "ü": 2}))
    words = {"é": "e acute", nfd("ü"): nfd("ü umlaut")}
    (tmp_path / "words.json").write_text(json.dumps(words))
    for given in (words, tmp_path / "words.json"):
        assert load_dataset(root, class_names=given).class_names == ["e acute", "ü umlaut"]
    labels = load_dataset([picture(i) for i in range(4)], labels=["é", nfd("é"), "b", "b"], make_split=False).any
    assert labels.class_labels == ["b", "é"] and labels.labels.tolist() == [1, 1, 0, 0]


def test_a_run_of_one_form_and_data_of_another() -> None:
    dataset = ImageDataset([picture(0), picture(1)], np.array([1, 0], dtype=np.int64), ["a", nfd("é")])
    assert dataset.align(["é", "a"]).labels.tolist() == [0, 1]
    assert dataset.align(["x", "y"], ["é", "a"]).labels.tolist() == [0, 1]


def test_paths_on_disk_are_found_in_any_form(make_files: Make) -> None:
    root = make_files(nfd("dör"), f"{nfd('é')}/ü.png")
    given = root.parent / "dör"
    assert find_file(given, f"é/{nfd('ü')}.png") == root / nfd("é") / "ü.png"
    assert find_file(given, "é/x.png") is None
    assert load_dataset(given, require_labels=False, make_split=False).whole().names == ["é/ü.png"]
