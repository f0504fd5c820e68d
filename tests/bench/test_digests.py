"""What a run's id knows of the data: names of images, labels, class names, the part that is used, the template."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from coopt.bench.digests import Digests
from coopt.bench.protocols import Evaluation
from coopt.data import ImageDataset
from coopt.datasets import Benchmark

WORDS = ["tea", "owl", "fox"]


def part(labels: list[int], names: list[str] | None = None, words: list[str] | None = None) -> ImageDataset:
    names = names or [f"{place}.png" for place in range(len(labels))]
    return ImageDataset([Image.new("RGB", (4, 4))] * len(labels), np.array(labels), words or WORDS, names=names)


PLAIN = Benchmark("set", "a {}.", WORDS, part([0, 1, 2, 0]), part([2, 1]), part([1, 1, 0]))


def digests(benchmark: Benchmark, method: str | None = "zero-shot") -> tuple[str, str]:
    """Of what is learned from, and of what is tested on."""
    found = Digests({"set": benchmark})
    return found.of_source(benchmark, "all"), found.of_test(Evaluation("set", "all"), method)


@pytest.mark.parametrize(
    ("changes", "source", "test"),
    [
        ({"train": part([0, 1, 0, 2])}, True, False),  # the same images, labelled otherwise
        ({"val": part([1, 2])}, True, False),
        ({"test": part([1, 0, 1])}, False, True),
        ({"train": part([0, 1, 2, 0], names=["a", "b", "c", "d"])}, True, False),
        ({"test": part([1, 1, 0], names=["a", "b", "c"])}, False, True),
        ({"train": part([0, 1, 2, 0], words=["tea", "owl", "cat"])}, True, False),
        ({"test": part([1, 1, 0], words=["tea", "owl", "cat"])}, False, True),
        ({"val": None}, True, False),
        ({"template": "the {}."}, False, True),
        ({"task": "classification"}, True, False),
    ],
)
def test_what_changes_a_digest(changes: dict, source: bool, test: bool) -> None:
    before, after = digests(PLAIN), digests(replace(PLAIN, **changes))
    assert (before[0] != after[0], before[1] != after[1]) == (source, test)


def test_a_method_without_prompts_of_the_data_set_does_not_ask_for_its_template() -> None:
    assert digests(PLAIN, None)[1] == digests(replace(PLAIN, template="the {}."), None)[1]


def test_the_half_that_is_learned_from_is_in_the_digest() -> None:
    found = Digests({"set": PLAIN})
    assert found.of_source(PLAIN, "all") != found.of_source(PLAIN, "base")
