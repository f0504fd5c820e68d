"""Golden cases as torch tensors, and the models that they were made with."""

import functools
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from coopt.models import VLM, load_model
from tests.goldens.gold_recipe import clip_weights, digest, load, tensor

FOLDER = Path(__file__).parent
MODELS = json.loads((FOLDER / "models.json").read_text())["models"]


def golden_cases(topic: str) -> dict[str, tuple[dict, dict[str, np.ndarray]]]:
    """Case name to (meta, arrays)."""
    return load(str(FOLDER), topic)


def golden_tensor(spec: dict) -> torch.Tensor:
    """The input that a recipe describes."""
    return torch.from_numpy(tensor(spec))


@functools.cache
def golden_vlm(name: str) -> VLM:
    """The small random model `name`, through the loader of OpenAI's files."""
    import tempfile

    weights = clip_weights(MODELS[name])
    assert digest(weights) == MODELS[name]["sha256"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.safetensors"
        save_file({key: torch.from_numpy(value) for key, value in weights.items()}, path)
        return load_model(str(path))


def assert_close(actual: torch.Tensor, golden: np.ndarray, tolerance: float) -> None:
    """`max |difference| <= tolerance * max |golden|`, and equal shapes."""
    expected = torch.from_numpy(np.asarray(golden))
    assert actual.shape == expected.shape
    difference = float((actual.detach() - expected).abs().max())
    assert difference <= tolerance * float(expected.abs().max()), f"off by {difference}"
