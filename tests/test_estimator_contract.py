"""The contract of an estimator: two classes, weights, skipped images, settings, what is told and how it is shown."""

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_score,
)

from coopt import VLM, PromptClassifier, load_model, load_run
from coopt.cli import main
from coopt.cli.class_weight import read_class_weight
from coopt.data import DataWarning
from coopt.errors import ConfigError, DataError
from coopt.fit import progress
from coopt.fit.progress import ProgressReporter, draws_bars
from coopt.methods import METHODS, Batch, build_method
from tests.pictures import CLASSES, draw, shapes_folder

LABELS = list(CLASSES) * 6


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(9)
    return [draw(kind, rng) for kind in LABELS]


def probe(vlm: VLM, **more: Any) -> PromptClassifier:
    return PromptClassifier(vlm, "linear-probe", settings={"C": 1.0}, shots="all", **more)


# Two classes.


def test_two_classes_have_one_column_of_decisions(vlm: VLM, pictures: list[Image.Image]) -> None:
    y = np.array([label == "square" for label in LABELS])
    classifier = probe(vlm).fit(pictures, y)
    decisions, probabilities = classifier.decision_function(pictures), classifier.predict_proba(pictures)
    assert decisions.shape == (18,) and probabilities.shape == (18, 2)
    assert np.allclose(probabilities[:, 1], 1 / (1 + np.exp(-decisions)), atol=1e-5)
    assert np.array_equal(classifier.predict(pictures), classifier.classes_[(decisions > 0).astype(int)])
    assert get_scorer("roc_auc")(classifier, pictures, y) == roc_auc_score(y, decisions)
    assert probe(vlm).fit(pictures, LABELS).decision_function(pictures).shape == (18, 3)
    assert 0.5 < get_scorer("roc_auc_ovr")(probe(vlm).fit(pictures, LABELS), pictures, LABELS) <= 1


@pytest.mark.parametrize(
    "y", [[label == "square" for label in LABELS], ["yes" if label == "circle" else "no" for label in LABELS]]
)
def test_calibration_and_thresholds(y: list[Any], vlm: VLM, pictures: list[Image.Image]) -> None:
    positive = sorted(set(y))[1]
    calibrated = CalibratedClassifierCV(probe(vlm), cv=2).fit(pictures, y)
    assert calibrated.predict_proba(pictures).shape == (18, 2)
    fixed = FixedThresholdClassifier(probe(vlm), threshold=1e9, pos_label=positive, response_method="decision_function")
    assert set(fixed.fit(pictures, y).predict(pictures)) == {sorted(set(y))[0]}
    folds = StratifiedKFold(2)
    tuned = TunedThresholdClassifierCV(probe(vlm), scoring="balanced_accuracy", cv=folds, thresholds=5).fit(pictures, y)
    assert set(tuned.predict(pictures)) <= set(y)
    assert cross_val_score(probe(vlm), pictures, y, cv=2, scoring="roc_auc", error_score="raise").min() > 0.5


# Weights.


def test_an_integer_weight_is_a_repeated_image(vlm: VLM, pictures: list[Image.Image]) -> None:
    weight = np.arange(18) % 4
    kept = [index for index, n in enumerate(weight) for _ in range(n)]
    weighted = probe(vlm).fit(pictures, LABELS, sample_weight=weight)
    repeated = probe(vlm).fit([pictures[i] for i in kept], [LABELS[i] for i in kept])
    assert np.allclose(weighted.decision_function(pictures), repeated.decision_function(pictures), atol=2e-2)
    plain = probe(vlm).fit(pictures, LABELS)
    assert not np.allclose(weighted.decision_function(pictures), plain.decision_function(pictures), atol=0.1)
    right = plain.predict(pictures) == np.array(LABELS)
    assert plain.score(pictures, LABELS, sample_weight=weight) == pytest.approx(np.average(right, weights=weight))


@pytest.mark.parametrize(
    "key", [key for key, kind in METHODS.items() if kind.uses_shots and kind.uses_weights and key != "linear-probe"]
)
def test_the_loss_of_every_method_counts_weights(key: str, vlm: VLM) -> None:
    """The gradients of an image of weight 2 are those of the image twice in a batch of the same size in sum."""
    torch.manual_seed(3)
    method = build_method(key, vlm, list(CLASSES))
    shape = (3, 48, 48) if method.inputs.kind == "pixels" else (vlm.embed_dim,)
    images, targets = torch.randn(3, *shape), torch.tensor([0, 2, 1])
    if key.startswith("tip"):
        method.cache.keys.data = torch.randn(3, vlm.embed_dim)
        method.cache.labels.data = targets
    found = []
    for batch in (
        Batch(images, targets, weight=torch.tensor([2.0, 1.0, 0.0])),
        Batch(images[[0, 0, 1]], targets[[0, 0, 1]]),
        Batch(images, targets),
    ):
        method.zero_grad()
        method.gradients(batch, lambda loss: loss)
        found.append(
            torch.cat([p.grad.flatten() for p in method.parameters() if p.requires_grad and p.grad is not None])
        )
    scale = found[1].abs().max()
    assert torch.allclose(found[0] / scale, found[1] / scale, atol=2e-3)
    assert not torch.allclose(found[0] / scale, found[2] / scale, atol=2e-2)


@pytest.mark.parametrize("key", ["zero-shot", "tpt", "tip-adapter"])
@pytest.mark.parametrize("given", ["sample_weight", "class_weight"])
def test_weights_are_refused_where_nothing_would_use_them(
    key: str, given: str, vlm: VLM, pictures: list[Image.Image]
) -> None:
    classifier = PromptClassifier(vlm, key, class_weight="balanced" if given == "class_weight" else None)
    weight = np.ones(18) if given == "sample_weight" else None
    with pytest.raises(ConfigError, match=f"The method '{key}' cannot use {given}: .* take one of: coop, cocoop"):
        classifier.fit(pictures, LABELS, sample_weight=weight)


def test_balanced_classes_count_alike(vlm: VLM, pictures: list[Image.Image]) -> None:
    kept = [i for i, label in enumerate(LABELS) if label == "circle" or i < 6]  # 6, 2 and 2
    x, y = [pictures[i] for i in kept], [LABELS[i] for i in kept]
    balanced = probe(vlm, class_weight="balanced").fit(x, y)
    by_map = probe(vlm, class_weight={"circle": 10 / 18, "square": 10 / 6, "triangle": 10 / 6}).fit(x, y)
    by_image = probe(vlm).fit(x, y, sample_weight=[10 / 18 if label == "circle" else 10 / 6 for label in y])
    for other in (by_map, by_image):
        assert np.allclose(balanced.decision_function(x), other.decision_function(x), atol=1e-3)
    # A weight of images is part of what is balanced.
    doubled = probe(vlm, class_weight="balanced").fit(
        x, y, sample_weight=[10 / 12 * (2.0 if label == "square" else 1.0) for label in y]
    )
    assert np.allclose(doubled.decision_function(x), balanced.decision_function(x), atol=1e-3)
    with pytest.warns(DataWarning, match="bare numbers"):
        numbers = PromptClassifier(vlm, n_ctx=1, epochs=1, shots="all", class_weight={3: 2.0})
        numbers.fit(x, [{"circle": 3, "square": 4, "triangle": 5}[label] for label in y])


@pytest.mark.parametrize(("class_weight", "message"), [
    ("even", "class_weight is 'even'; allowed is 'balanced', or a map"),
    ({"circel": 2}, "names 'circel', which is no label; .* Did you mean 'circle'"),
    ({"circle": 0}, "class_weight of 'circle' is 0; allowed is a number above 0"),
    ({"circle": "2"}, "class_weight of 'circle' is '2'"),
    ([1, 2, 3], r"class_weight is \[1, 2, 3\]"),
])  # fmt: skip
def test_class_weights_that_cannot_be_used(
    class_weight: Any, message: str, vlm: VLM, pictures: list[Image.Image]
) -> None:
    with pytest.raises(ConfigError, match=message):
        probe(vlm, class_weight=class_weight).fit(pictures, LABELS)


def test_class_weights_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert read_class_weight([]) is None and read_class_weight(["balanced"]) == "balanced"
    assert read_class_weight(["a=b=2", "c=0.5"]) == {"a=b": 2.0, "c": 0.5}
    for texts, message in (
        (["2"], "is '2'; allowed is"),
        (["a=x"], "is 'a=x'"),
        (["a=1", "a=2"], "gives 'a' twice: 1 and 2"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_class_weight(texts)
    data = shapes_folder(tmp_path / "data")
    command = ["fit", str(data), "--shots", "2", "--epochs", "1", "--set", "n_ctx=1", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--class-weight", "circle=3", "--class-weight", "square=0.5"])
    assert ended.value.code in (0, None)
    assert load_run(tmp_path / "run").config["class_weight"] == {"circle": 3.0, "square": 0.5}


# Images that cannot be read.


def test_skipped_images_have_empty_rows(vlm: VLM, pictures: list[Image.Image], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    x = [pictures[0], str(broken), str(tmp_path / "absent.png"), None, pictures[1]]
    classifier = probe(vlm).fit(pictures, LABELS)
    whole = classifier.predict([pictures[0], pictures[1]])
    with pytest.warns(DataWarning, match=r"3 images of 5 skipped: '.*broken\.png' \(.*absent\.png.*does not exist"):
        found = classifier.predict(x, on_error="skip")
    assert found.dtype == object and found.tolist() == [whole[0], None, None, None, whole[1]]
    for ask in (classifier.predict_proba, classifier.decision_function):
        with pytest.warns(DataWarning, match="3 images of 5 skipped"):
            rows = ask(x, on_error="skip")
        assert rows.shape == (5, 3) and np.isnan(rows[1:4]).all() and np.isfinite(rows[[0, 4]]).all()
    assert classifier.predict(pictures, on_error="skip").dtype == classifier.classes_.dtype
    with pytest.raises(DataError, match=r"absent\.png' is not a file"):
        classifier.predict(x[2:])
    with pytest.raises(ConfigError, match="on_error is 'ignore'; allowed is 'raise' or 'skip'"):
        classifier.predict(x, on_error="ignore")


# Settings, notes, progress, short forms.


def test_numbers_of_numpy_are_numbers(vlm: VLM, pictures: list[Image.Image], tmp_path: Path) -> None:
    plain = PromptClassifier(vlm, n_ctx=2, shots=2, epochs=2, lr=0.01, batch_size=4, seed=3)
    numpy = PromptClassifier(
        vlm, n_ctx=np.int64(2), shots=np.int32(2), epochs=np.int64(2), lr=np.float32(0.01), batch_size=np.uint8(4),
        seed=np.int64(3), n_workers=np.int64(0), recipe={"momentum": np.float64(0.9), "nesterov": np.bool_(False)},
    )  # fmt: skip
    numpy.set_params(lr=np.float64(0.01))
    expected = plain.fit(pictures, LABELS).decision_function(pictures)
    assert np.array_equal(numpy.fit(pictures, LABELS).decision_function(pictures), expected)
    again = PromptClassifier.load(numpy.save(tmp_path / "run"))
    assert np.array_equal(again.decision_function(pictures), expected)


@pytest.mark.parametrize("shots", ["all", None])
def test_all_shots(shots: Any, vlm: VLM, pictures: list[Image.Image]) -> None:
    fitted = PromptClassifier(vlm, n_ctx=1, epochs=1, shots=shots).fit(pictures, LABELS)
    assert fitted.learned_ is not None and len(fitted.learned_.train) == 18 and fitted.learned_.shots is None


@pytest.mark.parametrize(("name", "value", "message"), [
    ("shots", 0, "shots is 0; allowed is a whole number from 1, or 'all'"),
    ("shots", 2.5, "shots is 2.5; allowed"),
    ("shots", True, "shots is True; allowed"),
    ("seed", -1, "seed is -1; allowed is a whole number from 0"),
    ("seed", None, "seed is None; allowed"),
])  # fmt: skip
def test_messages_name_the_parameter(
    name: str, value: Any, message: str, vlm: VLM, pictures: list[Image.Image]
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        PromptClassifier(vlm, **{"n_ctx": 1, "epochs": 1, name: value}).fit(pictures, LABELS)


def test_a_note_where_prompts_are_bare_numbers(vlm: VLM, pictures: list[Image.Image], recwarn: Any) -> None:
    numbers = [10 * CLASSES.index(label) for label in LABELS]
    with pytest.warns(DataWarning, match=r"bare numbers \('0', '10', '20'\).* with class_names=\{label: words\}"):
        PromptClassifier(vlm, "zero-shot").fit(pictures, numbers)
    words = {number: f"kind {number}" for number in (0, 10, 20)}
    recwarn.clear()
    PromptClassifier(vlm, "zero-shot", class_names=words).fit(pictures, numbers)
    probe(vlm).fit(pictures, numbers)  # it uses no words
    PromptClassifier(vlm, "zero-shot").fit(pictures, [label == "circle" for label in LABELS])
    assert not recwarn.list


def test_verbose_shows_progress_and_is_quiet_by_default(vlm: VLM, pictures: list[Image.Image]) -> None:
    shown = []
    for verbose in (False, True, 1):
        with redirect_stderr(io.StringIO()) as text:
            PromptClassifier(vlm, n_ctx=1, epochs=2, shots=1, verbose=verbose).fit(pictures, LABELS).predict(pictures)
        shown.append(text.getvalue())
    assert shown[0] == "" and "epoch 2/2" in shown[1] and "epoch 2/2" in shown[2]


def test_short_forms(vlm: VLM, pictures: list[Image.Image], tmp_path: Path) -> None:
    fitted = PromptClassifier(vlm, n_ctx=2, epochs=3, shots=4).fit(pictures, LABELS)
    run = load_run(fitted.save(tmp_path / "run"))
    decisions = fitted.predictor_.task.decide(torch.from_numpy(fitted.decision_function(pictures)))
    for thing in (fitted, fitted.learned_, run, run.classifier, decisions, fitted.method_, fitted.predictor_.task, vlm):
        assert len(repr(thing)) < 300, repr(thing)
    assert "coop" in repr(fitted.learned_) and "12 images of 3 classes" in repr(fitted.learned_)
    assert repr(run).endswith("'coop' on 'builtin', 3 classes: 'circle', 'square', 'triangle')")
    assert repr(PromptClassifier().n_ctx) == "UNSET"


@pytest.mark.parametrize(("terminal", "notebook", "has_widgets", "bars"), [
    (True, False, False, True), (False, False, True, False), (False, True, True, True), (False, True, False, False),
])  # fmt: skip
def test_bars_are_drawn_where_they_can_be(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, notebook: bool, has_widgets: bool, bars: bool
) -> None:
    """A notebook without ipywidgets gets lines; rich would only warn at every bar."""
    monkeypatch.setattr(progress, "find_spec", lambda name: object() if has_widgets else None)
    console = Console(file=io.StringIO(), force_terminal=terminal, force_jupyter=notebook)
    assert draws_bars(console) is bars
    assert ProgressReporter(console).progress.disable is not bars
