"""Settings that a method does not use are refused by name: in commands, the estimator and the benchmark alike."""

import json
from pathlib import Path

import pytest

from coopt import PromptClassifier
from coopt.bench.variants import read_variants
from coopt.cli.settings import read_settings, read_shots
from coopt.errors import ConfigError
from coopt.fit import Recipe, learn, recipe_for, used_settings
from coopt.methods import METHODS
from coopt.models import load_model
from tests.cli.test_commands import call, call_json, refused
from tests.pictures import shapes_folder

WITHOUT_STEPS = {
    "zero-shot": [], "tpt": [], "linear-probe": [], "tip-adapter": ["min_crop"],
    "ridge": [], "ordinal-logistic": [], "nearest-neighbours": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_folder(tmp_path_factory.mktemp("data") / "shapes", 3, 2)


def test_which_methods_use_the_recipe() -> None:
    for method in METHODS:
        assert used_settings(method) == WITHOUT_STEPS.get(method, list(vars(Recipe())))


@pytest.mark.parametrize("method", WITHOUT_STEPS)
def test_unused_settings_are_named(method: str) -> None:
    with pytest.raises(ConfigError, match=rf"{method}' .* does not use epochs, lr; leave them out"):
        recipe_for(method, {"lr": 5, "epochs": 7})
    recipe_for(method)
    if method == "tip-adapter":
        assert recipe_for(method, {"min_crop": 0.3}).min_crop == 0.3
        with pytest.raises(ConfigError, match="does not use views; leave it out. Of the recipe it uses min_crop;"):
            recipe_for(method, {"views": 3, "min_crop": 0.3})


def test_a_default_value_is_unused_too() -> None:
    with pytest.raises(ConfigError, match="does not use precision"):
        recipe_for("linear-probe", {"precision": "auto"})


def test_every_entrance(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit = ["fit", str(shapes), "--method", "linear-probe", "--out", str(tmp_path / "r")]
    assert "does not use epochs, lr" in refused(capsys, 2, *fit, "--epochs", "7", "--lr", "5")
    assert "does not use momentum" in refused(capsys, 2, *fit, "--set", "momentum=0.5")
    with pytest.raises(ConfigError, match="does not use lr"):
        PromptClassifier(method="linear-probe", lr=0.1).fit(str(shapes))
    with pytest.raises(ConfigError, match="does not use schedule"):
        PromptClassifier(method="zero-shot", recipe={"schedule": "cosine"}).fit(str(shapes))
    with pytest.raises(ConfigError, match="does not use epochs"):
        read_variants(["linear-probe epochs=7"])
    both = read_variants(["linear-probe,coop"], ["epochs=7"])  # --set is for the methods that have it
    assert [dict(variant.recipe) for variant in both] == [{}, {"epochs": 7}]
    assert not (tmp_path / "r").exists()


def test_a_setting_that_both_have_is_the_methods() -> None:
    settings, recipe = read_settings("tpt", None, ["lr=0.01"], False, {})
    assert settings == {"lr": 0.01} and recipe.lr == Recipe().lr
    with pytest.raises(ConfigError, match="does not use lr"):
        read_settings("tpt", None, [], False, {"lr": 0.01})


def test_shots_of_a_method_that_looks_at_none(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert (read_shots(None, "coop"), read_shots("all", "coop"), read_shots("3", "coop")) == (16, None, 3)
    for method in ("zero-shot", "tpt"):
        assert [read_shots(text, method) for text in (None, "all", "2")] == [None, None, None]
        with pytest.raises(ConfigError, match="--shots is 'two'"):
            read_shots("two", method)
    command = ["fit", str(shapes), "--method", "zero-shot", "--shots", "2", "--out", str(tmp_path / "r")]
    assert "'zero-shot' looks at no training images: --shots 2 is not used" in call_json(capsys, *command)["notes"][-1]
    assert "| training | nothing was learned from images, seed 1 |" in (tmp_path / "r" / "README.md").read_text()


def test_unlabelled_images_that_a_method_does_not_use(shapes: Path) -> None:
    from coopt.data import load_dataset

    images = load_dataset(str(shapes)).train
    assert images is not None
    with pytest.raises(ConfigError, match="unlabelled: 'linear-probe' does not learn from unlabelled images"):
        learn(load_model("builtin"), images, method="linear-probe", shots=2, unlabelled=images)
    with pytest.raises(ConfigError, match="unlabelled: 'coop'"):
        PromptClassifier(n_ctx=1, epochs=1, shots=2).fit(str(shapes), unlabelled=str(shapes / "test"))


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("linear-probe", "| training | 2 shots per class, seed 1 |"),
        ("zero-shot", "| training | nothing was learned from images, seed 1 |"),
        ("coop", "| training | 2 shots per class, seed 1, 3 epochs, sgd, learning rate 0.5 |"),
    ],
)
def test_the_card_says_what_was_used(shapes: Path, tmp_path: Path, method: str, says: str) -> None:
    options = {"linear-probe": ["--shots", "2"], "zero-shot": []}.get(method)
    options = ["--shots", "2", "--epochs", "3", "--lr", "0.5", "--set", "n_ctx=1"] if options is None else options
    assert call("fit", str(shapes), "--method", method, "--out", str(tmp_path / "r"), *options) == 0
    assert says in (tmp_path / "r" / "README.md").read_text()
    config = json.loads((tmp_path / "r" / "adapter_config.json").read_text())
    assert list(config["recipe"]) == used_settings(method)
    assert config["shots"] == (None if method == "zero-shot" else 2)
    again = PromptClassifier.load(tmp_path / "r")
    again.fit(str(shapes))  # with the settings of the run
