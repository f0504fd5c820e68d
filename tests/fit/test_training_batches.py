"""What a batch holds beside its images: targets, places, weights, unlabelled images in an order that a resume repeats."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from coopt.data import DataWarning, ImageDataset, epoch_order, load_dataset
from coopt.features import FeatureViews, encode_dataset
from coopt.fit import Recipe, TrainingBatches, fit, learn
from coopt.methods import Batch, CoOp, Examples, Shots, build_method
from coopt.models import load_model
from tests.given import given
from tests.goldens.golden import golden_vlm
from tests.pictures import shapes_folder

NAMES = ["tea", "barn owl", "red fox"]


def features(n: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(1, n, 64, generator=torch.Generator().manual_seed(seed))


def test_a_batch_holds_what_belongs_to_its_images() -> None:
    views, targets, weight = features(11), torch.arange(11) % 3, torch.arange(11) / 5
    batches = TrainingBatches(FeatureViews(views, 1), targets, weight=weight)
    for batch, rows in zip(batches.batches(0, [np.array([7, 2]), np.array([9])]), ([7, 2], [9]), strict=True):
        assert torch.equal(batch.images, views[0, rows])
        assert batch.targets.tolist() == targets[rows].tolist()
        assert batch.weight.tolist() == weight[rows].tolist()
        assert batch.index.tolist() == rows
        assert batch.unlabelled is None


@pytest.mark.parametrize("first_step", [0, 1, 3])
def test_unlabelled_images_follow_their_own_order_wherever_an_epoch_begins(first_step: int) -> None:
    """Seven images, three in each step: the third step begins the order again, also where the first two were done."""
    labelled, unlabelled = features(11), features(7, 9)
    batches = TrainingBatches(
        FeatureViews(labelled, 1),
        torch.zeros(11),
        unlabelled=FeatureViews(unlabelled, 1),
        n_unlabelled=3,
        seed=4,
    )
    steps = [np.array([0, 1, 2]), np.array([3, 4]), np.array([5]), np.array([6])][first_step:]
    order = epoch_order(7, 5, 2)
    for step, batch in enumerate(batches.batches(2, steps, first_step), first_step):
        expected = [int(order[place % 7]) for place in range(3 * step, 3 * step + 3)]
        assert batch.unlabelled.index.tolist() == expected
        assert torch.equal(batch.unlabelled.images, unlabelled[0, expected])
        assert batch.unlabelled.targets is None
    assert order.tolist() != epoch_order(7, 5, 1).tolist()


def test_a_weight_counts_in_the_loss_and_is_one_on_average() -> None:
    method = CoOp(golden_vlm("vit_b"), NAMES, n_ctx=2)
    images, targets = features(5)[0], torch.tensor([0, 1, 2, 1, 0])
    weight = torch.tensor([0.0, 2.0, 1.0, 0.5, 1.5])
    found = method.loss(Batch(images, targets, weight=weight)).total
    each = F.cross_entropy(method(images), targets, reduction="none")
    assert torch.allclose(found, sum(w * loss for w, loss in zip(weight, each, strict=True)) / 5)


def test_learn_takes_weights_of_all_training_images(tmp_path: object) -> None:
    """Only their ratio counts; an image of weight 0 is not learned from."""
    vlm = load_model("builtin")
    train: ImageDataset = load_dataset(str(shapes_folder(tmp_path / "data"))).train  # type: ignore[operator]
    options = {"shots": 2, "settings": {"n_ctx": 2}, "recipe": Recipe(epochs=2, warmup_epochs=0, lr=0.05, batch_size=6)}
    plain = learn(vlm, train, **options).method.ctx
    assert torch.allclose(learn(vlm, train, weight=np.full(21, 7.0), **options).method.ctx, plain, atol=1e-6)
    weight = np.where(train.labels == 0, 0.0, 1.0)
    with pytest.warns(DataWarning, match="Each image of 'circle' has weight 0"):
        weighted = learn(vlm, train, weight=weight, **options)
    assert not torch.allclose(weighted.method.ctx, plain, atol=1e-4)
    torch.manual_seed(1)
    by_hand = CoOp(vlm, train.class_names, n_ctx=2)
    shots = weighted.train
    batches = TrainingBatches(
        FeatureViews(encode_dataset(vlm, shots).features[None], 1),
        torch.as_tensor(shots.labels),
        weight=torch.where(torch.as_tensor(shots.labels) == 0, 0.0, 1.5),
    )
    fit(by_hand, batches, options["recipe"], seed=1)
    assert torch.allclose(weighted.method.ctx, by_hand.ctx, atol=1e-6)


def test_a_group_of_parameters_may_have_a_rate_of_its_own() -> None:
    """One step of plain gradient descent: the second group moves three times as far as its gradient says."""

    class TwoRates(CoOp):
        def parameter_groups(self, recipe: Recipe) -> list[dict]:
            return [{"params": [self.ctx]}, {"params": [self.shift], "lr_scale": 3.0}]

        def __init__(self, *, n_ctx: int = 2) -> None:
            super().__init__(golden_vlm("vit_b"), NAMES, n_ctx=n_ctx)
            self.shift = torch.nn.Parameter(torch.zeros(64))

        def class_features(self) -> torch.Tensor:
            return F.normalize(super().class_features() + self.shift, dim=-1)

    method = TwoRates()
    before = {name: p.clone() for name, p in method.named_parameters()}
    recipe = Recipe(epochs=1, warmup_epochs=0, lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant")
    fit(method, given(features(5), torch.tensor([0, 1, 2, 1, 0])), recipe, seed=1)
    for name, rate in (("ctx", 0.1), ("shift", 0.3)):
        parameter = dict(method.named_parameters())[name]
        assert torch.allclose(parameter, before[name] - rate * parameter.grad, atol=1e-6)


def test_a_method_made_by_its_constructor_says_how_it_was_made() -> None:
    method = CoOp(golden_vlm("vit_b"), NAMES, n_ctx=3, position="front")
    assert method.settings == {
        "n_ctx": 3,
        "position": "front",
        "class_specific": False,
        "ctx_init": None,
        "truncate_names": False,
    }
    again = build_method("coop", method.vlm, NAMES, method.settings)
    again.load_tensors(method.state_dict())
    images = features(5)[0]
    assert torch.equal(again(images), method(images))
    probe = build_method("linear-probe", golden_vlm("vit_b"), NAMES)
    probe.prepare(Shots(Examples(images, torch.tensor([0, 1, 2, 1, 0]))))
    assert probe.settings == {"C": None} and probe.found == {"C": probe.C}  # a new fit searches again
