"""Runs that the version before the contract wrote still load, and give the logits that they gave then.

`runs_v1/` holds one small run folder of each method and a few settings, written by commit 1e93eb6;
`runs_v1/make.py` says with which commands.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from coopt import PromptClassifier
from coopt.artifacts import load_run
from coopt.data import load_dataset
from coopt.methods import METHODS
from coopt.models import VLM, load_model
from tests.pictures import shapes_folder

FOLDER = Path(__file__).parent / "runs_v1"
KEPT = json.loads((FOLDER / "logits.json").read_text(encoding="utf-8"))
PIXELS = ("vpt", "ivlp", "maple", "promptsrc")
"""Methods that look at pixels; TPT looks at several views, the others at one feature of each image."""


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = shapes_folder(tmp_path_factory.mktemp("pictures") / "shapes")
    return [str(folder / "test" / name) for name in KEPT["pictures"]]


def assert_same(found: torch.Tensor, expected: list[list[float]]) -> None:
    wanted = torch.tensor(expected)
    assert found.shape == wanted.shape == (4, 3)
    assert torch.allclose(found, wanted, rtol=1e-4, atol=0), (found, wanted)


def test_there_is_a_run_of_each_method_of_that_version() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(KEPT["runs"])
    methods = {load_run(FOLDER / name).config["method"] for name in folders}
    assert len(methods) == 13  # those of the version that wrote the runs
    assert methods <= set(METHODS)


@pytest.mark.parametrize("name", KEPT["runs"])
def test_the_predictions_are_the_same(name: str, paths: list[str]) -> None:
    logits = torch.from_numpy(PromptClassifier.load(FOLDER / name).decision_function(paths))
    assert_same(logits, KEPT["runs"][name]["logits"])
    assert_same(logits, KEPT["runs"][name]["method"])


@pytest.mark.parametrize("name", KEPT["runs"])
def test_the_method_is_built_with_what_it_learned(name: str, vlm: VLM, paths: list[str]) -> None:
    method = load_run(FOLDER / name).build(vlm)
    tensors = load_file(FOLDER / name / "adapter_model.safetensors")
    assert method.state_dict().keys() == tensors.keys()
    assert all(torch.equal(value, tensors[key]) for key, value in method.state_dict().items())
    if name == "tpt":
        return
    images = load_dataset(paths, require_labels=False, make_split=False).whole()
    pixels = torch.stack([vlm.preprocess(images.load(i)) for i in range(len(images))])
    with torch.no_grad():
        assert_same(method(pixels if name in PIXELS else vlm.encode_image(pixels)), KEPT["runs"][name]["method"])
