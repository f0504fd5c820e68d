"""Tables and folders of numbers through the readers and the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from coopt.cli.main import app
from coopt.data import load_dataset
from coopt.errors import ConfigError, DataError


def write_table(folder: Path, labels: list[str], header: str = "image,age", parts: list[str] | None = None) -> Path:
    """A table of pictures whose brightness is their row."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [header + (",split" if parts else "")]
    for row, label in enumerate(labels):
        Image.new("RGB", (16, 16), (5 * row % 256, 90, 40)).save(folder / f"{row}.png")
        lines.append(f'{row}.png,"{label}"' + (f",{parts[row]}" if parts else ""))
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder / "t.csv"


def run(*arguments: str) -> dict:
    shown = CliRunner().invoke(app, [*arguments, "--json"])
    assert shown.exit_code == 0, (shown.output, shown.exception)
    return json.loads(shown.stdout)


def refused(kind: type[Exception], *arguments: str) -> str:
    shown = CliRunner().invoke(app, list(arguments))
    assert isinstance(shown.exception, kind), (shown.output, shown.exception)
    return str(shown.exception)


def test_numbers_that_stand_once_are_split_by_their_neighbours(tmp_path: Path) -> None:
    labels = [str(number) for number in range(10, 97, 2)]  # 44 different ones
    table = write_table(tmp_path, labels)
    classes = load_dataset(table, label_column="age")  # each class gives its image to the training part
    assert classes.train is not None and (len(classes.train), classes.val, classes.test) == (44, None, None)
    assert classes.made_by.startswith("nobody: no class has 2 images")
    splits = load_dataset(table, label_column="age", ordered=True)
    assert splits.made_by == "coopt: stratified by neighbouring numbers 50/20/30 %, seed 1"
    assert splits.train is not None and splits.test is not None and splits.val is not None
    assert len(splits.train) + len(splits.val) + len(splits.test) == 44
    numbers = np.array([int(label) for label in splits.test.class_labels or []])[splits.test.labels]
    # Four groups: 10 to 28, 30 to 48, 50 to 68, and 70 to 96 with the four that are left.
    assert np.bincount(np.digitize(numbers, [30, 50, 70])).tolist() == [3, 3, 3, 4]
    assert any("no training image has" in note for note in splits.notes)
    words = load_dataset(write_table(tmp_path / "w", ["low", "high", "high"]), label_column="age", ordered=True)
    assert sum(len(part) for part in words.parts.values()) == 3


def test_the_commands_learn_numbers(tmp_path: Path) -> None:
    table = str(write_table(tmp_path, [str(row % 7 / 2) for row in range(42)]))
    common = ["--label-column", "age"]
    told = run("fit", table, *common, "--shots", "2", "--epochs", "1", "--out", str(tmp_path / "c"))
    assert any("all 7 labels are numbers" in note and "--task ordinal" in note for note in told["notes"])
    fitted = run(
        "fit", table, *common, "--task", "ordinal", "--method", "ridge", "--shots", "2", "--out", str(tmp_path / "r")
    )
    assert not any("are numbers" in note for note in fitted["notes"])
    evaluated = run("evaluate", str(tmp_path / "r"), table, *common)
    assert evaluated["mae"] == pytest.approx(fitted["test"]["mae"])
    assert {"mae_rank", "rmse", "within", "cumulative_score", "spearman", "kappa", "coverage"} <= set(evaluated)
    (answer,) = run("predict", str(tmp_path / "r"), str(tmp_path / "3.png"))["predictions"]
    assert set(answer) == {"image", "value", "interval", "rank", "score"}
    csv = tmp_path / "p.csv"
    CliRunner().invoke(app, ["predict", str(tmp_path / "r"), str(tmp_path / "3.png"), "--output", str(csv)])
    assert csv.read_text().splitlines()[0] == "image,value,low,high,rank,score"


def test_ranks_and_settings_of_the_task_are_given_on_the_command_line(tmp_path: Path) -> None:
    table = str(write_table(tmp_path, [str(row % 5) for row in range(20)]))
    options = ["--label-column", "age", "--task", "ordinal", "--shots", "2", "--method", "zero-shot"]
    run("fit", table, *options, "--ranks", "0:9", "--set", "task.interval=0.5", "--out", str(tmp_path / "r"))
    config = json.loads((tmp_path / "r" / "adapter_config.json").read_text())
    assert config["task"] == {
        "name": "ordinal", "settings": {"ranks": "0:9", "interval": 0.5, "loss": "cross-entropy"}
    }  # fmt: skip
    assert config["class_labels"] == [str(number) for number in range(10)]
    assert run("evaluate", str(tmp_path / "r"), table, "--label-column", "age")["interval"] == 50.0
    message = refused(DataError, "fit", table, *options, "--ranks", "0:3", "--out", str(tmp_path / "x"))
    assert "the label '4' lies outside the ranks, which go from 0 to 3" in message
    message = refused(ConfigError, "fit", table, *options, "--set", "task.width=3", "--out", str(tmp_path / "x"))
    assert "no setting 'width'; its settings are: ranks, interval, loss" in message
    message = refused(
        ConfigError, "fit", table, "--label-column", "age", "--ranks", "0:3", "--out", str(tmp_path / "x")
    )
    assert "'ranks', which goes with ordered labels (--task ordinal" in message
    message = refused(
        ConfigError, "fit", table, "--label-column", "age", "--method", "ridge", "--out", str(tmp_path / "x")
    )
    assert "'ridge' is for labels in an order, and the task 'classification' has none" in message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("34 years", "'34 years' has 'years' after the number"),
        ("2,5", "'2,5' has a comma"),
        ("old", "'old' is no number"),
    ],
)
def test_a_label_that_is_no_number_is_named_with_its_row_and_column(wrong: str, message: str, tmp_path: Path) -> None:
    labels = [str(row % 4) for row in range(16)]
    labels[6] = wrong
    table = str(write_table(tmp_path, labels))
    said = refused(DataError, "fit", table, "--label-column", "age", "--task", "ordinal", "--out", str(tmp_path / "r"))
    assert message in said
    assert "'6.png'" in said
    assert "(row 7, column 'age')" in said


def test_parts_of_the_source_may_have_numbers_that_train_lacks(tmp_path: Path) -> None:
    labels = ["1", "1", "2", "2", "4", "4", "3", "5"]
    table = str(write_table(tmp_path, labels, parts=["train"] * 6 + ["test"] * 2))
    options = ["--label-column", "age", "--method", "nearest-neighbours", "--shots", "2"]
    assert "classes that its train part lacks" in refused(
        DataError, "fit", table, *options, "--out", str(tmp_path / "x")
    )
    told = run("fit", table, *options, "--task", "ordinal", "--out", str(tmp_path / "r"))
    assert told["notes"][0] == "the test part has labels that no training image has: '3', '5'"
    assert told["test"]["n_images"] == 2
