"""The bench's own path to the authors' picks: drawn from all classes first and then cut (their golden numbers)."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.bench import Run
from coopt.bench.execute import Notes, learn_run
from coopt.bench.protocols import classes_of
from coopt.data import ImageDataset
from coopt.datasets import Benchmark
from coopt.fit import Learned, learn
from coopt.fit.work import Work
from coopt.models import VLM, load_model
from tests.bench.conftest import Plan

GOLDENS = Path(__file__).parents[1] / "goldens"
CASES = {n: c for n, c in json.loads((GOLDENS / "data.json").read_text())["cases"].items() if "shot_" in n}
ARRAYS = np.load(GOLDENS / "data.npz")
PARTS = ("train", "val")


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the picks are looked at; the method looks at pixels, so that nothing is encoded either."""
    monkeypatch.setattr(Work, "run", lambda *_: [])


def part(labels: list[int]) -> ImageDataset:
    """Images whose names are their places in the authors' list."""
    pictures = [Image.new("RGB", (8, 8), (0, *divmod(place, 256))) for place in range(len(labels))]
    names = [str(place) for place in range(len(labels))]
    classes = [f"class_{label:02d}" for label in range(max(labels) + 1)]
    return ImageDataset(pictures, np.array(labels), classes, names=names)


def benchmark(name: str, case: dict) -> Benchmark:
    train, val, test = (part(case["item_labels"][key]) for key in ("train", "val", "test"))
    return Benchmark(name, "a {}.", train.class_names, train, val, test)


def check(learned: Learned, name: str) -> None:
    for key in PARTS:
        shown = getattr(learned, key)
        assert [int(place) for place in shown.names] == ARRAYS[f"{name}/{key}_idx"].tolist()
        assert shown.labels.tolist() == ARRAYS[f"{name}/{key}_label"].tolist()
        assert shown.class_names == CASES[name]["classnames"]


def test_the_cases_tell_the_two_orders_apart() -> None:
    """Cutting first gives other picks in some case of each half and part; else the tests below would prove nothing."""
    from coopt.data import sample_few_shot_train_val, split_classes

    differs = set()
    for name, case in CASES.items():
        if case["subsample"] == "all":
            continue
        whole = {key: np.array(case["item_labels"][key]) for key in PARTS}
        cut = {key: split_classes(whole[key], case["subsample"], class_set=whole["train"]) for key in PARTS}
        picks = sample_few_shot_train_val(cut["train"].labels, cut["val"].labels, case["num_shots"], case["seed"])
        for key, picked in zip(PARTS, picks, strict=True):
            if cut[key].indices[picked].tolist() != ARRAYS[f"{name}/{key}_idx"].tolist():
                differs.add((case["subsample"], key))
    assert differs == {("base", "train"), ("base", "val"), ("new", "train"), ("new", "val")}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["subsample"] != "new"])
def test_a_run_learns_from_the_authors_picks(name: str, plan: Plan, vlm: VLM) -> None:
    case = CASES[name]
    (run,) = plan("fewshot", "shapes", "maple epochs=1")
    run: Run = replace(run, subset=case["subsample"], shots=case["num_shots"], seed=case["seed"])
    check(learn_run(run, vlm, benchmark(name, case), Notes()), name)


@pytest.mark.filterwarnings("ignore:Fewer than 4 images")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["subsample"] == "new"])
def test_the_other_half_has_the_picks_of_the_same_draw(name: str, vlm: VLM) -> None:
    case = CASES[name]
    data = benchmark(name, case)
    classes = classes_of(data, "new")
    options = {"shots": case["num_shots"], "seed": case["seed"], "classes": classes}
    check(learn(vlm, data.train, val=data.val, method="maple", **options), name)


def test_all_images_of_some_classes(vlm: VLM) -> None:
    data = benchmark("any", CASES["shuf5_seed1_4shot_all"])
    learned = learn(vlm, data.train, val=data.val, method="maple", shots=None, classes=[4, 1])
    for key in PARTS:
        whole, shown = getattr(data, key), getattr(learned, key)
        assert shown.class_names == ["class_04", "class_01"]
        expected = [
            (int(name), [4, 1].index(int(label)))
            for name, label in zip(whole.names, whole.labels, strict=True)
            if label in (4, 1)
        ]
        assert [(int(name), int(label)) for name, label in zip(shown.names, shown.labels, strict=True)] == expected
