"""What the contract must carry, each by a small method or task from outside the package: learned through `fit` with a
stop and a resume, saved, loaded, evaluated, predicted with, as an estimator, and in a benchmark.
"""

import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from typer.testing import CliRunner

from coopt import PromptClassifier
from coopt.artifacts import load_run, save_run
from coopt.bench.records import read_run
from coopt.cli.main import app
from coopt.data import ImageDataset, load_dataset
from coopt.errors import RunError
from coopt.evaluate import dataset_logits, measure
from coopt.fit import EpochRecord, Interrupted, Learned, Reporter, learn
from coopt.models import VLM, load_model
from tests.pictures import CLASSES, draw
from tests.seams import methods, tasks

HERE = "tests.seams.methods:"


@dataclass(frozen=True)
class Seam:
    """A method with a task, and what its data look like."""

    method: str
    task: str = "classification"
    settings: dict[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = CLASSES
    moving: bool = False
    """Whether images are animations."""

    def __str__(self) -> str:
        return (self.method if self.task == "classification" else self.task).rsplit(":", 1)[-1]


SEAMS = [
    Seam(HERE + "LowRank"),
    Seam(HERE + "ClassMeans"),
    Seam(HERE + "Adapter"),
    Seam(HERE + "PerImage"),
    Seam(HERE + "SemiSupervised"),
    Seam(HERE + "Stream"),
    Seam(HERE + "PixelViews"),
    Seam(HERE + "Frames", moving=True),
    Seam(HERE + "Patches"),
    Seam(HERE + "NoGradients"),
    Seam(HERE + "Around", settings={"base": {"method": "kgcoop", "ctx_init": None, "n_ctx": 3}}),
    Seam(HERE + "Rounds"),
    Seam(HERE + "Candidates"),
    Seam(HERE + "Plain", task="tests.seams.tasks:RealValued", labels=("1.5", "2.0", "4.25")),
    Seam(HERE + "Plain", task="tests.seams.tasks:SeveralLabels", labels=("dark+round", "dark", "round+large")),
]


def write_data(folder: Path, seam: Seam, seed: int = 17) -> Path:
    """`folder/{train,test}/LABEL/N.png`: 5 and 3 images of each label; animations change their shape half way."""
    rng = np.random.default_rng(seed)
    for part, n in (("train", 5), ("test", 3)):
        for kind, label in zip(CLASSES, seam.labels, strict=True):
            home = folder / part / label
            home.mkdir(parents=True)
            for i in range(n):
                if seam.moving:
                    frames = [draw(kind, rng) for _ in range(4)]
                    frames[0].save(home / f"{i}.gif", save_all=True, append_images=frames[1:], duration=40)
                else:
                    draw(kind, rng).save(home / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(params=SEAMS, ids=str)
def seam(request: pytest.FixtureRequest) -> Seam:
    return request.param


@pytest.fixture
def data(seam: Seam, tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", seam)


class StopsAfterOneEpoch(Reporter):
    """Asks this process to stop when its n-th epoch is over."""

    def __init__(self, n: int) -> None:
        self.left = n

    def epoch(self, record: EpochRecord) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def learned_by(vlm: VLM, seam: Seam, train: ImageDataset, **options: Any) -> Learned:
    return learn(vlm, train, method=seam.method, task=seam.task, settings=seam.settings, shots=2, **options)


def logits_of(vlm: VLM, learned: Any, test: ImageDataset) -> torch.Tensor:
    return dataset_logits(vlm, learned.predictor(), test).logits


def test_it_is_learned_stopped_resumed_saved_and_loaded(vlm: VLM, seam: Seam, data: Path, tmp_path: Path) -> None:
    splits = load_dataset(str(data))
    train, test = splits.train, splits.test
    assert train is not None and test is not None
    whole = learned_by(vlm, seam, train)
    logits = logits_of(vlm, whole.method, test)
    assert logits.shape == (9, len(whole.method.task.class_names))
    assert torch.isfinite(logits).all()
    n_epochs = len(whole.records)
    for stop in range(1, n_epochs):  # where a method has several trainings, a stop lies in each of them
        path = tmp_path / f"{stop}" / "checkpoint.safetensors"
        with pytest.raises(Interrupted):
            learned_by(vlm, seam, train, checkpoint_path=path, reporter=StopsAfterOneEpoch(stop))
        again = learned_by(vlm, seam, train, checkpoint_path=path, resume=True)
        assert [(r.epoch, r.loss, r.progress) for r in again.records] == [
            (r.epoch, r.loss, r.progress) for r in whole.records
        ]
        for name, tensor in whole.method.state_dict().items():
            assert torch.equal(again.method.state_dict()[name], tensor), name
    folder = save_run(tmp_path / "run", whole.method, details=whole.details())
    with pytest.raises(RunError, match=r"code from outside coopt.*trust_code=True"):
        load_run(folder)
    run = load_run(folder, trust_code=True)
    assert torch.equal(logits_of(vlm, run.build(vlm), test), logits)
    assert torch.allclose(dataset_logits(vlm, run.predictor(vlm), test).logits, logits, atol=1e-4)
    predictor = run.predictor(vlm)
    metrics = measure(predictor.task, dataset_logits(vlm, predictor, test), test)
    assert metrics.n_images == 9


def test_the_command_line_knows_it(seam: Seam, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pairs = []
    for name, value in seam.settings.items():
        pairs += ["--set", f"{name}={value['method']}"]
        pairs += [f"--set={name}.{k}={v}" for k, v in value.items() if k != "method"]
    command = ["fit", str(data), "--method", seam.method, "--task", seam.task, "--shots", "2", *pairs]
    fitted = called(*command, "--out", str(run), "--json")
    headline = json.loads((run / "adapter_config.json").read_text())["task"]["name"]
    assert headline == (seam.task if ":" in seam.task else "classification")
    shown = CliRunner().invoke(app, ["evaluate", str(run), str(data)])
    assert isinstance(shown.exception, RunError) and "--trust-code" in str(shown.exception)
    evaluated = called("evaluate", str(run), str(data), "--trust-code", "--json")
    (figure,) = {"accuracy", "mae", "hamming"} & set(evaluated)
    assert evaluated[figure] == pytest.approx(fitted["test"][figure], abs=1e-6)
    pictures = [str(path) for path in pictures_in(data / "test")]
    predicted = called("predict", str(run), *pictures, "--trust-code", "--json")["predictions"]
    assert [row["image"] for row in predicted] == pictures
    for output in ("csv", "json"):
        done = CliRunner().invoke(app, ["predict", str(run), *pictures, "--trust-code", "--output", f"{run}.{output}"])
        assert done.exit_code == 0, done.output
    assert len(Path(f"{run}.csv").read_text().splitlines()) == 10
    text = CliRunner().invoke(app, ["evaluate", str(run), str(data), "--trust-code"]).output
    assert {"accuracy": "Accuracy", "mae": "Mean absolute error", "hamming": "Right decisions"}[figure] in text


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.*") if path.is_file())


def called(*arguments: str) -> dict[str, Any]:
    shown = CliRunner().invoke(app, list(arguments))
    assert shown.exit_code == 0, (shown.output, shown.exception)
    return json.loads(shown.stdout)


def test_it_is_an_estimator(vlm: VLM, seam: Seam, data: Path, tmp_path: Path) -> None:
    classifier = PromptClassifier(
        model=vlm, method=getattr(methods, seam.method.split(":")[1]), task=seam.task, settings=seam.settings, shots=2
    )
    test = pictures_in(data / "test")
    paths = pictures_in(data / "train")
    labels = [path.parent.name for path in paths]
    logits = classifier.fit(paths, labels).decision_function(test)
    answers = classifier.predict(test)
    assert len(answers) == 9
    if seam.task == "classification":
        assert answers.tolist() == [seam.labels_sorted[c] for c in logits.argmax(1)]
        assert np.allclose(classifier.predict_proba(test).sum(1), 1, atol=1e-5)
    true = [path.parent.name for path in test]
    if seam.task == "classification":
        assert classifier.score(test, true) == np.mean(answers == np.array(true))
    elif seam.labels[0] == "1.5":
        expected = -np.mean(np.abs(answers - np.array(true, dtype=float)))  # an error: lower is better
        assert classifier.score(test, true) == pytest.approx(expected, rel=1e-5)
    classifier.save(tmp_path / "run")
    loaded = PromptClassifier.load(tmp_path / "run", model=vlm, trust_code=True)
    assert np.array_equal(loaded.decision_function(test), logits)
    assert loaded.predict(test).tolist() == answers.tolist()
    again = clone(loaded).set_params(model=vlm).fit(paths, labels)
    assert np.array_equal(again.decision_function(test), logits)


Seam.labels_sorted = property(lambda self: sorted(self.labels))  # type: ignore[attr-defined]


def test_it_is_a_row_of_a_benchmark(seam: Seam, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "sets.yaml"
    task = "" if seam.task == "classification" else f', task: "{seam.task}"'
    file.write_text(f'drawn: {{path: data, template: "a {{}}."{task}}}\n')
    row = seam.method
    for name, value in seam.settings.items():
        row += f" {name}={value['method']}, " + ", ".join(f"{name}.{k}={v}" for k, v in value.items() if k != "method")
    options = ["--root", str(tmp_path), "--data-file", str(file), "--out", str(tmp_path / "bench"), "--workers", "0"]
    command = ["bench", "fewshot", "--datasets", "drawn", "--methods", f"zero-shot; {row}", "--shots", "2"]
    done = CliRunner().invoke(app, [*command, "--seeds", "1", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    files = [path for path in (tmp_path / "bench" / "runs").glob("*.jsonl") if "zero-shot" not in path.name]
    (record,) = read_run(files[0])
    assert record.method == seam.method
    assert record.headline.name in record.metrics
    report = CliRunner().invoke(app, ["report", str(tmp_path / "bench"), "--no-figures"])
    assert report.exit_code == 0, (report.output, report.exception)


# What each seam is there for, beyond going through.


def fitted(vlm: VLM, name: str, folder: Path, **settings: Any) -> tuple[Any, ImageDataset]:
    seam = next(seam for seam in SEAMS if str(seam) == name)
    splits = load_dataset(str(write_data(folder / "data", seam)))
    assert splits.train is not None and splits.test is not None
    learned = learn(vlm, splits.train, method=seam.method, settings=settings or seam.settings, shots=2)
    return learned, splits.test


def test_the_loaded_weights_stay_what_they_were(vlm: VLM, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in vlm.module.state_dict().items()}
    learned, test = fitted(vlm, "LowRank", tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in vlm.module.state_dict().items())
    untouched = methods.LowRank(vlm, test.class_names)
    assert any(bool(p.abs().max() > 0) for p in learned.method.up.values())
    assert not torch.allclose(logits_of(vlm, learned.method, test), logits_of(vlm, untouched, test), atol=1e-5)


def test_every_index_reaches_the_loss(vlm: VLM, tmp_path: Path) -> None:
    learned, _ = fitted(vlm, "PerImage", tmp_path)
    assert learned.method.seen == set(range(6))
    assert bool((learned.method.trust != 0).all())


def test_an_adapter_of_features_is_no_matrix(vlm: VLM, tmp_path: Path) -> None:
    learned, _ = fitted(vlm, "Adapter", tmp_path)
    assert learned.method.predictor().linear is None


def test_a_stream_is_kept_in_order_and_forgotten_between_sets(vlm: VLM, tmp_path: Path) -> None:
    learned, test = fitted(vlm, "Stream", tmp_path)
    predictor = learned.method.predictor()
    first = dataset_logits(vlm, predictor, test, batch_size=2).logits
    assert torch.equal(dataset_logits(vlm, predictor, test, batch_size=5).logits, first)
    turned = dataset_logits(vlm, predictor, test.subset(range(8, -1, -1))).logits.flip(0)
    assert not torch.allclose(turned, first, atol=1e-3)


def test_views_and_frames_differ_from_one_picture(vlm: VLM, tmp_path: Path) -> None:
    learned, test = fitted(vlm, "Frames", tmp_path)
    for path in test.images:
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == 4
    still = learn(vlm, test, method="zero-shot")
    assert not torch.allclose(logits_of(vlm, learned.method, test), logits_of(vlm, still.method, test), atol=0.1)
    learned, test = fitted(vlm, "PixelViews", tmp_path / "views")
    predictor = learned.method.predictor()
    seeds = [dataset_logits(vlm, predictor, test, seed=seed).logits for seed in (1, 1, 2)]
    assert torch.equal(seeds[0], seeds[1])
    assert not torch.allclose(seeds[0], seeds[2], atol=1e-3)


def test_rounds_and_candidates_are_told_apart(vlm: VLM, tmp_path: Path) -> None:
    learned, _ = fitted(vlm, "Rounds", tmp_path)
    assert [record.epoch for record in learned.records] == [1, 2, 1]
    assert len(learned.method.found["pseudo"]) == 4
    learned, _ = fitted(vlm, "Candidates", tmp_path / "c")
    assert [record.epoch for record in learned.records] == [1, 2] * 3
    losses = learned.method.found["losses"]
    assert len(set(losses)) == 3
    shots = torch.stack([vlm.preprocess(learned.train.load(i)) for i in range(6)])
    with torch.no_grad():
        logits = learned.method(vlm.encode_image(shots))
    kept = torch.nn.functional.cross_entropy(logits, torch.as_tensor(learned.train.labels))
    assert float(kept) == pytest.approx(min(losses), abs=1e-3)


def test_unlabelled_images_are_those_that_were_not_drawn_or_those_given(vlm: VLM, tmp_path: Path) -> None:
    seam = next(seam for seam in SEAMS if str(seam) == "SemiSupervised")
    splits = load_dataset(str(write_data(tmp_path / "data", seam)))
    assert splits.train is not None and splits.test is not None
    own = learned_by(vlm, seam, splits.train).method.shift
    given = learned_by(vlm, seam, splits.train, unlabelled=splits.test).method.shift
    assert not torch.equal(own, given)
    with pytest.raises(ValueError, match="none are left: all training images are shots"):
        learn(vlm, splits.train, method=seam.method, shots=None)


def test_several_data_sets_are_learned_at_once(tmp_path: Path) -> None:
    """An image competes among the classes of its own data set only, though both have a class of the same name."""
    first, second = Seam("coop"), Seam("coop", labels=("ring", "square", "tent"))
    a, b = write_data(tmp_path / "a", first), write_data(tmp_path / "b", second, seed=5)
    options = ["--shots", "2", "--epochs", "2", "--set", "n_ctx=2", "--json"]
    run = tmp_path / "run"
    fitted = called("fit", str(a), str(b), *options, "--out", str(run))
    config = json.loads((run / "adapter_config.json").read_text())
    assert config["class_labels"] == [f"a/{label}" for label in sorted(first.labels)] + [
        f"b/{label}" for label in sorted(second.labels)
    ]
    assert config["task"]["settings"] == {"grouped": True}
    shown = CliRunner().invoke(app, ["evaluate", str(run), str(a), str(b)])
    assert shown.exit_code == 0 and "b/square" in shown.output
    both = called("evaluate", str(run), str(a), str(b), "--json")
    assert both["n_images"] == 18
    assert both["accuracy"] == fitted["test"]["accuracy"]
    alone = [called("evaluate", str(run), str(part), "--json") for part in (a, b)]
    assert [part["n_images"] for part in alone] == [9, 9]
    assert sum(part["accuracy"] for part in alone) / 2 == pytest.approx(both["accuracy"])
    rows = np.array(both["confusion"])
    assert rows[:3, 3:].sum() == rows[3:, :3].sum() == 0
    predicted = called("predict", str(run), *map(str, sorted((b / "test").rglob("*.png"))), "--json")
    assert len(predicted["predictions"]) == 9
    assert tasks  # the module is imported by name
