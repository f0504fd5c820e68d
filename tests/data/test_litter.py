"""What systems, programs and coopt itself leave among images is no data: left out and counted."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from data_helpers import class_paths

from coopt.data import load_dataset
from coopt.data.litter import is_hidden
from coopt.errors import DataError

Make = Callable[..., Path]
LITTER = [
    "@eaDir/0.png", "cat/@eaDir/0.png/thumb.png", "#recycle/old/0.png", "$RECYCLE.BIN/0.png", "$Recycle.Bin/S-1/1.png",
    "System Volume Information/x.png", "cat/__pycache__/m.png", "__MACOSX/cat/0.png", "cat/Thumbs.db", "dog/thumbs.db",
    "dog/desktop.ini", "#snapshot/0.png", "cat/Icon\r", "cat/0.png~", "lost+found/0.png",
]  # fmt: skip
HIDDEN = ["cat/.ipynb_checkpoints/0.png", ".git/x.png", "dog/._0.png", ".DS_Store"]


@pytest.mark.parametrize("kind", ["folder", "zip", "gztar"])
def test_litter_is_left_out_and_counted(make_files: Make, kind: str) -> None:
    root = make_files("data", *class_paths({"cat": 3, "dog": 2}), *LITTER, *HIDDEN)
    splits = load_dataset(root if kind == "folder" else shutil.make_archive(str(root), kind, root), make_split=False)
    assert splits.any.class_labels == ["cat", "dog"] and splits.any.class_counts().tolist() == [3, 2]
    (note,) = [note for note in splits.notes if note.startswith("left out")]
    assert note.startswith(f"left out: {len(LITTER)} files that a system or a program made, in or called '#recycle', ")
    assert splits.ignored_files == len(HIDDEN)


@pytest.mark.parametrize("name", ["lost+found", "System Volume Information", "@eaDir", ".cache", "$RECYCLE.BIN"])
def test_empty_folders_of_a_system_are_no_classes(make_files: Make, name: str) -> None:
    root = make_files("data", *class_paths({"cat": 2, "dog": 2}), f"{name}/")
    assert load_dataset(root).class_names == ["cat", "dog"]
    inner = make_files("inner", *class_paths({"cat": 2, "dog": 2}), f"bird/{name}/0.png")
    with pytest.raises(DataError, match="class folders without images: 'bird'"):
        load_dataset(inner)


@pytest.mark.parametrize(("name", "expected"), [
    (".x", True), ("THUMBS.DB", True), ("x~", True), ("@eadir", True), ("~", False), ("eaDir", False), ("recycle", False),
])  # fmt: skip
def test_names(name: str, expected: bool) -> None:
    assert is_hidden(name) is expected


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize(("patterns", "left", "counts"), [
    (["*_mask.png"], {"cat": 2, "dog": 2}, {"*_mask.png": 2}),
    ("old", {"cat": 3, "dog": 3}, {"old": 1}),
    (["old/", "dog/0*"], {"cat": 3, "dog": 2}, {"old": 1, "dog/0*": 1}),
    (["old/*", "nothing"], {"cat": 3, "dog": 3}, {"old/*": 1, "nothing": 0}),
])  # fmt: skip
def test_patterns_of_the_user(
    make_files: Make, kind: str, patterns: list[str] | str, left: dict[str, int], counts: dict[str, int]
) -> None:
    paths = [*class_paths({"cat": 2, "dog": 2}), "cat/0_mask.png", "dog/1_mask.png", "old/0.png"]
    root = make_files("data", *paths)
    source = root if kind == "folder" else shutil.make_archive(str(root), kind, root)
    given = [patterns] if isinstance(patterns, str) else patterns
    if "old" not in "".join(given):
        patterns = [*given, "old"]
        counts = {**counts, "old": 1}
    splits = load_dataset(source, ignore=patterns, make_split=False)
    assert dict(zip(splits.any.class_labels, splits.any.class_counts().tolist(), strict=True)) == left
    for pattern, n in counts.items():
        text = f"left out: {n} {'file' if n == 1 else 'files'} by the ignore pattern {pattern.rstrip('/')!r}"
        assert text in splits.notes


def test_nothing_left_says_why(make_files: Make) -> None:
    root = make_files("data", *class_paths({"cat": 2}))
    with pytest.raises(DataError, match=r"No images in .*data\. Left out: 2 files by the ignore pattern '\*\.png'\."):
        load_dataset(root, ignore="*.png")


def test_run_folders_are_known_by_what_they_hold(make_files: Make) -> None:
    run = {name: "x" for name in ("adapter_config.json", "adapter_model.safetensors", "README.md")}
    contents = {f"runs/photos/{name}": text for name, text in run.items()}
    contents |= {"dog/my run/adapter_config.json": "x", "dog/my run/adapter_model.safetensors": "x"}
    contents |= {"runs/next.partial/checkpoint.safetensors": "x"}
    root = make_files("data", *class_paths({"cat": 2, "dog": 2}), contents=contents)
    splits = load_dataset(root)
    assert splits.class_names == ["cat", "dog"] and splits.ignored_files == 0
    assert "left out: 'dog/my run', 'runs/next.partial', 'runs/photos', where coopt wrote runs" in splits.notes


def test_pipes_sockets_and_devices_are_not_opened(make_files: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_files("data", *class_paths({"cat": 2, "dog": 2}))
    os.mkfifo(root / "cat" / "pipe.png")
    os.symlink("/dev/zero", root / "dog" / "zero")
    monkeypatch.chdir(root / "dog")  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        splits = load_dataset(root)
    assert len(splits.whole()) == 4
    assert "left out: 3 pipes, sockets or devices ('cat/pipe.png', 'dog/socket.png', 'dog/zero')" in splits.notes


def test_a_pipe_as_a_source(tmp_path: Path) -> None:
    pipe = tmp_path / "p.png"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="is a pipe, a socket or a device and no file"):
        load_dataset(pipe)
    with pytest.raises(DataError, match="is a folder, a pipe or a device and no file"):
        load_dataset([pipe], labels=["a"])


def test_where_a_run_is_about_to_be_written_is_no_class(make_files: Make) -> None:
    paths = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    root = make_files("data", *paths, contents={"runs/deep/.new.lock": "", "runs/.old.lock": ""})
    splits = load_dataset(root)
    assert splits.class_names == ["cat", "dog"] and splits.ignored_files == 0
    (root / "runs/deep/.new.lock").unlink()
    with pytest.raises(DataError, match="class folders without images: 'runs'"):
        load_dataset(root)
