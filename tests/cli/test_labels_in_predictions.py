"""A prediction is the user's own label, with the words of its prompt beside it, in every format."""

import csv
import json
from pathlib import Path

import pytest

from coopt import PromptClassifier
from coopt.tasks.classification import label_text
from tests.cli.test_commands import call, call_json
from tests.pictures import shapes_folder

WORDS = {"0": "round thing", "1": "box", "2": "three corners"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on folders called 0, 1 and 2, with words for them."""
    home = tmp_path_factory.mktemp("numbers")
    shapes_folder(home / "d", 3, 2)
    for part in ("train", "test"):
        for number, kind in enumerate(("circle", "square", "triangle")):
            (home / "d" / part / kind).rename(home / "d" / part / str(number))
    (home / "words.json").write_text(json.dumps(WORDS))
    quick = ["--set", "n_ctx=1", "--epochs", "1", "--shots", "2", "--class-names", str(home / "words.json")]
    assert call("fit", str(home / "d"), "--out", str(home / "run"), *quick) == 0
    return home / "run"


def test_json_csv_table_and_estimator_agree(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = sorted((run.parent / "d" / "test").rglob("*.png"))
    names = [str(file) for file in files]
    answers = PromptClassifier.load(run).predict(files).tolist()
    rows = call_json(capsys, "predict", str(run), *names)["predictions"]
    assert [row["predictions"][0]["label"] for row in rows] == answers
    assert [row["predictions"][0]["words"] for row in rows] == [WORDS[label] for label in answers]
    for suffix in ("csv", "json"):
        assert call("predict", str(run), *names, "--top-k", "2", "--output", str(tmp_path / f"p.{suffix}")) == 0
    table = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert list(table[0]) == ["image", "rank", "label", "words", "score"]
    assert [row["label"] for row in table[::2]] == answers
    assert all(row["words"] == WORDS[row["label"]] for row in table)
    saved = json.loads((tmp_path / "p.json").read_text())
    assert [row["predictions"][0]["label"] for row in saved] == answers
    capsys.readouterr()
    assert call("predict", str(run), *names) == 0
    out = capsys.readouterr().out
    assert f"{answers[0]} ({WORDS[answers[0]]})" in out


def test_evaluate_says_which_class_is_which(run: Path, capsys: pytest.CaptureFixture) -> None:
    found = call_json(capsys, "evaluate", str(run), str(run.parent / "d"))
    assert (found["class_labels"], found["class_names"]) == (list(WORDS), list(WORDS.values()))


def test_new_classes_have_the_labels_of_their_map(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "new.json").write_text(json.dumps({"k1": "ball", "k2": "house", "k3": "tree"}))
    image = str(next((run.parent / "d" / "test").rglob("*.png")))
    found = call_json(capsys, "predict", str(run), image, "--top-k", "3", "--class-names", str(tmp_path / "new.json"))
    assert {(p["label"], p["words"]) for p in found["predictions"][0]["predictions"]} == {
        ("k1", "ball"),
        ("k2", "house"),
        ("k3", "tree"),
    }


@pytest.mark.parametrize(
    ("label", "words", "text"),
    [
        ("0", "zero", "0 (zero)"),
        ("sea_horse", "sea horse", "sea_horse"),
        ("a", "a", "a"),
        ("n02", "tench", "n02 (tench)"),
    ],
)
def test_words_that_say_the_same_are_not_repeated(label: str, words: str, text: str) -> None:
    assert label_text(label, words) == text
