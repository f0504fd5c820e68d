"""WebDataset: tars of images with their labels in files of the same name."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from data_helpers import picture, png

from coopt.data import load_dataset
from coopt.errors import DataError


def tar(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(ending: str, contents: list[str], first: int = 0) -> dict[str, str | bytes]:
    members: dict[str, str | bytes] = {}
    for index, content in enumerate(contents, start=first):
        members[f"{index:04}.png"] = png(picture(index))
        members[f"{index:04}.{ending}"] = content
    return members


@pytest.mark.parametrize(("ending", "contents", "options"), [
    ("cls", ["10", "9", "10\n", "9"], {}),
    ("txt", ["10", "9", "10", "9.0"], {}),
    ("json", [json.dumps({"label": n, "width": 5}) for n in (10, 9, 10.0, "9")], {}),
    ("json", [json.dumps({"Class": n}) for n in (10, 9, 10, 9)], {}),
    ("json", [json.dumps({"kind": n, "label": "x"}) for n in (10, 9, 10, 9)], {"label_column": "kind"}),
    ("json", ["10", "9", "10", "9"], {}),
])  # fmt: skip
def test_a_tar_of_samples(tmp_path: Path, ending: str, contents: list[str], options: dict[str, Any]) -> None:
    path = tar(tmp_path / "data.tar", samples(ending, contents))
    splits = load_dataset(path, make_split=False, **options)
    dataset = splits.unsplit
    assert dataset.class_labels == ["9", "10"] and dataset.labels.tolist() == [1, 0, 1, 0]  # by number
    assert dataset.load(3).tobytes() == picture(3).tobytes() and splits.ignored_files == 0


def test_what_stands_after_the_first_dot_is_no_part_of_the_name(tmp_path: Path) -> None:
    members = {"a/1.left.png": png(picture(1)), "a/1.cls": "x", "b/1.right.png": png(picture(2)), "b/1.cls": "y"}
    dataset = load_dataset(tar(tmp_path / "t.tar", members), make_split=False).unsplit
    assert dict(zip(dataset.names, dataset.labels.tolist(), strict=True)) == {"a/1.left.png": 0, "b/1.right.png": 1}


def test_class_numbers_come_before_captions(tmp_path: Path) -> None:
    members = {**samples("cls", ["0", "1"]), "0000.txt": "a round thing", "0001.txt": "a square thing"}
    assert load_dataset(tar(tmp_path / "t.tar", members), make_split=False).unsplit.class_labels == ["0", "1"]


def test_shards_with_parts_in_their_names(tmp_path: Path) -> None:
    root = tmp_path / "shards"
    root.mkdir()
    tar(root / "train-000000.tar", samples("cls", ["0", "1"]))
    tar(root / "train-000001.tar", samples("cls", ["1", "0"]))
    tar(root / "val-000000.tar", samples("cls", ["1", "0"]))
    splits = load_dataset(root, class_names={"0": "disc", "1": "box"})
    assert splits.train.labels.tolist() == [0, 1, 1, 0] and splits.class_names == ["disc", "box"]
    assert splits.train.names[2] == "train-000001.tar/0000.png" and len(splits.test) == 2


@pytest.mark.parametrize(("members", "message"), [
    ({**samples("cls", ["0", "1"]), "0002.png": png(picture(2))}, r"1 image of 3 in .* have no label in a .cls, .json or .txt file beside them: '0002.png'"),
    (samples("cls", ["0", ""]), "1 image of 2 .* '0001.png'"),
    (samples("json", ['{"label": 0}', '{"label": null}']), "1 image of 2"),
    (samples("json", ['{"label": 0}', '{"label": [1, 2]}']), r"The file '0001.json' in .* has the label \[1, 2\]"),
    (samples("json", ["{", "{"]), "The file '0000.json' in .* is not readable JSON"),
])  # fmt: skip
def test_samples_without_a_label(tmp_path: Path, members: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(tar(tmp_path / "t.tar", members))


def test_unlabelled_samples_can_be_predicted(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", {**samples("cls", ["0", "1"]), "0002.png": png(picture(2))})
    splits = load_dataset(path, require_labels=False, make_split=False)
    assert len(splits.unsplit) == 3 and splits.unsplit.labels is None
    assert splits.notes == ("labels are not used: 1 image has none",)


def test_captions_beside_class_folders_are_no_labels(tmp_path: Path) -> None:
    members = {
        f"{c}/{i}.{e}": png(picture(i)) if e == "png" else "text" for c in "ab" for i in (0, 1) for e in ("png", "txt")
    }
    assert load_dataset(tar(tmp_path / "t.tar", members), make_split=False).unsplit.class_labels == ["a", "b"]
