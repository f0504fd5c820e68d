"""Pictures of one object stay in one part; labels and groups from file names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coopt.data import DataWarning, few_shot_train_val, join_datasets, load_dataset  # noqa: F401
from coopt.data.sampling import split_groups
from coopt.errors import ConfigError, DataError

Make = Callable[..., Path]


def table(make_files: Make, n_objects: int = 7, n_pictures: int = 3) -> Path:
    """Objects of two classes, each with some pictures; pictures of one object are far apart in the table."""
    rows = [(f"{c}{o}_{p}.png", c, f"{c}{o}") for p in range(n_pictures) for o in range(n_objects) for c in "ab"]
    text = "image,label,plant\n" + "".join(f"{','.join(row)}\n" for row in rows)
    return make_files("data", *[row[0] for row in rows], contents={"t.csv": text}) / "t.csv"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_split_keeps_objects_together(make_files: Make, seed: int) -> None:
    splits = load_dataset(table(make_files), group_column="plant", seed=seed)
    parts = [set(part.groups) for part in splits.parts.values()]
    assert [len(part) for part in parts] == [8, 2, 4] or [len(part) for part in parts] == [6, 4, 4]
    assert sum(map(len, parts)) == 14 and len(set.union(*parts)) == 14
    assert all(part.class_counts().min() >= 3 for part in splits.parts.values())
    for part in splits.parts.values():
        assert [name.split("_")[0] for name in part.names] == part.groups
    assert splits.made_by == f"coopt: stratified 50/20/30 %, seed {seed}, groups kept together" and splits.notes == ()


def test_a_split_by_groups_is_a_function_of_its_seed(make_files: Make) -> None:
    path = table(make_files)
    one, same, other = (load_dataset(path, group_column="plant", seed=seed).train.names for seed in (1, 1, 2))
    assert one == same != other


def test_groups_of_several_classes_and_sizes() -> None:
    rng = np.random.default_rng(5)
    groups = [f"g{number}" for number in rng.integers(0, 23, 211)]
    labels = rng.integers(0, 3, 211)
    parts = split_groups(labels, groups, 1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(211))
    held = [{groups[index] for index in part} for part in parts]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    assert [round(len(part) / 211, 1) for part in parts] == [0.5, 0.2, 0.3]
    assert all(set(labels[part]) == {0, 1, 2} for part in parts)
    train, val, test = split_groups(labels, groups, 1, (0.7, 0.0, 0.3))
    assert len(val) == 0 and len(train) > len(test)


def test_a_class_of_one_object_is_refused(make_files: Make) -> None:
    with pytest.raises(DataError, match=r"some classes have one group only.*'a \(a0\)', 'b \(b0\)'"):
        load_dataset(table(make_files, n_objects=1), group_column="plant")


def test_parts_of_the_source_that_share_objects_are_told(make_files: Make) -> None:
    rows = "0.png,a,train,x\n1.png,b,train,y\n2.png,a,test,x\n3.png,b,test,z\n"
    root = make_files("data", *[f"{i}.png" for i in range(4)], contents={"t.csv": "image,label,split,id\n" + rows})
    splits = load_dataset(root / "t.csv", group_column="id")
    assert splits.notes == ("1 group has images in the train part and in the test part: 'x'",)


def test_groups_follow_subsets_and_joins(make_files: Make) -> None:
    splits = load_dataset(table(make_files), group_column="plant", make_split=False)
    dataset = splits.unsplit
    assert dataset.subset([4, 0]).groups == ["a2", "a0"]
    assert set(dataset.select_classes([1]).groups) == {f"b{o}" for o in range(7)}
    joined = join_datasets({"one": splits, "two": splits}).unsplit
    assert joined.groups[:2] == ["one/a0", "one/b0"] and joined.groups[42] == "two/a0"


def test_a_missing_group_is_refused(make_files: Make) -> None:
    path = table(make_files)
    path.write_text(path.read_text().replace("a1_0.png,a,a1", "a1_0.png,a,"))
    with pytest.raises(DataError, match=r"Row\(s\) 3 .* name no group in column 'plant'"):
        load_dataset(path, group_column="plant")
    with pytest.raises(DataError, match="has no column 'plants'; .* Did you mean 'plant'"):
        load_dataset(path, group_column="plants")


PATTERN = r"(?P<label>[a-z]+)(?P<group>[0-9]+)_"
FILES = [f"{kind}{number}_{picture}.png" for kind in ("cat", "dog") for number in (10, 9, 2) for picture in (0, 1)]


@pytest.mark.parametrize("source", ["folder", "zip", "table", "list"])
def test_labels_and_groups_from_file_names(make_files: Make, tmp_path: Path, source: str) -> None:
    lines = "".join(json.dumps({"image": path}) + "\n" for path in FILES)
    root = make_files("data", *FILES, contents={} if source in ("folder", "zip") else {"t.jsonl": lines})
    where: object = {"folder": root, "table": root / "t.jsonl", "list": [root / path for path in FILES]}.get(source)
    if source == "zip":
        where = shutil.make_archive(str(tmp_path / "z"), "zip", root)
    dataset = load_dataset(where, label_pattern=PATTERN, make_split=False).unsplit
    by_name = {Path(name).name: (dataset.class_labels[label], group) for name, label, group in zip(
        dataset.names, dataset.labels, dataset.groups, strict=True)}  # fmt: skip
    assert by_name == {path: (path[:3], path[3:].split("_")[0]) for path in FILES}


def test_a_pattern_looks_at_folders_and_parts(make_files: Make) -> None:
    files = [f"{part}/{number}-v{number % 2}-x.png" for part in ("train", "test") for number in range(4)]
    splits = load_dataset(make_files("data", *files), label_pattern=r"-v(?P<label>\d)-")
    assert {name: (part.class_labels, part.labels.tolist()) for name, part in splits.parts.items()} == {
        "train": (["0", "1"], [0, 1, 0, 1]),
        "test": (["0", "1"], [0, 1, 0, 1]),
    }


@pytest.mark.parametrize(("pattern", "error", "message"), [
    ("(", ConfigError, r"label_pattern is '\(', which is no regular expression"),
    ("([a-z]+)_", ConfigError, "it needs a group called label, such as"),
    ("(?P<label>bird)", DataError, r"finds no label in 12 of 12 paths of .*: 'cat10_0.png'"),
    ("(?P<label>cat)", DataError, r"finds no label in 6 of 12 paths"),
    ("(?P<label>x*)", DataError, r"finds no label in 12 of 12 paths"),
])  # fmt: skip
def test_patterns_that_do_not_fit(make_files: Make, pattern: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_dataset(make_files("data", *FILES), label_pattern=pattern)


@pytest.mark.parametrize("option", ["image_root", "image_suffix", "group_column", "label_column", "image_column"])
def test_options_of_tables_are_refused_elsewhere(make_files: Make, option: str) -> None:
    root = make_files("data", "a/0.png")
    for source in ([root / "a/0.png"], root / "a/0.png"):
        with pytest.raises(DataError, match=rf"{option} \(--{option.replace('_', '-')}\) goes with a table of images"):
            load_dataset(source, labels=["a"] if isinstance(source, list) else None, **{option: "x"})
