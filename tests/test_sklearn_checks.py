"""scikit-learn's own checks of estimators, on rows of numbers that are drawn as small grey images.

A check that cannot apply is named below with its reason.
"""

from collections.abc import Sequence
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

from coopt import PromptClassifier, load_model
from coopt.methods import Method, Shots
from coopt.models import VLM
from tests.models.folders import clip_folder

CANNOT_APPLY = {
    "check_sample_weight_equivalence_on_dense_data": "it wants float64; features are float32, to the last bits of which "
    "the other images of a batch matter (test_estimator_contract.py has it with a tolerance)",
    "check_parameters_default_constructible": "UNSET tells a setting that nobody gave from None, which is a value",
}


class Means(Method):
    """The nearest class mean of image features, with the logarithm of what each class counts: quick and exact."""

    uses_words = False

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.means = nn.Parameter(torch.zeros(len(class_names), vlm.embed_dim), requires_grad=False)
        self.prior = nn.Parameter(torch.zeros(len(class_names)), requires_grad=False)

    def prepare(self, shots: Shots) -> None:
        x, y, weight = shots.train.images.double(), shots.train.targets, shots.train.weight
        weight = torch.ones(len(y)) if weight is None else weight
        count = torch.zeros(len(self.class_names)).double().index_add(0, y, weight.double())
        sums = torch.zeros(self.means.shape).double().index_add(0, y, weight[:, None] * x)
        count = count.clamp_min(1e-9)  # of a class whose images all have weight 0
        self.means.data = (sums / count[:, None]).float()
        self.prior.data = (count / count.sum()).log().float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.prior - (images[:, None] - self.means).square().sum(-1)  # (B, C)


class RowClassifier(PromptClassifier):
    """Takes rows of numbers, as the checks give them, and makes an image of each."""

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "RowClassifier":
        super().fit(as_images(X), y, sample_weight=sample_weight)
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        return super().score(as_images(X), y, sample_weight)

    def _logits(self, X: Any, on_error: str) -> Any:
        return super()._logits(X if isinstance(X, list) else as_images(X), on_error)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def as_images(rows: Any) -> Any:
    """Each row as an image of one line; numbers of any size become grey, and different ones stay different."""
    if hasattr(rows, "tocsr"):
        return rows
    return [0.5 + row[None] / (4 + np.abs(row[None])) / 2 for row in np.asarray(rows, dtype=np.float64)]


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> VLM:
    folder = tmp_path_factory.mktemp("models") / "clip"
    clip_folder(folder)
    return load_model(folder)


CHECKS = [check for _, check in estimator_checks_generator(RowClassifier(method=Means))]


def name_of(check: Any) -> str:
    return name_of(check.func) if hasattr(check, "func") else check.__name__


@pytest.mark.filterwarnings("ignore:The class names are bare numbers", "ignore:Each image of")
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_a_check_of_scikit_learn(check: Any, vlm: VLM, request: pytest.FixtureRequest) -> None:
    if reason := CANNOT_APPLY.get(name_of(check)):
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    try:
        check(RowClassifier(vlm, Means, shots="all"))
    except SkipTest as error:  # a package that the check needs is not installed
        pytest.skip(str(error))


def test_every_check_that_cannot_apply_is_one() -> None:
    assert set(CANNOT_APPLY) <= {name_of(check) for check in CHECKS}
