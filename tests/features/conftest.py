"""The built-in model with a counter, and a folder of shapes."""

from pathlib import Path

import pytest

from coopt.data import ImageDataset, load_dataset
from coopt.models import VLM, load_model
from tests.counted import counting
from tests.pictures import shapes_folder


@pytest.fixture(scope="module")
def loaded() -> VLM:
    return load_model("builtin")


@pytest.fixture
def vlm(loaded: VLM) -> VLM:
    return counting(loaded)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shapes_folder(tmp_path / "shapes", n_train=3)


@pytest.fixture
def shapes(folder: Path) -> ImageDataset:
    train = load_dataset(str(folder)).train
    assert train is not None and len(train) == 9
    return train
