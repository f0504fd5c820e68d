"""Folders of images: classes, splits, names, and what is said when a folder is not as it should be."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import class_paths, picture

from coopt.data import ImageDataset, Splits, load_dataset, split_dataset
from coopt.errors import ConfigError, DataError

Make = Callable[..., Path]


def test_a_folder_per_class_is_split(make_files: Make) -> None:
    root = make_files("data", *class_paths({"tabby_cat": 10, "Border-Collie": 11, "BMW_M3-Coupe": 2}))
    splits = load_dataset(root, seed=3)
    assert splits.class_names == ["BMW M3 Coupe", "Border Collie", "tabby cat"]
    assert splits.train.class_labels == ["BMW_M3-Coupe", "Border-Collie", "tabby_cat"]
    # 50/20/30 per class: of 2 one each to train and test, of 11 round(5.5) = 6 and 2, of 10 5 and 2.
    assert splits.train.class_counts().tolist() == [1, 6, 5]
    assert splits.val.class_counts().tolist() == [0, 2, 2]
    assert splits.test.class_counts().tolist() == [1, 3, 3]
    assert splits.made_by == "coopt: stratified 50/20/30 %, seed 3"
    assert sorted(splits.whole().names) == sorted(
        class_paths({"tabby_cat": 10, "Border-Collie": 11, "BMW_M3-Coupe": 2})
    )
    for part in splits.parts.values():
        for index in range(len(part)):
            assert part.name(index).startswith(part.class_labels[part.labels[index]] + "/")


def test_the_split_is_fixed_by_the_seed(make_files: Make) -> None:
    root = make_files("data", *class_paths({"a": 11, "b": 13}))
    assert load_dataset(root, seed=1).train.names == load_dataset(root, seed=1).train.names
    assert load_dataset(root, seed=1).train.names != load_dataset(root, seed=2).train.names


def test_images_are_the_files(make_files: Make) -> None:
    root = make_files("data", "b/x.png", "b/y.png", "a/deep/er/z.png", "a/w.png")
    whole = load_dataset(root).whole()
    seeds = {"b/x.png": 0, "b/y.png": 1, "a/deep/er/z.png": 2, "a/w.png": 3}
    assert sorted(whole.names) == sorted(seeds)
    for index, name in enumerate(whole.names):
        assert whole.load(index).tobytes() == picture(seeds[name]).tobytes()


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev", "Val"])
def test_split_folders(make_files: Make, val: str) -> None:
    counts = {"a": 3, "b": 2}
    paths = [
        *class_paths(counts, "train/"),
        *class_paths({"a": 1, "b": 1}, f"{val}/"),
        *class_paths({"a": 5, "b": 7}, "test/"),
    ]
    splits = load_dataset(make_files("data", *paths))
    assert [len(splits.train), len(splits.val), len(splits.test)] == [5, 2, 12]
    assert (splits.train.split, splits.val.split, splits.test.split) == ("train", "val", "test")
    assert splits.made_by == "the source"
    assert splits.train.names[0] == "train/a/0.png"


def test_train_and_test_folders_leave_val_open(make_files: Make) -> None:
    splits = load_dataset(
        make_files("data", *class_paths({"a": 3, "b": 2}, "train/"), *class_paths({"a": 1, "b": 1}, "test/"))
    )
    assert splits.val is None and len(splits.train) == 5 and len(splits.test) == 2


def test_train_and_val_folders_test_on_val(make_files: Make) -> None:
    splits = load_dataset(
        make_files("data", *class_paths({"a": 3, "b": 2}, "train/"), *class_paths({"a": 1, "b": 1}, "val/"))
    )
    assert splits.val is None and len(splits.test) == 2
    assert splits.made_by == "the source; its validation part is the test set"


def test_a_train_folder_alone_is_split(make_files: Make) -> None:
    splits = load_dataset(make_files("data", *class_paths({"a": 10, "b": 10}, "train/")))
    assert [len(part) for part in splits.parts.values()] == [10, 4, 6]
    assert splits.made_by.endswith("of the source's train part, which is its only one")


def test_one_part_can_be_read(make_files: Make) -> None:
    root = make_files(
        "data",
        *class_paths({"a": 3, "b": 2}, "train/"),
        *class_paths({"a": 1, "b": 1}, "valid/"),
        *class_paths({"a": 5, "b": 7}, "test/"),
    )
    splits = load_dataset(root, split="test")
    assert list(splits.parts) == ["test"] and len(splits.test) == 12
    assert list(load_dataset(root, split="val").parts) == ["val"]
    with pytest.raises(DataError, match=r"no split 'tests'; it has 'test', 'train', 'valid'. Did you mean 'test'"):
        load_dataset(root, split="tests")


def test_a_class_may_be_called_train(make_files: Make) -> None:
    splits = load_dataset(make_files("data", *class_paths({"bus": 3, "train": 2})))
    assert splits.class_names == ["bus", "train"]


def test_without_a_split_the_images_are_in_no_part(make_files: Make) -> None:
    splits = load_dataset(make_files("data", *class_paths({"a": 3, "b": 1})), make_split=False)
    assert list(splits.parts) == ["all"] and splits.unsplit.labels.tolist() == [0, 0, 0, 1]
    assert splits.train is splits.val is splits.test is None
    assert len(splits.whole()) == 4


@pytest.mark.parametrize("kind", ["list", "map", "file"])
def test_unlabelled_images_keep_the_class_names(make_files: Make, tmp_path: Path, kind: str) -> None:
    """Whoever names classes for images without labels wants to predict them."""
    flat = make_files("flat", "x.png", "y.jpg")
    words = ["red fox", "grey wolf"]
    names: Any = {"fox": "red fox", "wolf": "grey wolf"} if kind == "map" else words
    if kind == "file":
        names = tmp_path / "names.json"
        names.write_text(json.dumps(words))
    found = load_dataset(flat, require_labels=False, class_names=names).unsplit
    assert found.labels is None and found.class_names == words
    assert found.class_labels == (["fox", "wolf"] if kind == "map" else words)
    with pytest.raises(DataError, match="both become the class name 'red fox'"):
        load_dataset(flat, require_labels=False, class_names={"fox": "red fox", "vixen": "red fox"})


def test_unlabelled_images(make_files: Make) -> None:
    root = make_files("data", "x.png", "y.jpg", "deep/z.png")
    flat = make_files("flat", "x.png", "y.png")
    splits = load_dataset(flat, require_labels=False)
    assert splits.unsplit.labels is None and splits.unsplit.names == ["x.png", "y.png"]
    assert splits.summary().startswith("all: 2 images, unlabelled\n")
    assert load_dataset(root, require_labels=False).unsplit.names == ["deep/z.png", "x.png", "y.jpg"]
    assert load_dataset(flat / "x.png", require_labels=False).unsplit.names == ["x.png"]
    with pytest.raises(DataError, match=r"flat has images but no labels. Put the images of each class in a folder"):
        load_dataset(flat)


def test_other_files_are_ignored_and_counted(make_files: Make) -> None:
    root = make_files(
        "data",
        *class_paths({"a": 3, "b": 2}),
        ".DS_Store",
        "a/.hidden.png",
        "loose.png",
        ".git/x.png",
        "__MACOSX/a/0.png",
        contents={"a/notes.txt": "x"},
    )
    splits = load_dataset(root)
    assert len(splits.whole()) == 5
    assert splits.ignored_files == 4  # .DS_Store, a/.hidden.png, .git/x.png, a/notes.txt
    assert splits.notes == (
        f"not read: 1 image beside the class folders of {root}",
        "left out: 1 file that a system or a program made, in or called '__MACOSX'",
        "4 files ignored: hidden or not an image",
    )


def test_one_image_of_each_class_is_learned_and_nothing_is_tested(make_files: Make) -> None:
    splits = load_dataset(make_files("data", "train/a/0.png", "train/b/0.png", "val/0.png", "test/0.png"))
    assert splits.train is not None and len(splits.train) == 2
    assert splits.test is None and splits.made_by.startswith("nobody: no class has 2 images")


@pytest.mark.parametrize(("paths", "message"), [
    (["a/0.png", "a/1.png"], r"has one class only \('a'\); a classifier needs two or more"),
    (["a/0.png", "a/1.png", "b/"], "class folders without images: 'b'. Add images, remove the folders"),
    ([".hidden.png"], r"No images in .*data. 1 file was ignored"),
    ([], "No images in .*data. Give a folder per class"),
    (["train/a/0.png", "train/b/0.png", "c/0.png"], r"read in two ways: 'train' are parts.* the other folders with images \('c'\) are left out; or all .* layout='parts'"),
    (["a_b/0.png", "a-b/0.png"], "labels 'a-b' and 'a_b' both become the class name 'a b'. Rename one, or give"),
    (["__/0.png", "b/0.png"], "label '__' has no words left"),
    (["train/a/0.png", "train/b/0.png", "test/a/0.png", "test/zz/0.png"], "test part of .*data has classes that its train part lacks: 'zz'"),
    (["train/a/0.png", "train/b/0.png", "train/c/", "test/a/0.png"], "train has class folders without images: 'c'"),
    (["train/a/0.png", "test/a/0.png"], "one class only"),
    (["train/a/0.png", "train/b/0.png", "val/a/0.png", "dev/b/0.png"], "more than one val split: 'dev', 'val'"),
    (["train/0.png", "test/a/0.png", "test/b/0.png"], r"no labels in its part\(s\) 'train'"),
])  # fmt: skip
def test_what_is_wrong_is_said(make_files: Make, paths: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(make_files("data", *paths))


def test_parts_without_labels_leave_one_image_of_each_class_to_learn_from(make_files: Make) -> None:
    splits = load_dataset(make_files("data", "train/a/0.png", "train/b/0.png", "val/0.png", "test/0.png"))
    assert splits.train.class_counts().tolist() == [1, 1] and (splits.val, splits.test) == (None, None)
    assert splits.made_by.startswith("nobody: no class has 2 images, one to train and one to test")
    for name in ("val", "test"):
        unused = f"the {name} part is not used, since it has no labels: 1 image that can be predicted"
        assert unused in splits.notes


def test_missing_test_classes_are_noted(make_files: Make) -> None:
    paths = [*class_paths({"a": 1, "b": 1, "c": 1}, "train/"), "test/a/0.png", "test/b/0.png", "test/c/"]
    splits = load_dataset(make_files("data", *paths))
    assert splits.test.class_counts().tolist() == [1, 1, 0]
    assert any(note == "the test part has no images of: 'c'" for note in splits.notes)


@pytest.mark.parametrize(("given", "message"), [
    ("pictures/fruits", r"'.*pictures/fruits' does not exist. Did you mean 'fruit'\?"),
    ("picture/fruit", r"'.*picture/fruit' does not exist. Did you mean 'pictures'\?"),
])  # fmt: skip
def test_a_wrong_path_names_its_siblings(make_files: Make, given: str, message: str) -> None:
    root = make_files("pictures", "fruit/0.png", "vegetables/0.png")
    with pytest.raises(DataError, match=message):
        load_dataset(root.parent / given)


def test_a_hub_name_without_its_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="For a data set of the Hugging Face hub, write 'hf:owner/flowers'"):
        load_dataset("owner/flowers")


@pytest.mark.parametrize(("source", "message"), [
    (17, "A data source cannot be a int; give a path"),
    ("notes.docx", "is not a data source that is read: give a folder, a table"),
])  # fmt: skip
def test_other_sources_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.docx").write_text("x")
    with pytest.raises(DataError, match=message):
        load_dataset(source)


def test_impossible_fractions(make_files: Make) -> None:
    with pytest.raises(ConfigError, match=re.escape("The split fractions are (0.5, 0.5, 0.5)")):
        load_dataset(make_files("data", *class_paths({"a": 2, "b": 2})), fractions=(0.5, 0.5, 0.5))


def test_linked_folders_are_read_and_loops_refused(make_files: Make) -> None:
    root = make_files("data", *class_paths({"a": 2}))
    os.symlink(make_files("elsewhere", "0.png", "1.png"), root / "b")
    assert load_dataset(root).class_names == ["a", "b"]
    os.symlink(root, root / "a" / "up")
    with pytest.raises(DataError, match="a/up' is a link to a folder above itself"):
        load_dataset(root)


class TestClassNames:
    """Words from a map, a list, a file."""

    @pytest.fixture
    def root(self, make_files: Make) -> Path:
        return make_files("data", *class_paths({"n01": 2, "n02": 2}))

    def test_a_map(self, root: Path) -> None:
        words = {"n02": "goldfish", "n01": "great white shark", "n03": "not here"}
        splits = load_dataset(root, class_names=words)
        assert splits.class_names == ["great white shark", "goldfish"]
        assert splits.train.class_labels == ["n01", "n02"]

    def test_a_list(self, root: Path) -> None:
        assert load_dataset(root, class_names=["tench", "gold_fish"]).class_names == ["tench", "gold_fish"]
        with pytest.raises(DataError, match="class_names lists 1 names, but the data has 2 classes: 'n01', 'n02'"):
            load_dataset(root, class_names=["tench"])

    def test_a_file(self, root: Path, tmp_path: Path) -> None:
        file = tmp_path / "words.json"
        file.write_text(json.dumps({"n01": "tench", "n02": "goldfish"}))
        assert load_dataset(root, class_names=file).class_names == ["tench", "goldfish"]
        assert load_dataset(root, class_names=str(file)).class_names == ["tench", "goldfish"]

    @pytest.mark.parametrize(("content", "message"), [
        ('{"n01": "tench", "n2": "goldfish"}', r"no words for 1 of the 2 labels: 'n02'. It names labels that the data lacks: 'n2'. Did you mean 'n02'"),
        ('{"n01": "tench", "n02": " "}', "gives empty words for: 'n02'"),
        ('{"n01": "tench", "n02": "tench"}', "labels 'n01' and 'n02' both become the class name 'tench'"),
        ("{", "words.json' is not readable JSON"),
        ("3", "must hold a JSON map from label to words"),
        ('{"n01": 3}', "must hold a JSON map from label to words"),
    ])  # fmt: skip
    def test_a_wrong_file(self, root: Path, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "words.json").write_text(content)
        with pytest.raises(DataError, match=message):
            load_dataset(root, class_names=tmp_path / "words.json")

    def test_a_missing_file(self, root: Path) -> None:
        with pytest.raises(DataError, match="class names file 'nowhere.json' does not exist"):
            load_dataset(root, class_names="nowhere.json")


class TestImageDataset:
    """The data set itself."""

    def dataset(self) -> ImageDataset:
        labels = np.array([2, 0, 1, 2, 2], dtype=np.int64)
        return ImageDataset(
            [picture(seed) for seed in range(5)], labels, ["a", "b", "c c"], ["A", "B", "C_C"], source="it"
        )

    def test_subset(self) -> None:
        subset = self.dataset().subset([3, 1])
        assert subset.names == ["3", "1"] and subset.labels.tolist() == [2, 0] and len(subset) == 2
        assert subset.load(0).tobytes() == picture(3).tobytes()
        assert subset.class_names == ["a", "b", "c c"]
        assert subset.summary() == "2 images of 3 classes (0 to 1 each)"

    def test_select_classes(self) -> None:
        selected = self.dataset().select_classes([2, 0])
        assert selected.names == ["0", "1", "3", "4"] and selected.labels.tolist() == [0, 1, 0, 0]
        assert selected.class_names == ["c c", "a"] and selected.class_labels == ["C_C", "A"]

    def test_align(self) -> None:
        aligned = self.dataset().align(["C_C", "new", "B", "A"])
        assert aligned.labels.tolist() == [0, 3, 2, 0, 0]
        assert aligned.class_names == ["c c", "new", "b", "a"]
        assert self.dataset().align(["x", "c c", "b", "a"], ["x", "c c", "b", "a"]).labels.tolist() == [1, 3, 2, 1, 1]
        with pytest.raises(DataError, match=r"it has 1 class not among the 2 known ones: 'C_C'.* Known: 'A', 'B'"):
            self.dataset().align(["A", "B"])

    @pytest.mark.parametrize(("settings", "message"), [
        ({"labels": np.array([0, 1], dtype=np.int64)}, "There are 3 images but 2 labels"),
        ({"labels": np.array([0, 1, 2], dtype=np.int64)}, r"Labels run from 0 to 2, but with 2 class names they must lie in 0..1"),
        ({"names": ["x"]}, "3 images but 1 names"),
        ({"class_names": ["a", "a"]}, "Class names must differ from each other; repeated: 'a'"),
        ({"class_labels": ["a"]}, "2 class names but 1 class labels"),
    ])  # fmt: skip
    def test_parts_must_fit(self, settings: dict, message: str) -> None:
        given = {"images": [picture(seed) for seed in range(3)], "labels": None, "class_names": ["a", "b"], **settings}
        with pytest.raises(DataError, match=message):
            ImageDataset(**given)

    def test_unlabelled_cannot_be_split(self) -> None:
        unlabelled = ImageDataset([picture(0)], None, [])
        for action in (
            lambda: split_dataset(unlabelled),
            lambda: unlabelled.select_classes([0]),
            lambda: load_dataset(unlabelled),
        ):
            with pytest.raises(DataError, match="nlabelled|no labels"):
                action()

    def test_a_dataset_is_a_source(self) -> None:
        labels = np.array([0, 0, 1, 1], dtype=np.int64)
        dataset = ImageDataset([picture(seed) for seed in range(4)], labels, ["a", "b"])
        splits = load_dataset(dataset)
        assert [len(part) for part in splits.parts.values()] == [2, 2]
        assert load_dataset(splits) is splits
        assert load_dataset(dataset, make_split=False).unsplit is dataset
        assert isinstance(splits, Splits)
