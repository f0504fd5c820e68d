"""Methods that take pixels, as a user meets them: classifier, command line, run folder, new class names."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coopt.artifacts import load_run
from coopt.cli.main import app
from coopt.estimator import PromptClassifier
from coopt.models import VLM, load_model
from tests.pictures import shapes_folder

METHODS = ("vpt", "ivlp", "maple", "promptsrc")
QUICK = {"promptsrc": {"templates": ["a photo of a {}.", "a drawing of a {}."]}}


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_folder(tmp_path_factory.mktemp("shapes") / "data")


@pytest.mark.parametrize("key", METHODS)
def test_the_classifier_learns_predicts_saves_and_loads(vlm: VLM, data: Path, tmp_path: Path, key: str) -> None:
    train, test = str(data / "train"), str(data / "test")
    classifier = PromptClassifier(model=vlm, method=key, shots=2, epochs=2, settings=QUICK.get(key))
    logits = classifier.fit(train).decision_function(test)
    assert logits.shape == (15, 3)
    classifier.save(tmp_path / "run")
    loaded = PromptClassifier.load(tmp_path / "run", model=vlm)
    assert np.array_equal(loaded.decision_function(test), logits)
    assert not (tmp_path / "run" / "classifier.safetensors").exists()  # plain features would not do
    run = load_run(tmp_path / "run")
    renamed = run.build(vlm, ["ring", "box", "tent", "line"])
    assert len(renamed.class_names) == 4
    assert {n: tuple(p.shape) for n, p in renamed.named_parameters()} == {
        n: tuple(p.shape) for n, p in classifier.method_.named_parameters()
    }


def test_the_command_line_fits_evaluates_and_predicts(data: Path, tmp_path: Path) -> None:
    runner, run = CliRunner(), str(tmp_path / "run")
    fit = ["fit", str(data), "--method", "ivlp", "--shots", "2", "--epochs", "1", "--out", run, "--json"]
    shown = runner.invoke(app, [*fit, "--set", "prompt_depth_vision=2", "--set", "n_ctx_vision=3"])
    assert shown.exit_code == 0, shown.output
    fitted = json.loads(shown.stdout)
    assert fitted["n_parameters"] == 4 * 2 * 192 + 2 * 3 * 192  # 4 text blocks; 2 of 6 image blocks
    shown = runner.invoke(app, ["evaluate", run, str(data), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["accuracy"] == fitted["test"]["accuracy"]
    images = sorted(str(path) for path in (data / "test" / "circle").iterdir())
    shown = runner.invoke(app, ["predict", run, *images, "--json"])
    assert shown.exit_code == 0, shown.output
    assert [item["image"] for item in json.loads(shown.stdout)["predictions"]] == images
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert config["settings"]["n_ctx_vision"] == 3
    assert config["recipe"]["batch_size"] == 4


def test_language_prompts_alone_are_exported_as_a_plain_classifier(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["fit", str(data), "--method", "ivlp", "--preset", "language-only", "--shots", "2", "--epochs", "1"]
    shown = CliRunner().invoke(app, [*command, "--out", str(run)])
    assert shown.exit_code == 0, shown.output
    assert (run / "classifier.safetensors").is_file()
