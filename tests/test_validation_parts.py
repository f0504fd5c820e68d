"""Methods that choose nothing on validation images lose none to validation, and everyone tests on the same images."""

from pathlib import Path

import numpy as np
import pytest

from coopt import PromptClassifier, load_dataset
from coopt.cli import main
from coopt.data import Splits
from coopt.methods import METHODS
from tests.pictures import CLASSES, draw


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("flat"), np.random.default_rng(1)
    for kind in CLASSES:
        (folder / kind).mkdir()
        for number in range(10):
            draw(kind, rng).save(folder / kind / f"{number}.png")
    return folder


def sizes(splits: Splits) -> list[int]:
    return [0 if part is None else len(part) for part in (splits.train, splits.val, splits.test)]


def test_a_split_without_validation_has_the_same_test_part(flat: Path) -> None:
    with_val, without = load_dataset(str(flat), seed=4), load_dataset(str(flat), seed=4, validation=False)
    assert sizes(with_val) == [15, 6, 9] and sizes(without) == [21, 0, 9]
    assert with_val.train and with_val.val and with_val.test and without.train and without.test
    assert without.test.names == with_val.test.names
    assert sorted(without.train.names or []) == sorted([*(with_val.train.names or []), *(with_val.val.names or [])])
    assert without.made_by == with_val.made_by + "; the validation images are learned from too"
    assert sizes(load_dataset(load_dataset(str(flat), make_split=False).any, validation=False)) == [21, 0, 9]


def test_parts_of_the_source_stay(flat: Path, tmp_path: Path) -> None:
    lines = ["file_name,label,split"]
    for kind in CLASSES:
        for number in range(10):
            lines.append(f"{flat / kind / f'{number}.png'},{kind},{('train', 'val', 'test')[number % 3]}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    assert sizes(load_dataset(str(tmp_path / "table.csv"), validation=False)) == [12, 9, 9]


@pytest.mark.parametrize(("method", "n_train"), [("coop", 21), ("linear-probe", 15)])
def test_fit_learns_from_all_that_is_not_tested(method: str, n_train: int, flat: Path, tmp_path: Path) -> None:
    assert METHODS[method].uses_validation == (n_train == 15)
    options = ["--epochs", "1", "--set", "n_ctx=1"] if method == "coop" else ["--set", "C=1.0"]
    run = tmp_path / "run"
    for command in (
        ["fit", str(flat), "--method", method, "--shots", "all", "--out", str(run), *options],
        ["evaluate", str(run), str(flat), "--json"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code in (0, None)
    fitted = PromptClassifier.load(run)
    details, _ = fitted._facts
    assert details["data"]["n_train"] == n_train and details["data"]["n_test"] == 9


def test_the_estimator_learns_from_everything(flat: Path) -> None:
    fitted = PromptClassifier("builtin", n_ctx=1, epochs=1, shots="all").fit(str(flat))
    assert fitted.learned_ is not None and len(fitted.learned_.train) == 30
