"""Folders that are parts of a data set, folders that are classes, and what can be both."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from data_helpers import class_paths

from coopt.data import load_dataset
from coopt.data.parts import is_plain_part, part_of
from coopt.errors import ConfigError, DataError

Make = Callable[..., Path]
CLASSES = {"cat": 3, "dog": 2}


def two_parts(*names: str) -> list[str]:
    return [path for name in names for path in class_paths(CLASSES, f"{name}/")]


@pytest.mark.parametrize(("name", "part"), [
    ("train", "train"), ("Training_Set", "train"), ("seg_train", "train"), ("trainImages", "train"), ("TRAIN2017", "train"),
    ("train_val", "train"), ("trainval", "train"), ("validset", "val"), ("images-val", "val"), ("dev", "val"),
    ("chest.test", "test"), ("Test Data", "test"), ("testing", "test"),
    ("contest", None), ("trainer", None), ("valley", None), ("latest", None), ("train_test", None), ("terrain", None), ("", None),
])  # fmt: skip
def test_the_part_in_a_name(name: str, part: str | None) -> None:
    assert part_of(name) == part


@pytest.mark.parametrize(("name", "plain"), [
    ("Train_Images", True), ("02_test", True), ("validset", True), ("steam_train", False), ("seg_test", False), ("cat", False),
])  # fmt: skip
def test_names_that_say_nothing_but_the_part(name: str, plain: bool) -> None:
    assert is_plain_part(name) is plain


@pytest.mark.parametrize("names", [
    ("seg_train", "seg_test"), ("training_set", "test_set"), ("TrainImages", "TestImages"), ("dataset-train", "dataset-test"),
    ("TRAIN", "Test"), ("train2014", "test2015"), ("01 train", "02 test"), ("xray.train", "xray.test"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_parts_in_any_spelling(make_files: Make, names: tuple[str, str], kind: str) -> None:
    root = make_files("data", *two_parts(*names))
    source = root if kind == "folder" else shutil.make_archive(str(root), "zip", root)
    splits = load_dataset(source)
    assert splits.train.class_labels == ["cat", "dog"] and splits.made_by == "the source"
    assert [len(splits.train), len(splits.test)] == [5, 5]
    assert splits.test.names[0] == f"{names[1]}/cat/0.png"


def test_three_parts_and_one_that_is_packed_twice(make_files: Make) -> None:
    paths = [*class_paths(CLASSES, "seg_train/seg_train/"), *class_paths(CLASSES, "seg_test/images/")]
    splits = load_dataset(make_files("data", *paths, *class_paths(CLASSES, "seg_val/")))
    assert {name: len(part) for name, part in splits.parts.items()} == {"train": 5, "val": 5, "test": 5}
    assert splits.train.class_labels == ["cat", "dog"]


@pytest.mark.parametrize("names", [("train", "test"), ("train_images", "images_val"), ("Training", "validation", "test"), ("train",)])  # fmt: skip
def test_images_right_below_parts_have_no_labels(make_files: Make, names: tuple[str, ...]) -> None:
    root = make_files("data", *class_paths(dict.fromkeys(names, 2)))
    with pytest.raises(DataError, match=r"images right below .* layout='classes'"):
        load_dataset(root)
    if len(names) > 1:
        assert load_dataset(root, layout="classes").class_names == sorted(n.replace("_", " ") for n in names)
    with pytest.raises(DataError, match="has images but no labels"):
        load_dataset(root, layout="parts")
    to_predict = load_dataset(root, require_labels=False, make_split=False).whole()
    assert to_predict.labels is None and len(to_predict) == 2 * len(names)


@pytest.mark.parametrize("paths", [
    class_paths({"train": 2, "plane": 2, "car": 2}),
    class_paths({"steam_train": 2, "electric_train": 2}),
    [*class_paths({"train": 2}), *class_paths({"old": 2, "new": 2}, "plane/")],
    class_paths({"freight_train/1950": 2, "freight_train/1960": 2, "bus/1950": 2, "car/1960": 2}),
    class_paths({"contest": 2, "trainer": 2}),
])  # fmt: skip
def test_classes_that_are_called_like_parts(make_files: Make, paths: list[str]) -> None:
    labels = sorted({path.split("/")[0] for path in paths})
    assert load_dataset(make_files("data", *paths)).any.class_labels == labels


@pytest.mark.parametrize(("paths", "message"), [
    ([*two_parts("train", "test"), "holdout/cat/0.png"], r"'test', 'train' are parts .* 'cat', 'dog', and the other .*\('holdout'\)"),
    ([*two_parts("xray_train", "xray_test"), "more/0.png"], r"'xray_test', 'xray_train' are parts .*\('more'\)"),
    (two_parts("old_train", "new_train"), "'new_train', 'old_train' are parts .* the classes 'cat', 'dog'; or all folders"),
    ([*class_paths({"a": 2, "b": 2}, "steam_train/"), *class_paths({"c": 2, "d": 2}, "crash_test/")], "two ways.*'a', 'b', 'c', 'd'"),
])  # fmt: skip
def test_what_can_be_both_is_refused_and_the_option_decides(make_files: Make, paths: list[str], message: str) -> None:
    root = make_files("data", *paths)
    with pytest.raises(DataError, match=f"{message}.*layout='parts'.*layout='classes'"):
        load_dataset(root)
    tops = sorted({path.split("/")[0] for path in paths})
    assert load_dataset(root, layout="parts", make_split=False, split=tops[-1]).any.class_labels != tops
    assert load_dataset(root, layout="classes", make_split=False).any.class_labels == tops


def test_without_labels_nothing_is_refused_or_left_out(make_files: Make) -> None:
    paths = [*two_parts("train", "test"), "holdout/cat/0.png", "loose.png"]
    found = load_dataset(make_files("data", *paths), require_labels=False, make_split=False).whole()
    assert sorted(found.names) == sorted(paths) and found.labels is None


def test_the_option_leaves_other_folders_out_and_says_so(make_files: Make) -> None:
    root = make_files("data", *two_parts("train", "test"), "extra/0.png", "extra/1.png")
    splits = load_dataset(root, layout="parts")
    assert [len(splits.train), len(splits.test)] == [5, 5]
    assert "not read: 2 images beside the parts, in 'extra'" in splits.notes
    with pytest.raises(DataError, match=r"no folder whose name says that it is a part .* it has 'cat', 'dog'"):
        load_dataset(make_files("plain", *class_paths(CLASSES)), layout="parts")
    with pytest.raises(ConfigError, match="layout is 'part'; allowed are 'auto', 'classes', 'parts'. Did you mean"):
        load_dataset(root, layout="part")


def test_parts_inside_class_folders(make_files: Make) -> None:
    root = make_files(
        "data", *class_paths({"train": 3, "test": 1}, "cat/"), *class_paths({"train": 2, "test": 2}, "dog/")
    )
    splits = load_dataset(root)
    assert splits.train.class_counts().tolist() == [3, 2] and splits.test.class_counts().tolist() == [1, 2]
    assert any("the parts 'test', 'train' were found inside the class folders" in note for note in splits.notes)


@pytest.mark.parametrize("test", ["test/0.png", "test/test/0.png", "test_images/images/0.png", "xray_test/0.png"])
def test_class_folders_beside_unlabelled_test_images(make_files: Make, test: str) -> None:
    train = "xray_train" if test.startswith("xray") else "train"
    root = make_files("data", *class_paths({"cat": 5, "dog": 5}, f"{train}/"), test)
    splits = load_dataset(root)
    assert sum(map(len, splits.parts.values())) == 10
    assert all(name.startswith(f"{train}/") for name in splits.whole().names)
    assert "the test part is not used, since it has no labels: 1 image that can be predicted" in splits.notes
    to_predict = load_dataset(root, require_labels=False, make_split=False).whole()
    assert len(to_predict) == 11 and to_predict.labels is None


@pytest.mark.parametrize("kind", ["folder", "zip", "gztar"])
def test_folders_around_the_data_are_entered(make_files: Make, kind: str) -> None:
    root = make_files("data", *[f"a/my photos/{path}" for path in class_paths(CLASSES)], contents={"a/README.md": "x"})
    source = root if kind == "folder" else shutil.make_archive(str(root), kind, root)
    splits = load_dataset(source, make_split=False)
    assert splits.any.class_labels == ["cat", "dog"] and splits.any.names[0] == "cat/0.png"
    assert f"read from 'a/my photos', the folder that holds all images of {source}" in splits.notes


def test_folders_that_are_not_entered(make_files: Make) -> None:
    assert load_dataset(make_files("parts", *class_paths({"a": 5, "b": 5}, "train/"))).train is not None
    table = make_files(
        "table", *class_paths({"a": 2, "b": 2}, "img/"), contents={"t.csv": "image,label\nimg/a/0.png,x\n"}
    )
    assert load_dataset(table, make_split=False, image_column="image").any.class_labels == ["x"]
    one = make_files("one", "cat/2019/0.png", "cat/2020/0.png")
    assert load_dataset(one, make_split=False, layout="classes").any.class_labels == ["cat"]
    packed = make_files("packed", *class_paths({"train": 2, "test": 2}, "packed/"))
    assert load_dataset(packed, layout="classes").any.class_labels == ["test", "train"]


def test_a_layout_prefers_folders_to_a_table_beside_them(make_files: Make) -> None:
    table = "image,label\ntrain/0.png,x\ntrain/1.png,x\ntest/0.png,y\ntest/1.png,y\n"
    root = make_files("data", *class_paths({"train": 2, "test": 2}), contents={"labels.csv": table})
    assert load_dataset(root).any.class_labels == ["x", "y"]
    assert load_dataset(root, layout="classes").any.class_labels == ["test", "train"]


class TestEmptyFolders:
    """A class folder without images: refused where one learns, unless allowed; told elsewhere."""

    def test_allowed(self, make_files: Make) -> None:
        root = make_files("data", *class_paths({"a": 3, "c": 3}), "b/")
        with pytest.raises(DataError, match=r"without images: 'b'.*allow_empty=True"):
            load_dataset(root)
        splits = load_dataset(root, allow_empty=True)
        assert splits.train.class_labels == ["a", "b", "c"] and splits.train.class_counts().tolist() == [2, 0, 2]
        assert any("without images, as allowed: 'b'" in note for note in splits.notes)

    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_in_archives(self, make_files: Make, kind: str) -> None:
        root = make_files("data", *class_paths({"a": 3, "c": 3}), "b/")
        with pytest.raises(DataError, match="without images: 'b'"):
            load_dataset(shutil.make_archive(str(root), kind, root))

    def test_to_predict_and_in_other_parts(self, make_files: Make) -> None:
        root = make_files("data", *class_paths({"a": 3, "c": 3}), "b/")
        splits = load_dataset(root, require_labels=False, make_split=False)
        assert len(splits.whole()) == 6 and f"class folders of {root} without images: 'b'" in splits.notes
        parts = make_files("parts", *class_paths({"a": 2, "b": 2}, "train/"), "val/a/0.png", "val/b/", "test/b/0.png")
        assert load_dataset(parts).class_names == ["a", "b"]

    def test_a_table_of_a_class_without_rows_is_not_concerned(self, make_files: Make) -> None:
        lines = "".join(f"{name}/{i}.png,{name}\n" for name in ("a", "c") for i in range(2))
        root = make_files("data", *class_paths({"a": 2, "c": 2}), "b/", contents={"t.csv": f"image,label\n{lines}"})
        assert load_dataset(root / "t.csv").class_names == ["a", "c"]
