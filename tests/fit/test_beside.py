"""What was learned beside a hand-written prompt, and the hint where learning does not pay."""

from dataclasses import replace

import numpy as np
import pytest

from coopt.data import load_dataset
from coopt.features import encode_dataset
from coopt.fit import Learned, Recipe, Reporter, compare, cross_validate, learn
from coopt.fit.beside import CHEAP_SECONDS
from coopt.models import load_model
from tests.pictures import shapes_folder

TEMPLATE = "a photo of a {}."


class Quiet(Reporter):
    def note(self, message: str) -> None:
        pass


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    splits = load_dataset(shapes_folder(tmp_path_factory.mktemp("compare") / "d"))
    assert splits.train is not None
    recipe = Recipe(epochs=3, batch_size=5)
    return learn(load_model("builtin"), splits.train, settings={"n_ctx": 2}, shots=5, recipe=recipe, reporter=Quiet())


def test_both_are_measured_on_the_same_images(learned: Learned) -> None:
    found = compare(learned.method, learned.train, TEMPLATE, "shots", seed=1, reporter=Quiet())
    assert (found.by_hand.n_images, found.learned.n_images, found.images) == (15, 15, "15 shots")
    logits = learned.method.predictor()(encode_dataset(learned.method.vlm, learned.train).features)
    targets = learned.method.task.targets(learned.train)
    right = float((logits.argmax(1) == targets).float().mean()) * 100
    assert found.learned.figures()["accuracy"] == pytest.approx(right)
    assert found.headline[1] == f"{right:.1f}%"


def test_below_goes_by_the_direction_of_the_figure(learned: Learned) -> None:
    found = compare(learned.method, learned.train, TEMPLATE, "shots", seed=1, reporter=Quiet())
    low, high = (replace(found.by_hand, accuracy=value) for value in (40.0, 60.0))
    assert found._replace(by_hand=high, learned=low).is_below
    assert not found._replace(by_hand=low, learned=high).is_below
    assert not found._replace(by_hand=low, learned=low).is_below


def test_each_shot_is_predicted_by_a_training_without_it(learned: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def watched(vlm, train, **options):  # noqa: ANN001, ANN003, ANN202
        seen.append(list(train.names))
        assert options["recipe"] == learned.recipe and options["settings"]["n_ctx"] == 2
        return learn(vlm, train, **options)

    monkeypatch.setattr("coopt.fit.beside.learn", watched)
    found = cross_validate(learned, TEMPLATE)
    assert found is not None and found.learned.n_images == found.by_hand.n_images == 15
    names = list(learned.train.names or [])
    left_out = [sorted(set(names) - set(part)) for part in seen]
    assert sorted(name for part in left_out for name in part) == sorted(names)
    assert len(seen) == 4 and max(map(len, left_out)) - min(map(len, left_out)) <= 1
    for part in seen:  # each fold leaves images of every class to learn from
        assert len({name.split("/")[-2] for name in part}) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda found: replace(found, records=[]),
        lambda found: replace(found, records=[replace(r, seconds=CHEAP_SECONDS) for r in found.records]),
        lambda found: replace(found, recipe=replace(found.recipe, views=3)),
        lambda found: replace(found, train=found.train.subset([0, 5, 6, 10])),
    ],
    ids=["nothing trained", "slow", "views", "a class with one image"],
)
def test_it_is_done_only_where_it_is_cheap_and_possible(change, learned: Learned) -> None:  # noqa: ANN001
    changed = change(learned)
    assert np.unique(changed.train.labels).size == 3
    assert cross_validate(changed, TEMPLATE) is None


def test_without_the_cache_it_is_not_cheap(learned: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOPT_CACHE", "off")
    assert cross_validate(learned, TEMPLATE) is None
