"""`coopt cache info` and `coopt cache clear`, and what a run says of a cache that does not work."""

import json
import os
from pathlib import Path

import pytest

from coopt.cli import main
from coopt.data import load_dataset
from coopt.features import encode_dataset
from coopt.models import load_model
from tests.pictures import shapes_folder


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


def call_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Shapes whose 9 training images are in the cache."""
    folder = shapes_folder(tmp_path / "shapes", n_train=3)
    train = load_dataset(str(folder)).train
    assert train is not None
    encode_dataset(load_model("builtin"), train)
    return folder


def files() -> list[Path]:
    return sorted(Path(os.environ["COOPT_CACHE"]).rglob("*.safetensors"))


def test_info_of_an_empty_cache(capsys: pytest.CaptureFixture) -> None:
    assert call("cache", "info") == 0
    text = capsys.readouterr().out
    assert f"Folder: {os.environ['COOPT_CACHE']}/features\n" in text
    assert "Size: 0.0 kB of at most 10.0 GB" in text and "No features are kept." in text


def test_info(data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOPT_CACHE_GB", "0.25")
    size = files()[0].stat().st_size
    fingerprint = load_model("builtin").fingerprint
    facts = call_json(capsys, "cache", "info")
    assert facts == {
        "folder": f"{os.environ['COOPT_CACHE']}/features",
        "in_use": True,
        "bytes": size,
        "max_bytes": 250_000_000,
        "images": 9,
        "backbones": [{"fingerprint": fingerprint, "model": "builtin", "images": 9, "size": size}],
    }
    assert call("cache", "info") == 0
    text = capsys.readouterr().out
    assert f"Size: {size / 1000:.1f} kB of at most 250.0 MB" in text
    assert "builtin" in text and fingerprint in text
    monkeypatch.setenv("COOPT_CACHE_GB", "0")
    assert call_json(capsys, "cache", "info")["in_use"] is False
    assert call("cache", "info") == 0
    assert "(off" in capsys.readouterr().out
    monkeypatch.setenv("COOPT_CACHE_GB", "much")
    assert call("cache", "info") == 2


def test_clear_asks_and_says_what_it_freed(
    data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = Path(os.environ["COOPT_CACHE"]) / "openai" / "RN50.pt"
    download.parent.mkdir()
    download.write_bytes(b"weights")
    size = files()[0].stat().st_size
    asked = []

    def answer(yes: bool) -> None:
        monkeypatch.setattr("typer.confirm", lambda question: asked.append(question) or yes)

    answer(False)
    assert call("cache", "clear") == 0
    assert "Nothing was removed." in capsys.readouterr().out and len(files()) == 1
    assert call("cache", "clear", "--json") == 2
    assert "add --yes" in json.loads(capsys.readouterr().err)["error"] and len(files()) == 1
    answer(True)
    assert call("cache", "clear") == 0
    assert f"Freed {size / 1000:.1f} kB in " in capsys.readouterr().out
    assert files() == [] and download.read_bytes() == b"weights"
    assert asked == [f"Remove {size / 1000:.1f} kB of features in {os.environ['COOPT_CACHE']}/features?"] * 2
    assert call_json(capsys, "cache", "clear", "--yes")["freed_bytes"] == 0


def test_a_damaged_file_is_a_note_of_the_run(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["fit", str(data), "--shots", "3", "--epochs", "1", "--set", "n_ctx=2", "--out"]
    first = call_json(capsys, *command, str(tmp_path / "first"))
    for file in files():
        file.write_bytes(file.read_bytes()[:-1])
    again = call_json(capsys, *command, str(tmp_path / "again"))
    notes = [note for note in again["notes"] if note.startswith("A file of the feature cache is damaged")]
    assert len(notes) == 2
    assert [note for note in again["notes"] if note not in notes] == first["notes"]
    assert again["test"] == first["test"]
    third = call_json(capsys, *command, str(tmp_path / "third"))
    assert third["notes"] == first["notes"]
