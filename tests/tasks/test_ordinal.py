"""The task `ordinal`: ranks, targets, loss, decisions and metrics against closed forms and plain loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import cohen_kappa_score

from coopt.data import ImageDataset
from coopt.errors import ConfigError, DataError
from coopt.tasks import Ordinal, make_task, task_of
from coopt.tasks.ordinal_metrics import bootstrap_interval
from coopt.tasks.ranks import make_ranks, read_number


def dataset(labels: list[str], **options: Any) -> ImageDataset:
    """Images (never opened) with these labels."""
    distinct = sorted(set(labels))
    numbers = np.array([distinct.index(label) for label in labels], dtype=np.int64)
    names = [f"{i}.png" for i in range(len(labels))]
    return ImageDataset([None] * len(labels), numbers, distinct, names=names, source="the table 'ages.csv'", **options)


def logits_of(rows: list[list[float]]) -> torch.Tensor:
    """Logits whose softmax is these rows."""
    return torch.tensor(rows).log()


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ("0:4", ["0", "1", "2", "3", "4"]),
        ("0:10:5", ["0", "5", "10"]),
        ("-30:30:30", ["-30", "0", "30"]),
        ("1:2:0.5", ["1.0", "1.5", "2.0"]),
        (" low, medium ,high", ["low", "medium", "high"]),
        ("1,2,5,10", ["1", "2", "5", "10"]),
        ([3, 4.5], ["3", "4.5"]),
        (range(7, 10), ["7", "8", "9"]),
    ],
)
def test_ranks_as_they_are_given(given: Any, labels: list[str]) -> None:
    ranks = make_ranks(given, [])
    assert ranks.labels == labels
    assert ranks.values == ([0.0, 1.0, 2.0] if "low" in labels else [float(label) for label in labels])
    task = Ordinal(["1"], ranks=given)
    again = make_task("ordinal", task.class_names, task.class_labels, task.settings)
    assert (again.class_labels, again.class_names, again.settings) == (labels, task.class_names, task.settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("5:1", "ranks is '5:1'; a range rises"),
        ("0:10:3", "steps of 3 from 0 do not meet 10. End at 9 or at 12"),
        ("0:1000000", "1000001 ranks; at most 1001"),
        ("a:b", "a range is FIRST:LAST or FIRST:LAST:STEP in numbers"),
        ("1:2:3:4", "a range is FIRST:LAST"),
        ("7", "'7', which is one rank"),
        ("", "a rank is empty"),
        ("low,,high", "a rank is empty"),
        ("low,high,low", "each rank may stand there once, repeated: 'low'"),
        ("1,2,many", "'many' is no number, and the others are"),
        ("3,2,1", "numbers must rise"),
        ("1,1.0", "numbers must rise"),
        ("1,1e99", "the label '1e99' is larger than 1e"),
    ],
)
def test_ranks_that_cannot_be_used(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        Ordinal(["1", "2"], ranks=given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("34 years", r"has 'years' after the number; write only the number \(34\)"),
        ("50%", r"has '%' after the number"),
        ("1,5", "has a comma; write its decimals after a point"),
        ("1,000.5", "has a comma"),
        ("1_000", "has '_000' after the number"),
        ("old", "'old' is no number"),
        ("nan", "'nan' is no number"),
        ("inf", "'inf' is no number"),
        ("", "'' is no number"),
        ("12 14", "'12 14' is no number"),
        ("1e999", "'1e999' is larger than 1e"),
        ("\u0663", "is no number"),
    ],
)
def test_labels_that_are_no_numbers(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_number(text)


def test_numbers_are_read_in_their_usual_spellings() -> None:
    assert [float(read_number(text)) for text in ("34", " -2.5", "+1e3", ".5", "007", "3.")] == [
        34,
        -2.5,
        1000,
        0.5,
        7,
        3,
    ]


def test_a_wrong_label_is_named_with_its_image_row_and_column() -> None:
    rows = np.array([2, 3, 5, 7])
    data = dataset(["12", "34 years", "7", "34 years"], rows=rows, label_column="age")
    message = r"2 images have labels .* first is '1.png' of the table 'ages.csv' \(row 3, column 'age'\): .*'34 years'"
    with pytest.raises(DataError, match=message):
        task_of("ordinal", data)
    outside = dataset(["12", "101"], rows=rows[:2], label_column="age")
    message = r"1 image has a label .* \(row 3, column 'age'\): the label '101' lies outside the ranks, .* 0 to 100"
    with pytest.raises(DataError, match=message):
        task_of("ordinal", outside, {"ranks": "0:100"})
    with pytest.raises(DataError, match=message):
        task_of("ordinal", data.subset([0]), {"ranks": "0:100"}).targets(outside)
    part = data.subset([3, 0])
    with pytest.raises(DataError, match=r"'3.png' of the table 'ages.csv' \(row 7, column 'age'\)"):
        task_of("ordinal", part)


def test_categories_and_one_number_need_ranks() -> None:
    with pytest.raises(DataError, match=r"'good' is no number.*task_settings=\{'ranks': 'low,medium,high'\}"):
        task_of("ordinal", dataset(["good", "bad", "good"]))
    with pytest.raises(DataError, match="All labels are the number 4"):
        task_of("ordinal", dataset(["4", "4"]))
    with pytest.raises(DataError, match="the label 'High' is none of the ranks .*did you mean 'high'"):
        task_of("ordinal", dataset(["low", "High"]), {"ranks": "low,high"})
    many = [f"{1 + 0.01 * i:.2f}" for i in range(400)]
    with pytest.raises(DataError, match=r"400 different numbers from 1.00 to 4.99; .* such as 1.0:5.0:0.1"):
        task_of("ordinal", dataset(many))


def test_large_numbers_are_told_apart() -> None:
    data = dataset(["20231231", "20231230", "20231231"])
    task = task_of("ordinal", data)
    assert task.classes(task.targets(data)).tolist() == [1, 0, 1]
    assert task.decide(torch.tensor([[9.0, -9.0]])).answers[0] == pytest.approx(20231230, abs=1e-3)


def test_ranks_come_from_the_data_in_the_order_of_numbers() -> None:
    data = dataset(["10", "9.5", "-3", "10.0", "9.5"])
    task = task_of("ordinal", data)
    assert task.class_labels == ["-3", "9.5", "10"]
    assert task.targets(data).tolist() == [10.0, 9.5, -3.0, 10.0, 9.5]
    assert task.classes(task.targets(data)).tolist() == [2, 1, 0, 2, 1]


def test_a_label_between_ranks_is_learned_as_the_nearer_and_measured_as_it_is() -> None:
    data = dataset(["37", "2", "97.5", "100"])
    task = task_of("ordinal", data, {"ranks": "0:100:5"})
    assert task.classes(task.targets(data)).tolist() == [7, 0, 19, 20]  # 97.5 is as near to 95 as to 100
    sure = torch.full((4, 21), -50.0)
    sure[torch.arange(4), [7, 0, 19, 20]] = 50.0
    metrics = task.metrics(sure, task.targets(data))
    assert metrics.mae == pytest.approx((2 + 2 + 2.5 + 0) / 4)
    assert metrics.mae_rank == pytest.approx(metrics.mae)
    assert metrics.accuracy == metrics.coverage == 100.0


def test_words_of_ranks_and_ranks_without_words() -> None:
    data = ImageDataset([None] * 2, np.array([0, 1]), ["one", "three"], ["1", "3"])
    assert task_of("ordinal", data).class_names == ["one", "three"]
    with pytest.warns(UserWarning, match="1 of the 3 ranks are no labels of the data.* the first is '2'"):
        assert task_of("ordinal", data, {"ranks": "1:3"}).class_names == ["one", "2", "three"]


def test_losses_are_their_formulas_with_weights() -> None:
    torch.manual_seed(3)
    logits, targets, weight = torch.randn(7, 5), torch.tensor([0.0, 1, 4, 2, 2, 3, 4]), torch.rand(7)
    task = Ordinal(list("01234"))
    each = F.cross_entropy(logits, targets.long(), reduction="none")
    assert torch.allclose(task.loss(logits, targets), each.mean())
    assert torch.allclose(task.loss(logits, targets, weight), (weight * each).mean())
    total = 0.0  # NumCLIP: |i - y| times (C - 1) over the sum of all distances; the right one keeps 1
    for i, y in enumerate(targets.long().tolist()):
        away = [abs(r - y) for r in range(5)]
        scaled = [1.0 if r == y else away[r] * 4 / sum(away) for r in range(5)]
        row = [float(logits[i, r]) * scaled[r] for r in range(5)]
        total += math.log(sum(map(math.exp, row))) - row[y]
    weighted = Ordinal(list("01234"), loss="distance-weighted")
    assert float(weighted.loss(logits, targets)) == pytest.approx(total / 7, rel=1e-5)


def test_decisions_are_quantiles_expectations_and_likely_ranks() -> None:
    task = Ordinal(["1", "2", "4", "8"], interval=0.8)
    decided = task.decide(logits_of([[0.1, 0.2, 0.3, 0.4], [0.04, 0.9, 0.03, 0.03], [0.25, 0.25, 0.25, 0.25]]))
    assert decided.answers == pytest.approx([4.9, 2.2, 3.75], rel=1e-5)
    assert [decided.ends(row) for row in range(3)] == [(0, 3), (1, 1), (0, 3)]  # the 10% and the 90% quantile
    assert decided.as_dict(1) == {"value": 2.2, "interval": [2, 2], "rank": 2, "score": 0.9}
    assert decided.lines(0) == [["4.900000", 1, 8, 8, "0.400000"]]
    assert decided.text(1) == "2.20 (2 to 2), 2 90.0%"
    grades = Ordinal(["low", "high"], ranks="low,medium,high").decide(logits_of([[0.2, 0.7, 0.1]]))
    assert grades.answers.tolist() == ["medium"]
    assert grades.as_dict(0) == {"value": 0.9, "interval": ["low", "high"], "rank": "medium", "score": 0.7}
    assert grades.text(0) == "medium 70.0% (low to high)"
    two = task.decide(logits_of([[0.1, 0.2, 0.3, 0.4]]), top_k=2)
    assert two.as_dict(0)["ranks"] == [{"rank": 8, "score": 0.4}, {"rank": 4, "score": 0.3}]
    assert two.text(0) == "4.90 (1 to 8), 8 40.0%, 4 30.0%"


def test_metrics_against_plain_loops() -> None:
    torch.manual_seed(5)
    n, values = 43, [1.0, 2.0, 3.0, 5.0, 8.0]
    task = Ordinal([f"{value:g}" for value in values])
    places = torch.randint(0, 5, (n,))
    logits = 3 * torch.randn(n, 5) + 4 * F.one_hot(places, 5)
    targets = torch.tensor(values)[places]
    found = task.metrics(logits, targets)
    probabilities, likely = logits.double().softmax(-1).numpy(), logits.argmax(-1)
    expected = [sum(p * v for p, v in zip(row, values, strict=True)) for row in probabilities]
    errors = [abs(e - t) for e, t in zip(expected, targets.tolist(), strict=True)]
    assert found.mae == pytest.approx(sum(errors) / n)
    assert found.rmse == pytest.approx(math.sqrt(sum(e * e for e in errors) / n))
    assert found.mae_rank == pytest.approx(
        sum(abs(values[a] - values[b]) for a, b in zip(likely.tolist(), places.tolist(), strict=True)) / n
    )
    steps = (likely - places).abs()
    assert found.accuracy == pytest.approx(100 * int((steps == 0).sum()) / n)
    assert found.within == {str(k): pytest.approx(100 * int((steps <= k).sum()) / n) for k in (0, 1, 2, 3)}
    assert found.kappa == pytest.approx(cohen_kappa_score(places, likely, weights="quadratic"))
    assert list(found.cumulative_score) == [str(t) for t in range(8)]
    assert found.cumulative_score["2"] == pytest.approx(100 * sum(e <= 2 for e in errors) / n)
    inside = 0
    for row, place in zip(probabilities, places.tolist(), strict=True):
        below = np.cumsum(row)
        inside += int(np.argmax(below >= 0.05)) <= place <= int(np.argmax(below >= 0.95))
    assert found.coverage == pytest.approx(100 * inside / n)
    assert found.per_rank["5"]["images"] == int((places == 3).sum())
    assert found.mae_low < found.mae < found.mae_high
    assert set(found.figures()) == {
        "mae", "mae_low", "mae_high", "mae_rank", "rmse", "accuracy", "within_1", "spearman", "kappa", "coverage"
    }  # fmt: skip
    assert "Mean absolute error " in found.sentence() and "of the most likely rank" in found.sentence()


def test_spearman_is_the_correlation_of_ranks() -> None:
    task = Ordinal(["0", "1", "2", "3"])
    sure = torch.eye(4)[[0, 2, 1, 3]] * 60
    assert task.metrics(sure, torch.tensor([0.0, 1, 2, 3])).spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert task.metrics(sure[:1], torch.tensor([0.0])).spearman == 0.0


def test_answers_that_do_not_vary_have_figures_too() -> None:
    task = Ordinal(["0", "1", "2"])
    same = task.metrics(torch.tensor([[0.0, 60, 0]] * 3), torch.ones(3))
    assert (same.mae, same.kappa, same.spearman, same.accuracy) == (pytest.approx(0, abs=1e-12), 1.0, 0.0, 100.0)
    wrong = task.metrics(torch.tensor([[60.0, 0, 0]] * 3), torch.tensor([0.0, 1, 2]))
    assert (wrong.kappa, wrong.spearman) == (pytest.approx(0.0), 0.0)
    assert all(math.isfinite(value) for value in wrong.figures().values())
    with pytest.raises(DataError, match="no labelled image"):
        task.metrics(torch.zeros(0, 3), torch.zeros(0))


def test_the_bootstrap_interval_covers_the_mean_of_a_normal_sample() -> None:
    """1.96 standard errors to each side, to a tenth: the percentile bootstrap of many images."""
    errors = np.random.default_rng(0).normal(10.0, 2.0, 400)
    low, high = bootstrap_interval(errors)
    spread = 1.96 * errors.std() / math.sqrt(400)
    assert (errors.mean() - low, high - errors.mean()) == (
        pytest.approx(spread, rel=0.1),
        pytest.approx(spread, rel=0.1),
    )
    assert bootstrap_interval(errors) == (low, high)


def test_strata_are_ranks_or_bins_where_images_are_few() -> None:
    plenty = dataset([str(i % 13) for i in range(40)])
    assert task_of("ordinal", plenty).strata(plenty) is None  # the labels themselves
    twice = dataset(["1", "1.0", "2", "2", "3", "1"])
    assert task_of("ordinal", twice).strata(twice).tolist() == [0, 0, 1, 1, 2, 0]
    few = dataset([str(i) for i in range(0, 100, 5)])
    with pytest.warns(UserWarning, match="20 images have 20 different ranks: shots are drawn from 10 bins of 9.5 each"):
        bins = task_of("ordinal", few).strata(few)
    assert np.bincount(bins).tolist() == [2] * 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": 1.0}, "interval is 1.0; allowed is a number above 0 and below 1"),
        ({"interval": -0.5}, "interval is -0.5"),
        ({"loss": "distance"}, "loss is 'distance'; allowed is .*Did you mean 'distance-weighted'"),
        ({"rank": "0:5"}, "no setting 'rank'; its settings are: ranks, interval, loss"),
    ],
)
def test_settings_that_cannot_be_used(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_task("ordinal", ["1", "2"], None, settings)
    with pytest.raises(ConfigError, match="'ranks', which goes with ordered labels .*; its settings are: grouped"):
        make_task("classification", ["1", "2"], None, {"ranks": "0:5"})
