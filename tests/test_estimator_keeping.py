"""Fitted classifiers in pickles, copies and run folders; labels in their type everywhere."""

import copy
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone

from coopt import VLM, PromptClassifier, load_model
from coopt.errors import ConfigError, ModelError, RunError
from coopt.fit import used_settings
from coopt.methods import METHODS
from tests.models.folders import clip_folder
from tests.pictures import CLASSES, draw

LABELS = list(CLASSES) * 4
TYPES: list[tuple[Any, str, list[Any]]] = [
    (np.array([True, False, False] * 4), "bool", [False, True]),
    ([True, False, False] * 4, "bool", [False, True]),
    (np.array([0.0, 1.0, 2.5] * 4), "float64", [0.0, 1.0, 2.5]),
    (np.array([0.1, -1, 12] * 4, dtype=np.float32), "float32", [np.float32(-1), np.float32(0.1), np.float32(12)]),
    (np.array([200, 3, 3] * 4, dtype=np.uint8), "uint8", [3, 200]),
    ([-1, 1, 10] * 4, "int64", [-1, 1, 10]),
    (torch.tensor([5, 7, 6] * 4), "int64", [5, 6, 7]),
    (np.array(LABELS, dtype=object), "object", list(CLASSES)),
    (tuple(LABELS), "<U8", list(CLASSES)),
    (np.array([3, 4, 4] * 4, dtype=object), "int64", [3, 4]),
]


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(7)
    return [draw(kind, rng) for kind in LABELS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "clip"
    clip_folder(folder)
    return folder


def quick(model: Any = "builtin", **more: Any) -> PromptClassifier:
    return PromptClassifier(model, **{"n_ctx": 1, "shots": 2, "epochs": 1, **more})


@pytest.mark.filterwarnings("ignore:The class names are bare numbers")
@pytest.mark.parametrize(("y", "dtype", "classes"), TYPES)
def test_labels_come_back_in_their_type(
    y: Any, dtype: str, classes: list[Any], vlm: VLM, pictures: list[Image.Image], tmp_path: Path
) -> None:
    fitted = PromptClassifier(vlm, "linear-probe", settings={"C": 1.0}, shots="all").fit(pictures, y)
    loaded = PromptClassifier.load(fitted.save(tmp_path / "run"), model=vlm)
    for classifier in (fitted, loaded, pickle.loads(pickle.dumps(fitted)), pickle.loads(pickle.dumps(loaded))):
        assert str(classifier.classes_.dtype) == dtype and classifier.classes_.tolist() == classes
        assert classifier.predict(pictures).dtype == classifier.classes_.dtype
        assert classifier.score(pictures, y) == np.mean(fitted.predict(pictures) == np.asarray(y))


def test_labels_are_never_the_words_of_the_prompt(vlm: VLM, pictures: list[Image.Image]) -> None:
    words = {0: "round disc", np.int64(1): "box", 2.0: "three-cornered shape"}
    numbers = [CLASSES.index(label) for label in LABELS]
    classifier = PromptClassifier(vlm, "zero-shot", class_names=words).fit(pictures, numbers)
    assert classifier.class_names_ == list(words.values()) and set(classifier.predict(pictures)) <= {0, 1, 2}
    listed = PromptClassifier(vlm, "zero-shot", class_names=[f"shape {number}" for number in (9, 10, 100)])
    listed.fit(pictures, [(9, 10, 100)[number] for number in numbers])  # by value, not by text
    assert dict(zip(listed.classes_.tolist(), listed.class_names_, strict=True))[10] == "shape 10"


@pytest.mark.parametrize("method", METHODS)
def test_a_pickle_predicts_to_the_bit_and_holds_no_model(
    method: str, vlm: VLM, pictures: list[Image.Image], tmp_path: Path
) -> None:
    given = (
        {"settings": {"C": 1.0}}
        if method == "linear-probe"
        else {"settings": {"n_views": 2}}
        if method == "tpt"
        else {}
    )
    steps = {"epochs": 1} if "epochs" in used_settings(method) else {}
    ordered = METHODS[method].ordered
    labels = [CLASSES.index(label) for label in LABELS] if ordered else LABELS
    task = "ordinal" if ordered else "classification"
    fitted = PromptClassifier(vlm, method, shots=2, task=task, **steps, **given).fit(pictures, labels)
    expected = fitted.decision_function(pictures[:3])
    state = torch.get_rng_state()
    content = pickle.dumps(fitted)
    joblib.dump(fitted, tmp_path / "c.joblib")
    for again in (pickle.loads(content), joblib.load(tmp_path / "c.joblib"), copy.deepcopy(fitted), copy.copy(fitted)):
        assert np.array_equal(again.decision_function(pictures[:3]), expected)
        assert again.vlm_ is vlm and again.model is vlm
    assert torch.equal(torch.get_rng_state(), state)
    n_learned = sum(value.numel() for value in fitted.method_.state_dict().values())
    assert len(content) < 4 * n_learned + 20_000
    assert pictures[0].tobytes()[:64] not in content


def test_a_copy_is_independent(vlm: VLM, pictures: list[Image.Image]) -> None:
    fitted = quick(vlm).fit(pictures, LABELS)
    expected = fitted.decision_function(pictures)
    other = copy.deepcopy(fitted)
    with torch.no_grad():
        other.method_.ctx.add_(1.0)
    other.fit(pictures, list(reversed(LABELS)))
    assert np.array_equal(fitted.decision_function(pictures), expected)


def test_a_passed_model_is_shared_by_clones(vlm: VLM) -> None:
    classifier = quick(vlm)
    assert clone(classifier).model is vlm and copy.deepcopy(classifier).model is vlm
    assert pickle.loads(pickle.dumps(classifier)).model is vlm
    assert pickle.loads(pickle.dumps(vlm)) is vlm and copy.deepcopy(vlm) is vlm


def test_the_model_is_loaded_again_from_its_folder(
    folder: Path, pictures: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    monkeypatch.chdir(tmp_path)
    fitted = quick("model").fit(pictures, LABELS)
    expected, content = fitted.decision_function(pictures), pickle.dumps(fitted)
    del fitted
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(pickle.loads(content).decision_function(pictures), expected)
    place.rename(tmp_path / "moved")
    with pytest.raises(
        ModelError, match="needs the model '.*model', which cannot be loaded: .* Unpickling downloads nothing"
    ):
        pickle.loads(content)
    held = load_model(tmp_path / "moved")
    assert pickle.loads(content).vlm_ is held
    del held
    clip_folder(place, seed=3)
    with pytest.raises(ModelError, match="with the fingerprint .*; what is there now has .*: other weights"):
        pickle.loads(content)


def test_unpickling_asks_no_network(pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    from coopt.models.load import reopen

    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(ModelError, match="needs the model 'nobody/nothing'"):
        reopen("nobody/nothing", None, None, "0" * 16, "cpu", "torch.float32")
    with pytest.warns(
        UserWarning, match="was on 'cuda:7', which this machine does not have; it is loaded onto the CPU"
    ):
        assert (
            reopen("builtin", None, None, load_model("builtin").fingerprint, "cuda:7", "torch.float32").device.type
            == "cpu"
        )


def test_a_model_made_by_hand_is_not_pickled(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlm, "reopen", None)
    with pytest.raises(ModelError, match="cannot be pickled: it was not made by coopt.load_model"):
        pickle.dumps(vlm)


def test_a_pickle_can_be_saved_and_a_clone_trains_the_same(
    vlm: VLM, pictures: list[Image.Image], tmp_path: Path
) -> None:
    fitted = quick(vlm, class_weight="balanced", class_names={label: f"a {label}" for label in CLASSES})
    fitted.fit(pictures, LABELS, sample_weight=np.arange(1.0, 13.0))
    first = fitted.save(tmp_path / "first")
    second = pickle.loads(pickle.dumps(fitted)).save(tmp_path / "second")
    third = PromptClassifier.load(second).save(tmp_path / "third")
    configs = [json.loads((place / "adapter_config.json").read_text()) for place in (first, second, third)]
    assert configs[0] == configs[1] == configs[2]
    assert (configs[0]["class_weight"], configs[0]["sample_weight"]) == ("balanced", True)
    again = clone(PromptClassifier.load(third)).fit(pictures, LABELS, sample_weight=np.arange(1.0, 13.0))
    assert again.class_weight == "balanced"
    assert torch.equal(again.method_.ctx, fitted.method_.ctx)


def test_a_wrong_type_of_labels_in_a_run_is_said(vlm: VLM, pictures: list[Image.Image], tmp_path: Path) -> None:
    run = quick(vlm).fit(pictures, LABELS).save(tmp_path / "run")
    path = run / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"label_dtype": "int64"}))
    with pytest.raises(RunError, match="'circle', .* are not of its label_dtype 'int64'"):
        PromptClassifier.load(run)


def test_an_unfitted_classifier_is_pickled_too() -> None:
    again = pickle.loads(pickle.dumps(quick()))
    assert again.get_params() == quick().get_params()
    with pytest.raises(ConfigError, match="shots is 'some'; allowed is a whole number from 1, or 'all'"):
        quick(shots="some").fit([np.zeros((4, 4))] * 2, ["a", "b"])
