"""`coopt import`: from a checkpoint to a run that the other commands take, and what it says where something is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from coopt.artifacts import load_run
from coopt.cli import main
from coopt.models import load_model
from tests.artifacts.foreign import buffers, save_checkpoint
from tests.pictures import shapes_folder


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shapes_folder(tmp_path / "photos")
    return tmp_path


def names_of(place: Path) -> list[str]:
    return sorted(folder.name for folder in (place / "photos" / "test").iterdir())


def checkpoint(place: Path, **changes: Any) -> Path:
    vlm = load_model("builtin")
    torch.manual_seed(7)
    state = {"ctx": 0.02 * torch.randn(5, vlm.text.width), **buffers(vlm, "X X X X X", names_of(place), 5), **changes}
    return save_checkpoint(place / "model.pth.tar-50", state, half=True)


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_from_a_checkpoint_to_predictions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "builtin", "--set", "position=end", "--json")
    assert command("import", checkpoint(place), "--data", "photos", *options) == 0
    found = as_json(capsys)
    assert (found["method"], found["settings"]["n_ctx"], found["epoch"]) == ("coop", 5, 50)
    assert found["run"] == "runs/imported-coop" and found["data"] == "the test part of photos"
    assert any("token_prefix, token_suffix" in note for note in found["notes"])
    assert command("evaluate", "runs/imported-coop", "photos", "--json") == 0
    assert as_json(capsys)["accuracy"] == found["metrics"]["accuracy"]
    record = json.loads((place / "runs/imported-coop/metrics.jsonl").read_text())
    assert (record["data"], record["accuracy"]) == ("the test part of photos", found["metrics"]["accuracy"])
    card = (place / "runs/imported-coop/README.md").read_text()
    assert "| training | by another project; imported from model.pth.tar-50, epoch 50, sha256 `" in card
    picture = next((place / "photos" / "test").rglob("*.png"))
    assert command("predict", "runs/imported-coop", picture, "--json") == 0
    assert as_json(capsys)["predictions"][0]["predictions"][0]["label"] in names_of(place)
    assert command("words", "runs/imported-coop") == 0


def test_the_ways_to_give_classes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = names_of(place)
    (place / "list.txt").write_text("\n".join(names) + "\n")
    (place / "list.json").write_text(json.dumps(names))
    (place / "map.json").write_text(json.dumps({f"n{i}": name for i, name in enumerate(names)}))
    file = checkpoint(place)
    for number, classes in enumerate(("list.txt", "list.json", "map.json", ",".join(names), " , ".join(names))):
        out = f"runs/{number}"
        options = ("--model", "builtin", "--set", "position=end", "--out", out)
        assert command("import", file, "--classes", classes, *options) == 0
        config = load_run(place / out).config
        assert config["class_names"] == names
        assert config["class_labels"] == (["n0", "n1", "n2"] if classes == "map.json" else names)


@pytest.mark.parametrize(("options", "code", "message"), [
    (("--classes", "a,b", "--model", "builtin", "--set", "position=end"), 3, "There are 2 class names, but .* for 3 classes"),
    (("--classes", "none.txt", "--model", "builtin"), 3, "'none.txt' does not exist"),
    ((), 2, r"\(of coop\) does not say: the classes .*\(--classes\); the model .*\(--model\); .*position.*\(--set position=...\)"),
    (("--classes", "a,b,c", "--model", "builtin", "--set", "position=left"), 3, "3 of 3 class names are not those"),
    (("--data", "photos", "--model", "builtin", "--set", "position=left"), 2, "position is 'left'"),
    (("--data", "photos", "--model", "builtin", "--set", "depth=3"), 2, "'coop' has no setting 'depth'"),
    (("--data", "photos", "--model", "builtin", "--method", "vpt"), 2, "method is 'vpt', but .* the tensors of coop"),
    (("--data", "photos", "--model", "nothing"), 2, "position"),
])  # fmt: skip
def test_what_is_wrong_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, message: str
) -> None:
    assert command("import", checkpoint(place), *options) == code
    import re

    assert re.search(message, " ".join(capsys.readouterr().err.split()))
    assert not (place / "runs").exists()


def test_a_run_that_is_there_stays(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--data", "photos", "--model", "builtin", "--set", "position=end", "--out", "runs/one")
    assert command("import", checkpoint(place), *options) == 0
    assert command("import", checkpoint(place), *options) == 5
    assert "already holds a run" in capsys.readouterr().err
    assert command("import", checkpoint(place), *options, "--method", "prograd", "--overwrite") == 0
    assert load_run(place / "runs/one").config["method"] == "prograd"
