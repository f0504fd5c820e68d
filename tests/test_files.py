"""Files and folders are complete or absent, whatever happens while they are written."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from coopt.files import atomic_folder, atomic_path, write_json, write_tensors, write_text, write_texts


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == ["file.txt"]


def test_the_target_is_untouched_until_the_write_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with atomic_path(target) as temporary:
        temporary.write_text("half of it")
        assert temporary != target
        assert target.read_text() == "old"
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "new") as temporary:
        (temporary / "a").write_text("a")
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    with atomic_folder(tmp_path / "new") as temporary:
        (temporary / "a").write_text("a")
        assert not (tmp_path / "new").exists()
    assert os.listdir(tmp_path / "new") == ["a"]


def test_numbers_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_an_os_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.safetensors"
    write_tensors(target, {"a": torch.arange(3)})

    def full(*arguments: object, **options: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match=r"No space left on device.*x\.safetensors"):
        write_tensors(target, {"a": torch.zeros(1000)})
    assert torch.equal(load_file(target)["a"], torch.arange(3))
    assert os.listdir(tmp_path) == ["x.safetensors"]


@pytest.mark.parametrize("there", [False, True])
def test_several_texts_are_all_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    folder = tmp_path / "report"
    if there:
        write_texts(folder, {"a.md": "old", "tables/b.csv": "old"})

    def full(target: Path, text: str) -> None:
        if target.name == "c.svg":
            raise OSError(28, "No space left on device")
        write_text(target, text)

    monkeypatch.setattr("coopt.files.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_texts(folder, {"a.md": "new", "tables/b.csv": "new", "figures/c.svg": "new"})
    assert os.listdir(tmp_path) == (["report"] if there else [])
    if there:
        assert sorted(os.listdir(folder)) == ["a.md", "tables"]
        assert ((folder / "a.md").read_text(), (folder / "tables" / "b.csv").read_text()) == ("old", "old")
    write_texts(folder, {"a.md": "new", "tables/b.csv": "newer"})
    assert ((folder / "a.md").read_text(), (folder / "tables" / "b.csv").read_text()) == ("new", "newer")
    assert sorted(os.listdir(folder)) == ["a.md", "tables"]
