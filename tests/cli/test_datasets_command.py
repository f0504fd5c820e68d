"""`coopt datasets`: what it prints, as text and as JSON, and its exit codes."""

import json
from pathlib import Path

import pytest

from coopt.cli import main
from coopt.datasets import BENCHMARKS
from tests.pictures import shapes_folder


def run(*arguments: str) -> int:
    try:
        main(["datasets", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def own_set(root: Path, monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    """`digits`, as small as can be."""
    from dataclasses import replace

    def make(folder: Path) -> Path:
        return shapes_folder(folder, 3, 2)

    small = {"n_classes": 3, "n_train": 9, "n_test": 6, "make": make, **facts}
    monkeypatch.setitem(BENCHMARKS, "digits", replace(BENCHMARKS["digits"], **small))


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "dtd").mkdir()
    (tmp_path / "own.yaml").write_text("birds: {path: birds}")
    assert run("list", "--json", "--root", str(tmp_path), "--data-file", str(tmp_path / "own.yaml")) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in printed["datasets"]}
    assert list(rows) == list(BENCHMARKS) and printed["own"][0]["name"] == "birds"
    assert rows["dtd"]["here"] and not rows["eurosat"]["here"] and rows["dtd"]["suite"] == "paper"
    assert rows["icons"]["variants"] == ["emoji", "unicons"] and rows["emoji"]["variant_of"] == "icons"
    assert run("list", "--data-file", str(tmp_path / "own.yaml")) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in BENCHMARKS) and "birds" in text and "1,281,167?" in text
    assert "4,128 " in text and "4,128?" not in text and "?: from memory" in text  # the one is printed by the code


def test_info(capsys: pytest.CaptureFixture) -> None:
    assert run("info", "Oxford_Pets", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["n_images"] == {"train": 2944, "val": 736, "test": 3669} and facts["certainty"] == "printed"
    assert facts["mirror"] == "zhengli97/prompt_learning_dataset: oxford_pets.zip"
    assert run("info", "stanford-cars") == 0
    text = capsys.readouterr().out
    assert "split_zhou_StanfordCars.json" in text and "(dead)" in text and "no commercial use" in text
    assert run("info", "imagenet") == 0
    assert "terms are accepted" in " ".join(capsys.readouterr().out.split())
    assert run("info", "stanfordcar") == 3
    assert "Did you mean 'stanford-cars'" in capsys.readouterr().err


def test_fetch_and_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    own_set(tmp_path, monkeypatch)
    assert run("check", "digits", "--root", str(tmp_path)) == 3
    assert "digits: not as expected\n  problem: the folder" in capsys.readouterr().out
    assert run("fetch", "digits", "--root", str(tmp_path)) == 0
    streams = capsys.readouterr()
    assert "digits: the package scikit-learn (pip)" in streams.out and "licence CC BY 4.0" in streams.err
    assert "digits: complete (3 classes; 9 train, 6 test)" in streams.out
    assert run("check", "digits", "--root", str(tmp_path), "--json") == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert found["ok"] and found["n_images"] == {"train": 9, "test": 6} and found["problems"] == []
    (tmp_path / "digits/test/circle/0.png").unlink()
    assert run("check", "digits", "--root", str(tmp_path), "--json") == 3
    assert json.loads(capsys.readouterr().out)[0]["problems"] == ["5 test images; 6 are expected"]


def test_what_cannot_be_fetched_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    own_set(tmp_path, monkeypatch)
    assert run("fetch", "imagenet", "digits", "--root", str(tmp_path), "--json") == 3
    imagenet, digits = json.loads(capsys.readouterr().out)
    assert not imagenet["ok"] and "image-net.org" in imagenet["error"] and digits["ok"]
    assert run("fetch", "imagenet", "--root", str(tmp_path)) == 3
    assert "imagenet: ImageNet cannot be fetched" in capsys.readouterr().err


def test_the_split_is_written_when_asked_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("banded", "dotted"):
        (tmp_path / "dtd/images" / name).mkdir(parents=True)
        for index in range(10):
            (tmp_path / "dtd/images" / name / f"{index}.jpg").touch()
    split = tmp_path / "dtd/split_zhou_DescribableTextures.json"
    assert run("check", "dtd", "--root", str(tmp_path)) == 3 and not split.exists()
    assert run("check", "dtd", "--root", str(tmp_path), "--write-split") == 3
    assert "was written" in capsys.readouterr().out
    rows = json.loads(split.read_text())
    assert [len(rows[part]) for part in ("train", "val", "test")] == [10, 4, 6]
    assert rows["train"][0][0].startswith("banded/") and rows["train"][0][1:] == [0, "banded"]
