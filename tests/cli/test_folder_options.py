"""Options of the commands about folders and images, as a user types them."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.artifacts import load_run
from coopt.cli import main
from tests.pictures import draw

QUICK = ["--set", "n_ctx=1", "--epochs", "1", "--shots", "2"]


def call(*arguments: str) -> int:
    """The exit code of a command, run in this process."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


def call_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    """The JSON that a command prints; it must print nothing else."""
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def make(root: Path, *names: str, n: int = 4) -> Path:
    """`n` drawn shapes in a folder per name."""
    for kind, name in enumerate(names):
        (root / name).mkdir(parents=True)
        rng = np.random.default_rng(kind)
        for number in range(n):
            draw(("circle", "square")[kind % 2], rng).save(root / name / f"{number}.png")
    return root


def test_fit_in_the_folder_itself_can_be_typed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(make(tmp_path / "data", "cat", "dog"))
    first = call_json(capsys, "fit", ".", *QUICK)
    second = call_json(capsys, "fit", ".", *QUICK, "--overwrite")
    assert load_run(second["run"]).class_names == ["cat", "dog"]
    assert f"left out: '{first['run']}', where coopt wrote runs" in second["notes"]
    found = call_json(capsys, "evaluate", first["run"], ".", "--split", "all")
    assert found["n_images"] == 8 and found["notes"][0].startswith("left out: 'runs/")
    assert len(call_json(capsys, "predict", first["run"], ".")["predictions"]) == 8


def test_empty_class_folders_in_every_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, run = make(tmp_path / "data", "cat", "dog"), str(tmp_path / "run")
    (data / "bird").mkdir()
    assert call("fit", str(data), "--out", run, *QUICK) == 3
    assert "without images: 'bird'" in " ".join(capsys.readouterr().err.split())
    notes = call_json(capsys, "fit", str(data), "--out", run, *QUICK, "--allow-empty")["notes"]
    assert f"classes of {data} without images, as allowed: 'bird'" in notes
    assert load_run(run).class_names == ["bird", "cat", "dog"]
    for command in ("evaluate", "predict"):
        found = call_json(capsys, command, run, str(data))
        assert any("without images" in note and "'bird'" in note for note in found["notes"])


def test_layout_and_ignore(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, run = make(tmp_path / "data", "train", "test"), str(tmp_path / "run")
    make(data, "old")
    assert call("fit", str(data), "--out", run, *QUICK, "--ignore", "old") == 3
    assert "say so with --layout classes." in " ".join(capsys.readouterr().err.split())
    options = ["--ignore", "ol*", "--ignore", "*/3.png", "--layout", "classes"]
    notes = call_json(capsys, "fit", str(data), "--out", run, *QUICK, *options)["notes"]
    assert "left out: 4 files by the ignore pattern 'ol*'" in notes
    assert "left out: 2 files by the ignore pattern '*/3.png'" in notes
    found = call_json(capsys, "evaluate", run, str(data), "--split", "all", *options)
    assert found["n_images"] == 6 and load_run(run).class_names == ["test", "train"]
    assert len(call_json(capsys, "predict", run, str(data), *options)["predictions"]) == 6
    assert call("fit", str(data), "--out", run, *QUICK, *options, "--overwrite") == 0
    next_line = f"Next: coopt evaluate {run} {data} --layout classes '--ignore=ol*' '--ignore=*/3.png'"
    assert next_line in capsys.readouterr().out


@pytest.mark.parametrize(("n", "command"), [(4, "evaluate"), (1, "predict")])
def test_the_next_command_reads_the_table_in_the_same_way(
    tmp_path: Path, capsys: pytest.CaptureFixture, n: int, command: str
) -> None:
    """What is printed is typed as it stands; `predict` is offered where nothing was tested, and reads no labels."""
    data, run = make(tmp_path / "data", "cat", "dog"), str(tmp_path / "run")
    rows = [f"{name}/{number},{name}\n" for name in ("cat", "dog") for number in range(n)]
    table = tmp_path / "tables" / "t.csv"
    table.parent.mkdir()
    table.write_text("file,kind\n" + "".join(rows))
    options = ["--label-column", "kind", "--image-column", "file", "--image-root", str(data), "--image-suffix", ".png"]
    assert call("fit", str(table), "--out", run, *QUICK, *options) == 0
    words = capsys.readouterr().out.split("Next: coopt ")[1].split()
    assert words[0] == command and ("--label-column" in words) == (command == "evaluate")
    assert call(*words) == 0


def test_a_run_keeps_the_bits_of_its_grey_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, run = tmp_path / "data", str(tmp_path / "run")
    rng = np.random.default_rng(5)
    for name in ("cat", "dog"):
        (data / name).mkdir(parents=True)
        for number in range(4):
            values = np.asarray(draw("circle" if name == "cat" else "square", rng).convert("L"), dtype=np.uint16) * 16
            Image.fromarray(values).save(data / name / f"{number}.png")
    assert any("use 12 bits" in n for n in call_json(capsys, "fit", str(data), "--out", run, *QUICK)["notes"])
    assert load_run(run).image_bits == 12
    dark = tmp_path / "dark.png"
    Image.fromarray(np.asarray(draw("circle", rng).convert("L"), dtype=np.uint16) * 3).save(dark)
    as_trained = call_json(capsys, "predict", run, str(dark))["predictions"]
    assert call_json(capsys, "predict", run, str(dark), "--image-bits", "12")["predictions"] == as_trained
    assert call_json(capsys, "predict", run, str(dark), "--image-bits", "10")["predictions"] != as_trained
    assert call("predict", run, str(dark), "--image-bits", "20") == 2


def test_a_list_of_names_and_two_unicode_forms(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, run = make(tmp_path / "data", *(str(n) for n in range(11)), n=2), str(tmp_path / "run")
    (tmp_path / "names.txt").write_text("\n".join(f"shape {chr(97 + n)}" for n in range(11)), encoding="utf-8")
    call_json(capsys, "fit", str(data), "--out", run, *QUICK, "--class-names", str(tmp_path / "names.txt"))
    config = load_run(run).config
    named = dict(zip(config["class_labels"], config["class_names"], strict=True))
    assert named == {str(n): f"shape {chr(97 + n)}" for n in range(11)}
    forms = {form: make(tmp_path / form, unicodedata.normalize(form, "été"), "b") for form in ("NFC", "NFD")}
    call_json(capsys, "fit", str(forms["NFD"]), "--out", str(tmp_path / "e"), *QUICK)
    assert load_run(tmp_path / "e").config["class_labels"] == ["b", "été"]
    assert call_json(capsys, "evaluate", str(tmp_path / "e"), str(forms["NFC"]))["n_images"] > 0
