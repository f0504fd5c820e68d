"""What is said where the installed packages are the cause, and not a model's files."""

import sys
import types
from pathlib import Path

import pytest
import torch

from coopt.errors import ModelError
from coopt.models import load_model
from coopt.models.library import import_problem, is_import_problem, library_class


class Broken(types.ModuleType):
    """transformers as it is beside a torchvision for another PyTorch."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as error:
            raise RuntimeError(
                f"Failed to import transformers.models.clip because of the following\n error: {error}"
            ) from error


def test_a_torchvision_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", Broken("transformers"))
    with pytest.raises(ModelError) as told:
        library_class("CLIPModel")
    message = str(told.value)
    assert "operator torchvision::nms does not exist" in message and f"({torch.__version__})" in message
    assert "install the torchvision build that belongs to it" in message
    assert "damaged" not in message and "\n" not in message


def test_a_model_that_cannot_be_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(transformers.CLIPModel, "from_pretrained", fail)
    with pytest.raises(
        ModelError, match="torchvision was built for another PyTorch .* model's files are not the cause"
    ):
        load_model("builtin")


def test_damaged_files_are_still_damaged_files(tmp_path: Path) -> None:
    import shutil

    import coopt.models

    folder = Path(coopt.models.__file__).with_name("builtin")
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="may be damaged or incomplete"):
        load_model(tmp_path / "model")


def test_causes() -> None:
    error = ImportError("cannot import name 'x' from 'tokenizers'")
    assert is_import_problem(error) and not is_import_problem(ValueError("bad header"))
    assert "Install a release that fits torch" in import_problem("transformers", error)
    outer = RuntimeError("failed")
    outer.__cause__ = error
    assert is_import_problem(outer)
    assert "cannot import name 'x'" in import_problem("transformers", outer)
