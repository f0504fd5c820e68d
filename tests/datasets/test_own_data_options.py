"""How the folders of a user's own data set are read: the keys of a data file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.datasets import load_benchmark
from coopt.errors import DataError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for part, name in enumerate(("train", "test", "old")):
        (tmp_path / "birds" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((5, 7), number * 900 + part, dtype=np.uint16)).save(
                tmp_path / "birds" / name / f"{number}.png"
            )
    (tmp_path / "birds" / "empty").mkdir()
    return tmp_path / "data.yaml"


def test_the_keys_reach_the_reader(file: Path) -> None:
    file.write_text(
        "birds: {path: birds, layout: classes, ignore: ['old', '*/3.png'], allow_empty: true, image_bits: 13}"
    )
    found = load_benchmark("birds", file.parent, extra=str(file))
    assert found.class_names == ["empty", "test", "train"]
    assert found.train is not None and found.test is not None
    assert found.train.image_bits == 13 and len(found.train) + len(found.test) + len(found.val or []) == 6


@pytest.mark.parametrize(("text", "message"), [
    ("ignore: old", "gives ignore as 'old'; a list of texts is needed"),
    ("ignore: [1]", r"gives ignore as \[1\]; a list of texts is needed"),
    ("allow_empty: 1", "gives allow_empty as 1; true or false is needed"),
    ("image_bits: twelve", "gives image_bits as 'twelve'; a whole number is needed"),
    ("layout: 3", "gives layout as 3; a text is needed"),
])  # fmt: skip
def test_values_of_another_kind(file: Path, text: str, message: str) -> None:
    file.write_text(f"birds: {{path: birds, {text}}}")
    with pytest.raises(DataError, match=message):
        load_benchmark("birds", file.parent, extra=str(file))
