"""`PromptClassifier` as a scikit-learn estimator, on every kind of input, and its run folders."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline

from coopt import PromptClassifier, load_dataset, load_model
from coopt.data import DataWarning, UnreadableImageError
from coopt.errors import ConfigError, DataError, RunError
from tests.pictures import CLASSES, draw, shapes_folder

QUICK = {"n_ctx": 2, "epochs": 3, "shots": 4}


@pytest.fixture(scope="module")
def pictures() -> tuple[list[Image.Image], np.ndarray]:
    rng = np.random.default_rng(3)
    labels = np.array(CLASSES * 8)
    return [draw(kind, rng) for kind in labels], labels


@pytest.fixture(scope="module")
def fitted(pictures: tuple[list[Image.Image], np.ndarray]) -> PromptClassifier:
    return PromptClassifier(**QUICK).fit(*pictures)


def test_predictions_probabilities_and_score(fitted: PromptClassifier, pictures: tuple) -> None:
    images, labels = pictures
    probabilities = fitted.predict_proba(images)
    assert fitted.classes_.tolist() == sorted(CLASSES)
    assert probabilities.shape == (24, 3)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert np.array_equal(fitted.predict(images), fitted.classes_[probabilities.argmax(1)])
    assert fitted.score(images, labels) == np.mean(fitted.predict(images) == labels)


def test_every_kind_of_image_gives_the_same_answer(fitted: PromptClassifier, pictures: tuple, tmp_path: Path) -> None:
    images = pictures[0][:5]
    expected = fitted.decision_function(images)
    paths = []
    for i, image in enumerate(images):
        paths.append(tmp_path / f"{i}.png")
        image.save(paths[-1])
    arrays = np.stack([np.asarray(image) for image in images])
    tensors = [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]
    for source in (paths, [str(p) for p in paths], arrays, list(arrays), tensors, str(tmp_path)):
        assert np.allclose(fitted.decision_function(source), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:The class names are bare numbers")
@pytest.mark.parametrize("labels", [np.array([7, 3, 11] * 8), ["c-1", "a_2", "b 3"] * 8])
def test_labels_keep_their_type(pictures: tuple, labels: object) -> None:
    classifier = PromptClassifier(**QUICK).fit(pictures[0], labels)
    assert set(classifier.predict(pictures[0]).tolist()) <= set(np.asarray(labels).tolist())
    assert sorted(classifier.classes_.tolist()) == sorted(set(np.asarray(labels).tolist()))
    assert 0 <= classifier.score(pictures[0], labels) <= 1


def test_class_names_are_the_words_of_the_prompt(pictures: tuple) -> None:
    words = {"circle": "round disc", "square": "box", "triangle": "three-cornered shape"}
    classifier = PromptClassifier(method="zero-shot", class_names=words).fit(*pictures)
    assert classifier.class_names_ == ["round disc", "box", "three-cornered shape"]
    assert classifier.classes_.tolist() == sorted(CLASSES)
    plain = PromptClassifier(method="zero-shot").fit(*pictures)
    assert not np.allclose(classifier.decision_function(pictures[0]), plain.decision_function(pictures[0]))


def test_it_clones_searches_and_sits_in_a_pipeline(pictures: tuple) -> None:
    images, labels = np.stack([np.asarray(i) for i in pictures[0]]), pictures[1]
    classifier = PromptClassifier(model=load_model("builtin"), method="zero-shot", shots=4)
    assert clone(PromptClassifier(**QUICK)).get_params()["n_ctx"] == 2
    assert len(cross_val_score(classifier, images, labels, cv=3)) == 3
    pipeline = Pipeline([("classify", classifier)])
    search = GridSearchCV(pipeline, {"classify__method": ["zero-shot", "linear-probe"]}, cv=3).fit(images, labels)
    assert search.best_score_ >= max(1 / 3, search.cv_results_["mean_test_score"].min())


def test_save_and_load_give_the_same_predictions(fitted: PromptClassifier, pictures: tuple, tmp_path: Path) -> None:
    again = PromptClassifier.load(fitted.save(tmp_path / "run"))
    assert np.array_equal(again.decision_function(pictures[0]), fitted.decision_function(pictures[0]))
    assert again.classes_.tolist() == fitted.classes_.tolist()
    with pytest.raises(RunError, match="already holds a run"):
        fitted.save(tmp_path / "run")
    second = PromptClassifier.load(again.save(tmp_path / "other"))
    assert np.array_equal(second.decision_function(pictures[0]), fitted.decision_function(pictures[0]))
    for name in ("adapter_config.json", "metrics.jsonl", "adapter_model.safetensors", "README.md"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.filterwarnings("ignore:The class names are bare numbers")
def test_numeric_labels_and_settings_survive_save_and_load(pictures: tuple, tmp_path: Path) -> None:
    labels = np.array([0, 1, 2] * 8)
    fitted = PromptClassifier(**QUICK, seed=4, position="front").fit(pictures[0], labels)
    again = PromptClassifier.load(fitted.save(tmp_path / "run"))
    assert again.score(pictures[0], labels) == fitted.score(pictures[0], labels)
    refitted = clone(again).fit(pictures[0], labels)
    assert np.array_equal(refitted.decision_function(pictures[0]), fitted.decision_function(pictures[0]))


def test_a_folder_is_data_too(tmp_path: Path) -> None:
    folder = shapes_folder(tmp_path / "data")
    classifier = PromptClassifier(**QUICK).fit(str(folder))
    assert classifier.learned_ is not None
    assert len(classifier.learned_.train) == 12
    test = load_dataset(str(folder)).test
    assert classifier.predict(test).shape == (15,)


def test_mistakes(pictures: tuple, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet; call fit"):
        PromptClassifier().predict(pictures[0])
    with pytest.raises(NotFittedError, match="nothing to save"):
        PromptClassifier().save(tmp_path / "run")
    with pytest.raises(ConfigError, match="no method 'copo'"):
        PromptClassifier(method="copo").fit(*pictures)
    with pytest.raises(ConfigError, match="'zero-shot' has no setting 'n_ctx'"):
        PromptClassifier(method="zero-shot", n_ctx=4).fit(*pictures)
    with pytest.raises(ConfigError, match="epochs is 0"):
        PromptClassifier(epochs=0).fit(*pictures)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    classifier = PromptClassifier(method="zero-shot").fit(*pictures)
    with pytest.raises(UnreadableImageError, match=r"broken\.png"):
        classifier.predict([broken])


def test_a_method_that_uses_no_shots_needs_class_names_and_no_labels(pictures: tuple) -> None:
    images, labels = pictures
    given = PromptClassifier(method="zero-shot").fit(images, labels)
    named = PromptClassifier(method="zero-shot", class_names=sorted(CLASSES)).fit(images)
    assert np.array_equal(named.decision_function(images), given.decision_function(images))
    assert named.predict(images).tolist() == given.predict(images).tolist()
    with pytest.raises(DataError, match="label"):
        PromptClassifier(method="coop", class_names=sorted(CLASSES)).fit(images)


def test_none_asks_for_a_random_start_and_nothing_leaves_it_to_the_method(pictures: tuple, tmp_path: Path) -> None:
    from coopt.estimator import UNSET

    classifier = PromptClassifier(method="kgcoop", ctx_init=None, n_ctx=3, epochs=1, shots=2).fit(*pictures)
    assert classifier.method_.settings["ctx_init"] is None
    assert classifier.method_.ctx.shape[0] == 3
    default = PromptClassifier(method="kgcoop", epochs=1, shots=2)
    assert default.get_params()["ctx_init"] is UNSET and clone(default).get_params()["ctx_init"] is UNSET
    assert default.fit(*pictures).method_.settings["ctx_init"] == "a photo of a"
    classifier.save(tmp_path / "run")
    again = clone(PromptClassifier.load(tmp_path / "run")).fit(*pictures)
    assert torch.equal(again.method_.ctx, classifier.method_.ctx)


def test_images_of_12_bits_are_scaled_as_those_that_were_learned_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    stack = rng.integers(0, 4096, (6, 20, 20), dtype=np.uint16)
    classifier = PromptClassifier(n_ctx=1, epochs=1, shots=2).fit(stack, [0, 1] * 3)
    dark = stack[:1] // 8
    same = (np.floor(dark / (4095 / 255) + 0.5)).astype(np.uint8)
    expected = classifier.decision_function(same)
    assert np.array_equal(classifier.decision_function(dark), expected)
    loaded = PromptClassifier.load(classifier.save(tmp_path / "run"))
    assert np.allclose(loaded.decision_function(dark), expected, atol=1e-4)


def test_labels_in_another_unicode_form_come_back_as_they_were_given() -> None:
    labels = [unicodedata.normalize("NFD", "é"), "b"] * 3
    pictures = np.arange(6, dtype=np.uint8)[:, None, None].repeat(20, 1).repeat(20, 2)
    classifier = PromptClassifier(n_ctx=1, epochs=1, shots=2).fit(pictures, labels)
    assert set(classifier.classes_) == set(labels) and classifier.class_names_ == ["b", "é"]


def test_one_picture_with_several_labels_is_told_and_a_few_of_its_images_are_named() -> None:
    pictures = np.zeros((40, 20, 20), dtype=np.uint8)
    with pytest.warns(DataWarning, match="1 picture is in several classes of the training images") as told:
        PromptClassifier(n_ctx=1, epochs=1, shots="all").fit(pictures, ["a"] * 10 + ["b"] * 30)
    (text,) = [str(one.message) for one in told if "several classes" in str(one.message)]
    assert text.endswith(": '0' (a) and '10' (b) and 38 more images of it.")
