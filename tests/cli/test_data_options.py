"""The options that say how data is read, in every command that is given data."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from coopt.cli import main
from coopt.datasets import load_benchmark
from coopt.errors import DataError
from tests.pictures import CLASSES, shapes_folder

QUICK = ["--shots", "2", "--epochs", "1", "--set", "n_ctx=1", "--json"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose paths start at another folder and lack their ending, with an object for each two pictures."""
    root = shapes_folder(tmp_path_factory.mktemp("shapes"), n_train=8, n_test=0)
    rows = [f"train\\{kind}\\{i};{kind};{kind}{i // 2}" for kind in CLASSES for i in range(8)]
    (root / "tables").mkdir()
    (root / "tables" / "t.csv").write_text("\r\n".join(["picture;label;object", *rows]), encoding="utf-16")
    return root / "tables" / "t.csv"


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    """Exit code, output and messages of a command."""
    capsys.readouterr()
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, *capsys.readouterr()


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    code, out, messages = call(capsys, *arguments)
    assert code == 0, messages
    return json.loads(out)


def options(table: Path) -> list[Any]:
    return ["--image-column", "picture", "--image-root", table.parent.parent, "--image-suffix", ".png"]


def test_a_table_in_every_command(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grouped = [*options(table), "--group-column", "object"]
    fitted = run(capsys, "fit", table, *QUICK, *grouped, "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert "groups kept together" in config["data"]["split"] and fitted["test"]["n_images"] == 6
    found = run(capsys, "evaluate", tmp_path / "run", table, "--split", "all", *grouped, "--json")
    assert found["n_images"] == 24
    predicted = run(capsys, "predict", tmp_path / "run", table, *options(table), "--json")
    assert len(predicted["predictions"]) == 24
    own = {
        "path": "tables/t.csv",
        "image_root": ".",
        "image_suffix": ".png",
        "image_column": "picture",
        "group_column": "object",
    }
    (table.parent.parent / "own.yaml").write_text(yaml.safe_dump({"shapes": own}), encoding="utf-16")
    benchmark = load_benchmark("shapes", tmp_path, extra=table.parent.parent / "own.yaml")
    assert not set(benchmark.train.groups) & set(benchmark.test.groups) and not benchmark.allow_equal_prompts


def test_labels_from_file_names(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = r"(?P<label>[a-z]+)/\d+\.png$"
    for arguments in (["fit", table.parent.parent / "train", *QUICK, "--out", tmp_path / "run"],
                      ["evaluate", tmp_path / "run", table.parent.parent / "train", "--split", "all", "--json"]):  # fmt: skip
        found = run(capsys, *arguments, "--label-pattern", pattern)
    assert found["n_images"] == 24


def test_names_that_are_the_same_to_the_model(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words.json"
    words.write_bytes(b"\xef\xbb\xbf" + json.dumps({"circle": "Disc", "square": "disc", "triangle": "wedge"}).encode())
    source = [table.parent.parent / "train", "--class-names", words, *QUICK]
    for method in ("coop", "zero-shot"):
        shape = ["--method", method, "--shots", "2"]
        code, _, messages = call(capsys, "fit", *source[:3], *shape, "--out", tmp_path / "no")
        assert code == 3 and "'Disc' and 'disc'" in messages
    assert not (tmp_path / "no").exists()
    run(capsys, "fit", *source, "--allow-equal-prompts", "--out", tmp_path / "run")
    names = tmp_path / "names.txt"
    names.write_text("Ring\nring\nstar\n", encoding="utf-16")
    predict = ["predict", tmp_path / "run", table.parent.parent / "train" / "circle", "--class-names", names, "--json"]
    code, _, messages = call(capsys, *predict)
    assert code == 3 and "'Ring' and 'ring'" in messages
    assert len(run(capsys, *predict, "--allow-equal-prompts")["predictions"]) == 8
    assert len(run(capsys, *predict[:3], "--json")["predictions"]) == 8


def test_equal_prompts_of_an_own_data_set(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("mine: {path: here, allow_equal_prompts: 3}")
    with pytest.raises(DataError, match="gives allow_equal_prompts as 3; true or false is needed"):
        load_benchmark("mine", tmp_path, extra=tmp_path / "own.yaml")


def test_the_bench_refuses_equal_prompts_before_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = shapes_folder(tmp_path / "shapes", n_train=2, n_test=2)
    words = {"circle": "Disc", "square": "disc", "triangle": "wedge"}
    (tmp_path / "words.json").write_text(json.dumps(words))
    entry: dict[str, Any] = {"path": str(root), "class_names": "words.json"}
    command = [
        "bench",
        "fewshot",
        "--datasets",
        "mine",
        "--data-file",
        tmp_path / "own.yaml",
        "--methods",
        "linear-probe",
    ]
    command += ["--shots", "1", "--seeds", "1", "--workers", "0", "--out", tmp_path / "bench"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"mine": entry}))
    code, _, messages = call(capsys, *command)
    assert code == 3 and "mine: Classes have the same prompt" in messages and "'Disc' and 'disc'" in messages
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"mine": {**entry, "allow_equal_prompts": True}}))
    assert call(capsys, *command)[0] == 0
