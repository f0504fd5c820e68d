"""Classes that are the same tokens to the model: refused in every place where a prompt is made, unless allowed."""

import copy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt import learn, load_model
from coopt.artifacts import load_run, save_run
from coopt.data import ImageDataset, join_datasets, load_dataset
from coopt.data.dataset import Splits
from coopt.errors import DataError
from coopt.methods import METHODS, CoOp, ZeroShot
from coopt.models.openai_tokenizer import openai_tokenizer
from coopt.prompting import check_class_names, equal_prompts_allowed

VLM = load_model("builtin")


def images(names: list[str], labels: list[str] | None = None) -> ImageDataset:
    """Three small images of each class."""
    pixels = np.random.default_rng(3).integers(0, 256, (3 * len(names), 11, 13, 3), dtype=np.uint8)
    numbers = np.repeat(np.arange(len(names)), 3)
    return ImageDataset([Image.fromarray(one) for one in pixels], numbers, names, labels)


PAIRS = [
    ("Cat", "cat"),
    ("STOP sign", "stop_sign"),
    ("cat_", "cat"),
    ("a  b", "a b"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_names_that_are_the_same_tokens(one: str, other: str) -> None:
    with pytest.raises(DataError, match="Classes have the same prompt for this model") as error:
        check_class_names(VLM, ["dog", one, other])
    assert f"{one!r} and {other!r}" in str(error.value) and "allow_equal_prompts=True" in str(error.value)
    with equal_prompts_allowed():
        check_class_names(VLM, ["dog", one, other])


@pytest.mark.parametrize(("one", "other"), [("ﬁsh", "fish"), ("R&amp;D", "r&d"), ("ＡＢＣ", "abc"), ("It's", "It’s")])
def test_what_the_published_tokenizer_mends(one: str, other: str) -> None:
    vlm = copy.copy(VLM)
    vlm.tokenizer = openai_tokenizer()
    check_class_names(VLM, [one, "dog"])
    with pytest.raises(DataError, match="cannot tell them apart"):
        check_class_names(vlm, ["dog", one, other])


@pytest.mark.parametrize("names", [["-1", "1"], ["a", "b"], ["t shirt", "tshirt"], ["missile", "missile"]])
def test_names_that_can_be_told_apart(names: list[str]) -> None:
    # The same text twice comes from a list of a data set's authors; a user's own is refused where it is read.
    check_class_names(VLM, names)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_refuses_before_it_learns(method: str) -> None:
    dataset = images(["dog", "Cat", "cat"])
    task = {"task": "ordinal", "task_settings": {"ranks": "dog,Cat,cat"}} if METHODS[method].ordered else {}
    with pytest.raises(DataError, match="'Cat' and 'cat'"):
        learn(VLM, dataset, method=method, shots=1, **task)


def test_it_can_be_allowed() -> None:
    dataset = images(["Cat", "cat"])
    for method in ("zero-shot", "linear-probe"):
        assert learn(VLM, dataset, method=method, shots=1, allow_equal_prompts=True).method.class_names == [
            "Cat",
            "cat",
        ]
    with pytest.raises(DataError):  # the permission ends with the call
        ZeroShot(VLM, ["Cat", "cat"])


def test_cut_names_are_compared_as_they_are_laid_out() -> None:
    names = [f"{'long ' * 90}{end}" for end in ("one", "two")]
    message = r"the same tokens \(the last tokens of names that are too long are cut\)"
    for make in (CoOp, ZeroShot):
        with pytest.raises(DataError, match=message):
            make(VLM, names, truncate_names=True)
    # An ensemble tells classes apart where one of its prompts does.
    n_long = (VLM.context_length - 6) // len(VLM.tokenizer.encode("long"))
    fits = [f"{'long ' * n_long}{end}" for end in ("one", "two")]
    ZeroShot(VLM, fits, templates=[f"{'a ' * 20}{{}}", "{}"], truncate_names=True)


def test_a_map_of_names_and_a_folder(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "d" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (11, 13), (ord(label), number, 7)).save(tmp_path / "d" / label / f"{number}.png")
    splits = load_dataset(tmp_path / "d", class_names={"a": "Stop Sign", "b": "stop_sign"})
    with pytest.raises(DataError, match="'Stop Sign' and 'stop_sign'"):
        learn(VLM, splits.train, shots=1)


def test_classes_of_several_data_sets_may_be_alike() -> None:
    joined = join_datasets({"one": Splits(images(["Dog", "cat"])), "two": Splits(images(["dog", "bird"]))})
    settings = {"grouped": True}
    learned = learn(VLM, joined.train, method="zero-shot", task_settings=settings)
    assert learned.method.class_names == ["Dog", "cat", "dog", "bird"]
    with pytest.raises(DataError, match="'Dog' and 'dog'"):
        both = join_datasets({"one": Splits(images(["Dog", "dog"])), "two": Splits(images(["dog", "bird"]))})
        learn(VLM, both.train, method="zero-shot", task_settings=settings)


def test_other_classes_of_a_run(tmp_path: Path) -> None:
    with equal_prompts_allowed():
        learned = learn(VLM, images(["Box", "box"]), method="zero-shot", allow_equal_prompts=True)
    save_run(tmp_path / "run", learned.method, records=[], details=learned.details())
    run = load_run(tmp_path / "run")
    assert run.build(VLM).class_names == ["Box", "box"]  # allowed when it was learned
    with pytest.raises(DataError, match="'Cat' and 'cat'"):
        run.predictor(VLM, ["Cat", "dog", "cat"])
    assert run.predictor(VLM, ["Cat", "cat"], allow_equal_prompts=True).task.class_names == ["Cat", "cat"]
