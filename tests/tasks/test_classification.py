"""Metrics against the authors' evaluator, closed forms and hand-made cases."""

import json
import math

import numpy as np
import pytest
import torch

from coopt.errors import DataError
from coopt.tasks import Classification, expected_calibration_error, wilson_interval
from tests.goldens.golden import FOLDER, golden_tensor


def test_accuracy_and_macro_f1_match_the_authors_evaluator() -> None:
    case = json.loads((FOLDER / "data.json").read_text())["cases"]["evaluator_60x6"]
    logits, labels = golden_tensor(case["inputs"]["logits"]), golden_tensor(case["inputs"]["labels"])
    logits[torch.arange(60), labels] += 1.5
    metrics = Classification(list("abcdef")).metrics(logits, labels)
    assert metrics.accuracy == pytest.approx(case["result"]["accuracy"])
    assert metrics.macro_f1 == pytest.approx(case["result"]["macro_f1"])
    assert sum(map(sum, metrics.confusion)) == 60
    assert metrics.accuracy == pytest.approx(100 * np.trace(np.array(metrics.confusion)) / 60)


def test_a_class_that_is_only_predicted_has_no_part_in_macro_f1() -> None:
    """Labels 0, 0, 1, 1 and predictions 0, 2, 1, 1: F1 of class 0 is 2/3, of class 1 it is 1; class 2 has no image.

    Over all predicted classes it would be 5/9.
    """
    logits = torch.eye(4)[[0, 2, 1, 1]]
    found = Classification(["tea", "owl", "fox", "cat"]).metrics(logits, torch.tensor([0, 0, 1, 1]))
    assert found.macro_f1 == pytest.approx(100 * 5 / 6)


def test_per_class_confusion_and_a_class_without_images() -> None:
    logits = torch.tensor([[3.0, 1, 0], [0, 2, 1], [5, 1, 2], [0, 1, 0]])
    metrics = Classification(["x", "y", "z"]).metrics(logits, torch.tensor([0, 1, 1, 1]))
    assert metrics.per_class == {"x": 100.0, "y": pytest.approx(200 / 3), "z": None}
    assert metrics.confusion == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Closed form at the ends: 0 of n gives [0, z^2 / (n + z^2)]; half gives 0.5 +- z / (2 sqrt(n + z^2)).
    [(0, 10, 0.0, 3.8414588 / 13.8414588), (10, 10, 1 - 3.8414588 / 13.8414588, 1.0)],
)
def test_wilson_interval(hits: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(hits, n) == pytest.approx((low, high), abs=1e-7)
    half = wilson_interval(50, 100)
    spread = 1.959964 / (2 * math.sqrt(100 + 3.8414588))
    assert half == pytest.approx((0.5 - spread, 0.5 + spread), abs=1e-6)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (1, 1), (7, 7), (3, 11), (499, 997), (49999, 50000)])
def test_wilson_interval_is_the_root_of_the_score_test(hits: int, n: int) -> None:
    """(p - share)^2 = z^2 p (1 - p) / n, solved for p."""
    z, share = 1.959963984540054, hits / n
    centre = share + z**2 / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    ends = (max(0.0, (centre - spread) / (1 + z**2 / n)), min(1.0, (centre + spread) / (1 + z**2 / n)))
    assert wilson_interval(hits, n) == pytest.approx(ends, abs=1e-12)


def test_calibration_error_by_hand() -> None:
    """Four images, confidence 0.75 each, three right: no error. Confidence 0.95, all wrong: 0.95."""

    def logits(confidence: float, n: int) -> torch.Tensor:
        return torch.tensor([[math.log(confidence), math.log(1 - confidence)]]).repeat(n, 1)

    assert expected_calibration_error(logits(0.75, 4), torch.tensor([0, 0, 0, 1])) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(logits(0.95, 3), torch.tensor([1, 1, 1])) == pytest.approx(0.95, abs=1e-6)
    both = torch.cat([logits(0.75, 4), logits(0.95, 4)])
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    assert expected_calibration_error(both, labels) == pytest.approx(0.475, abs=1e-6)


def two_class_logits(*confidences: float) -> torch.Tensor:
    """Logits whose first class has the given probability."""
    p = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([p.log(), (1 - p).log()], dim=1)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    """Equal logits are 0.5 exactly, an edge of 4 bins. 0.5 (right) and 0.6 (wrong) are then in two bins of one image
    each: (|0.5 - 1| + |0.6 - 0|) / 2. In one bin it would be |0.55 - 0.5|.
    """
    logits = torch.cat([torch.zeros(1, 2, dtype=torch.float64), two_class_logits(0.6)])
    assert expected_calibration_error(logits, torch.tensor([0, 1]), n_bins=4) == pytest.approx(0.55, abs=1e-9)


def test_there_are_fifteen_bins() -> None:
    """0.61 (right) is in bin 10 of 15, 0.67 (wrong) in bin 11: (0.39 + 0.67) / 2. Bins a fifteenth wide part them, and
    keep 0.61 and 0.65 (right and wrong, both in bin 10) together: |0.63 - 0.5|.
    """
    apart, together = two_class_logits(0.61, 0.67), two_class_logits(0.61, 0.65)
    labels = torch.tensor([0, 1])
    assert expected_calibration_error(apart, labels) == pytest.approx(0.53, abs=1e-9)
    assert expected_calibration_error(together, labels) == pytest.approx(0.13, abs=1e-9)


def test_logits_that_are_not_finite_are_refused() -> None:
    logits = torch.zeros(3, 2)
    logits[1, 0] = float("nan")
    with pytest.raises(DataError, match="image number 1 are not finite"):
        Classification(["a", "b"]).metrics(logits, torch.tensor([0, 1, 0]))
    with pytest.raises(DataError, match="no labelled image"):
        Classification(["a", "b"]).metrics(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))


def test_classes_of_the_same_words_are_told_apart_by_their_labels() -> None:
    """Two data sets learned at once, or ImageNet's list, have classes with the same words."""
    task = Classification(["cat", "dog", "cat"], ["a/cat", "a/dog", "b/cat"])
    logits = torch.tensor([[3.0, 1, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1]])
    metrics = task.metrics(logits, torch.tensor([0, 1, 2, 2]))
    assert metrics.per_class == {"a/cat": 100.0, "dog": 100.0, "b/cat": 50.0}
    per_class, confusion = metrics.tables()
    assert per_class.rows[2] == ("b/cat", "2", "50.0%", "a/cat (1)")
    assert [row[0] for row in confusion.rows] == ["1 a/cat", "2 dog", "3 b/cat"]
    assert task.decide(logits, 2).text(2).startswith("b/cat ")
