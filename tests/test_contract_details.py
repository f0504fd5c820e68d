"""Details of the contract: what tasks, trainings, predictors, run folders and the estimator each keep and pass on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone

from coopt import PromptClassifier
from coopt.artifacts import load_run, save_run
from coopt.artifacts.run_folder import check_names
from coopt.data import ImageDataset, load_dataset
from coopt.errors import ConfigError, DataError, RunError, TrainingError
from coopt.evaluate import dataset_logits
from coopt.features import FeatureViews, Inputs, encode_dataset
from coopt.fit import Checkpoint, Recipe, Reporter, TrainingBatches, fit, learn, loop
from coopt.fit.shots import draw_shots
from coopt.fit.work import Work
from coopt.methods import Losses, Method, MethodPredictor, Training, build_method, for_classes, jsonable
from coopt.models import VLM, load_model
from coopt.prompting.frozen import apply_layer
from coopt.tasks import Classification, Task
from tests.seams.methods import Plain, SemiSupervised
from tests.seams.test_seams import HERE, Seam, write_data


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture
def train(tmp_path: Path) -> ImageDataset:
    found = load_dataset(str(write_data(tmp_path / "data", Seam(HERE + "Plain")))).train
    assert found is not None
    return found


def test_an_image_competes_among_its_own_data_set_in_loss_progress_and_metrics() -> None:
    """The class of the other data set has the largest logit by far and counts nowhere."""
    task = Classification(["a", "b", "c"], ["x/1", "x/2", "y/1"], grouped=True)
    logits, targets = torch.tensor([[2.0, 1.0, 50.0], [60.0, 0.0, 1.0]]), torch.tensor([0, 2])
    own = F.cross_entropy(logits[:1, :2], targets[:1])  # the other image has one class only: 0
    assert task.loss(logits, targets).item() == pytest.approx(own.item() / 2)
    assert task.loss(logits, targets, torch.tensor([0.5, 1.5])).item() == pytest.approx(0.25 * own.item())
    assert task.progress(logits, targets).tolist() == [100.0, 100.0]
    assert task.metrics(logits, targets).accuracy == 100


@pytest.mark.parametrize(
    ("method", "settings", "task", "name"),
    [
        ("coop", {}, "nowhere:Task", "task 'nowhere:Task'"),
        ("coop", {"base": {"method": "nowhere:Inner"}}, "classification", "method 'nowhere:Inner'"),
        ("coop", {"a": {"method": "coop", "b": {"method": "nowhere:Deep"}}}, "classification", "method 'nowhere:Deep'"),
    ],
)
def test_leave_is_asked_for_tasks_and_for_inner_methods(method: str, settings: dict, task: str, name: str) -> None:
    config = {"method": method, "settings": settings, "task": {"name": task, "settings": {}}}
    with pytest.raises(RunError, match=f"{name}, which is code from outside coopt"):
        check_names(Path("run"), config, trust_code=False)
    check_names(Path("run"), config, trust_code=True)


def test_a_training_takes_the_shots_it_names(vlm: VLM, train: ImageDataset) -> None:
    work = Work(vlm, Classification(train.class_names), Recipe(epochs=1, batch_size=4), 1, 0, Reporter())
    work.train, work.weight = train, torch.arange(1.0, len(train) + 1)
    method = Plain(vlm, train.class_names)
    kept = torch.tensor([4, 0, 11])
    batches = work.batches(Training(method, shots=kept), work.recipe, None)
    assert len(batches) == 3
    assert batches.targets.tolist() == train.labels[kept].tolist()
    assert batches.weight.tolist() == pytest.approx([5 / 6, 1 / 6, 2.0])
    (batch,) = batches.batches(0, [np.array([2, 0])])
    assert torch.allclose(batch.images, encode_dataset(vlm, train.subset([11, 4])).features, atol=1e-5)


def test_pseudo_labelled_images_count_as_the_average_shot(vlm: VLM, train: ImageDataset) -> None:
    work = Work(vlm, Classification(train.class_names), Recipe(epochs=1), 1, 0, Reporter())
    work.train, work.unlabelled = train.subset([0, 5]), train.subset([7, 8, 9])
    work.weight = torch.tensor([7.0, 21.0])  # only the ratio counts
    method = Plain(vlm, train.class_names)
    training = Training(method, pseudo=torch.tensor([2]), pseudo_targets=torch.tensor([1]))
    assert work.batches(training, work.recipe, None).weight.tolist() == pytest.approx([0.5, 1.5, 1.0])


class Elsewhere(Plain):
    """The class looks at plain features, this instance before the projection."""

    def __init__(self, vlm, class_names) -> None:
        Method.__init__(self, vlm, class_names)
        self.inputs = Inputs(at="unprojected")
        self.weight = torch.nn.Parameter(torch.randn(len(class_names), vlm.image.width))
        self.shown: list[torch.Tensor] = []

    def forward(self, images):
        self.shown.append(images)
        return images @ self.weight.T


def test_an_instance_that_looks_elsewhere_is_given_what_is_there(vlm: VLM, train: ImageDataset) -> None:
    width = vlm.image.width
    found = learn(
        vlm, train, method="tests.test_contract_details:Elsewhere", shots=2, recipe=Recipe(epochs=1, batch_size=6)
    )
    (shown,) = {tuple(part.shape) for part in found.method.shown}
    expected = encode_dataset(vlm, found.train, inputs=Inputs(at="unprojected")).features
    rows = torch.cdist(found.method.shown[0], expected).argmin(1)
    assert shown == (6, width) and sorted(rows.tolist()) == list(range(6))
    assert torch.allclose(found.method.shown[0], expected[rows], atol=1e-5)
    encoded = encode_dataset(vlm, train)  # plain ones, shared by a bench
    given = dataset_logits(vlm, found.method.predictor(), train, encoded=encoded).logits
    assert torch.equal(given, dataset_logits(vlm, found.method.predictor(), train).logits)


class ByQuarters(Classification):
    """Shots are drawn from four groups, whatever the labels."""

    def strata(self, dataset: ImageDataset) -> np.ndarray:
        return np.arange(len(dataset)) % 4


def test_shots_are_drawn_from_the_tasks_strata(vlm: VLM, train: ImageDataset) -> None:
    picked, chosen = draw_shots(ByQuarters(train.class_names), train, train.subset(range(9)), 1, 1)
    assert sorted(picked.indices % 4) == sorted(chosen.indices % 4) == [0, 1, 2, 3]
    alone, _ = draw_shots(ByQuarters(train.class_names), train, None, 1, 1)
    assert sorted(alone.indices % 4) == [0, 1, 2, 3]


class Explodes(Plain):
    """The loss of step `at` is not finite."""

    def __init__(self, vlm, class_names, at: int) -> None:
        super().__init__(vlm, class_names)
        self.at, self.n = at, 0

    def loss(self, batch):
        self.n += 1
        found = super().loss(batch)
        return Losses(found.total * (float("nan") if self.n == self.at else 1.0), found.logits)


@pytest.mark.parametrize(("at", "every"), [(3, 0.0), (4, 1e9)])
def test_a_device_that_is_seldom_waited_for_stops_before_a_save_and_at_the_epochs_end(
    vlm: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, every: float
) -> None:
    """4 steps in an epoch. With saves at each step the third is refused; without, the epoch's last is looked at."""
    monkeypatch.setattr(loop, "steps_between_checks", lambda device: 100)
    method = Explodes(vlm, ["a", "b", "c"], at)
    images = TrainingBatches(FeatureViews(torch.randn(1, 8, vlm.embed_dim), 1), torch.arange(8) % 3)
    path = tmp_path / "c.safetensors"
    with pytest.raises(TrainingError, match=f"epoch 1, step {at}"):
        fit(method, images, Recipe(epochs=2, batch_size=2), seed=1, checkpoint=Checkpoint(path, {}, every=every))


def test_progress_is_of_the_images_that_the_steps_saw(vlm: VLM) -> None:
    """11 images, drop_last with batches of 4: 8 are seen; all are right."""
    method = Plain(vlm, ["a", "b", "c"])
    features = method.class_features().detach()[torch.arange(11) % 3]
    images = TrainingBatches(FeatureViews(features[None], 1), torch.arange(11) % 3)
    records = fit(method, images, Recipe(epochs=2, batch_size=4, lr=1e-6), seed=1)
    assert [record.progress for record in records] == [100.0, 100.0]


def test_task_settings_are_those_of_the_fit_and_of_the_run(vlm: VLM, train: ImageDataset, tmp_path: Path) -> None:
    paths, labels = [str(p) for p in train.images], [f"d{n % 2}/{train.class_names[n]}" for n in train.labels]
    made = PromptClassifier(vlm, n_ctx=2, shots=2, epochs=1, task_settings={"grouped": True}).fit(paths, labels)
    assert made.predictor_.task.settings == {"grouped": True}
    made.save(tmp_path / "run")
    loaded = PromptClassifier.load(tmp_path / "run", model=vlm)
    assert loaded.task_settings == {"grouped": True} == loaded.predictor_.task.settings


def test_the_unlabelled_images_of_a_fit_are_learned_from(vlm: VLM, train: ImageDataset) -> None:
    made = PromptClassifier(vlm, SemiSupervised, shots=2)
    own = made.fit(train).method_.shift.clone()
    given = made.fit(train, unlabelled=train.subset([0, 1, 2])).method_.shift
    assert not torch.equal(own, given)


def test_what_was_found_is_kept_apart_from_the_settings(vlm: VLM, train: ImageDataset, tmp_path: Path) -> None:
    learned = learn(vlm, train, method="tip-adapter", shots=2)
    assert learned.method.found
    save_run(tmp_path / "run", learned.method, details=learned.details())
    run = load_run(tmp_path / "run")
    assert {n: run.config["settings"][n] for n in learned.method.found} == dict.fromkeys(learned.method.found)
    assert run.build(vlm).found == run.config["found"] == learned.method.found


def test_the_matrix_of_another_backbone_is_refused(vlm: VLM, train: ImageDataset, tmp_path: Path) -> None:
    learned = learn(vlm, train, method="zero-shot")
    save_run(tmp_path / "run", learned.method, details=learned.details())
    run = load_run(tmp_path / "run")
    run.config["fingerprint"] = "0" * 16
    with pytest.raises(RunError, match="other weights or another"):
        run.predictor(vlm)


def test_classes_of_another_data_set_keep_their_labels() -> None:
    task = Classification(["red fox", "owl"], ["1", "2"]).for_classes(["cat", "dog"], ["7", "8"])
    assert (task.class_names, task.class_labels) == (["cat", "dog"], ["7", "8"])


def test_the_settings_of_an_inner_method_are_in_the_run_folder(vlm: VLM) -> None:
    base = {"method": "kgcoop", "ctx_init": None, "n_ctx": 3}
    made = build_method(HERE + "Around", vlm, ["a", "b"], {"base": base})
    written = jsonable(made.settings)["base"]
    assert {name: written[name] for name in base} == base
    assert build_method(HERE + "Around", vlm, ["a", "b"], {"base": written}).base.ctx.shape[0] == 3


class Draws(Plain):
    """A predictor that draws random numbers."""

    def predictor(self):
        return MethodPredictor(self)

    def forward(self, images):
        logits = super().forward(images)
        return logits + torch.rand_like(logits) if not torch.is_grad_enabled() else logits


def test_what_a_predictor_draws_depends_on_the_seed_only(vlm: VLM, train: ImageDataset) -> None:
    predictor = Draws(vlm, train.class_names).predictor()
    torch.manual_seed(5)
    first = dataset_logits(vlm, predictor, train, seed=1).logits
    torch.rand(3)
    assert torch.equal(dataset_logits(vlm, predictor, train, seed=1).logits, first)
    assert not torch.equal(dataset_logits(vlm, predictor, train, seed=2).logits, first)


class Scaled(Classification):
    """A task with a setting."""

    def __init__(self, class_names, class_labels=None, *, scale: float = 1.0) -> None:
        super().__init__(class_names, class_labels)
        self.settings = {"scale": scale}

    for_classes = Task.for_classes


def test_a_task_for_other_classes_keeps_its_settings() -> None:
    found = Scaled(["a", "b"], scale=3.0).for_classes(["c", "d", "e"])
    assert (type(found), found.settings, found.class_names) == (Scaled, {"scale": 3.0}, ["c", "d", "e"])


def test_a_bias_that_is_trained_over_frozen_weights_gets_its_gradient() -> None:
    layer = torch.nn.Linear(13, 17)
    layer.weight.requires_grad_(False)
    apply_layer(layer, torch.randn(5, 13, requires_grad=True)).sum().backward()
    assert layer.bias.grad is not None and layer.bias.grad.tolist() == [5.0] * 17


class Doubled(Plain):
    """Class features, and logits that are no cosine to them."""

    predictor = Method.predictor

    def forward(self, images):
        return 2 * super().forward(images) + 1


def test_a_forward_of_its_own_is_what_predicts(vlm: VLM) -> None:
    method, images = Doubled(vlm, ["a", "b"]), torch.randn(5, vlm.embed_dim)
    assert torch.equal(method.predictor()(images), method(images))
    assert method.predictor().linear is None


def test_a_resume_with_other_weights_or_unlabelled_images_is_refused(
    vlm: VLM, train: ImageDataset, tmp_path: Path
) -> None:
    options = {"method": HERE + "SemiSupervised", "shots": 2, "checkpoint_path": tmp_path / "c.safetensors"}
    weight = np.arange(1.0, len(train) + 1)
    learn(vlm, train, weight=weight, **options)
    learn(vlm, train, weight=3 * weight[: len(train)] / 3, resume=True, **options)
    with pytest.raises(RunError, match="weight: .* then"):
        learn(vlm, train, weight=weight[::-1].copy(), resume=True, **options)
    with pytest.raises(RunError, match="unlabelled: .* then"):
        learn(vlm, train, weight=weight, unlabelled=train.subset([1, 2]), resume=True, **options)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(np.ones(3), "has 3 numbers; .* each of the 15"), (np.zeros(15), "weight is zero for all 15 images")],
)
def test_weights_that_cannot_be_used(vlm: VLM, train: ImageDataset, weight: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        learn(vlm, train, weight=weight, shots=2)


def test_unlabelled_images_that_cannot_be_read_are_left_out_and_told(vlm: VLM, train: ImageDataset) -> None:
    drawn = learn(vlm, train, method=HERE + "SemiSupervised", shots=2).train.names
    bad = next(i for i in range(len(train)) if train.name(i) not in drawn)
    Path(train.images[bad]).write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 unreadable unlabelled image\(s\) left out"):
        learned = learn(vlm, train, method=HERE + "SemiSupervised", shots=2)
    assert learned.train.names == drawn
    with pytest.raises(DataError, match="None of the 1 unlabelled images can be read"):
        learn(vlm, train, method=HERE + "SemiSupervised", shots=2, unlabelled=train.subset([bad]))


def test_words_of_classes_are_kept_for_another_fit(vlm: VLM, train: ImageDataset, tmp_path: Path) -> None:
    words = {name: f"big {name} thing" for name in train.class_names}
    paths, labels = [str(p) for p in train.images], [train.class_names[n] for n in train.labels]
    made = PromptClassifier(vlm, n_ctx=2, shots=2, epochs=1, class_names=words).fit(paths, labels)
    made.save(tmp_path / "run")
    again = clone(PromptClassifier.load(tmp_path / "run", model=vlm)).set_params(model=vlm).fit(paths, labels)
    assert again.class_names_ == made.class_names_ == list(words.values())
    assert torch.equal(again.method_.ctx, made.method_.ctx)


def test_a_run_built_for_its_own_class_names_keeps_its_labels(vlm: VLM, train: ImageDataset, tmp_path: Path) -> None:
    named = replace(train, class_names=["x", "y", "z"])
    learned = learn(vlm, named, shots=2, settings={"n_ctx": 2}, recipe=Recipe(epochs=1))
    run = load_run(save_run(tmp_path / "run", learned.method, details=learned.details()))
    assert run.build(vlm, ["x", "y", "z"]).task.class_labels == train.class_labels


def test_a_prograd_context_keeps_the_words_that_it_was_learned_with(vlm: VLM) -> None:
    method = build_method("prograd", vlm, ["a", "b"], {"n_ctx": 2, "templates": ["a photo of a {}."]})
    other = for_classes(method, Classification(["c", "d"]), {"templates": ["a centered satellite photo of {}."]})
    same = for_classes(method, Classification(["c", "d"]))
    assert other.encoder.layout.sequences == same.encoder.layout.sequences
