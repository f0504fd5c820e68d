"""What a run computes: the right images, classes, prompts and seeds, and nothing of the test part in any choice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import coopt.bench.execute
from coopt.bench import BenchFolder, InlineEngine, ModelChoice, Places, Run, read_failures, run_bench
from coopt.bench.execute import Failed, attempt, execute
from coopt.bench.shared import HeldOut, Shared
from coopt.data import ImageDataset
from coopt.evaluate import dataset_logits
from coopt.evaluate.record import Record
from coopt.fit import Learned, Recipe, learn
from coopt.methods import ZeroShot, build_method
from coopt.models import VLM
from coopt.tasks import Classification
from tests.bench.conftest import Plan
from tests.bench.pictures import SHAPES, SIGNS, write_data

QUICK = "coop n_ctx=3, epochs=3"


@pytest.fixture
def vlm(shared: Shared, choice: ModelChoice) -> VLM:
    return shared.model(choice)


def by_hand(vlm: VLM, test: ImageDataset, template: str) -> dict[str, float]:
    """Metrics of a hand-written prompt among the classes of `test`."""
    return metrics(vlm, ZeroShot(vlm, test.class_names, templates=template), test)


def metrics(vlm: VLM, method: Any, test: ImageDataset) -> dict[str, float]:
    logits = dataset_logits(vlm, method.predictor(), test).logits
    found = Classification(test.class_names).metrics(logits, torch.as_tensor(test.labels))
    return {"accuracy": found.accuracy, "calibration_error": found.calibration_error}


def of(line: Record) -> dict[str, float]:
    """What `metrics` compares; the calibration error tells two predictions apart where the accuracy is the same."""
    return {name: pytest.approx(line.metrics[name], abs=1e-4) for name in ("accuracy", "calibration_error")}


def test_fewshot_is_what_learning_by_hand_gives(plan: Plan, shared: Shared, vlm: VLM, places: Places) -> None:
    shapes = places.load("shapes")
    seen = []
    for run in plan("fewshot", "shapes", QUICK, n_seeds=2):
        (line,) = execute(run, shared).records
        learned = learn(
            vlm,
            shapes.train,
            val=shapes.val,
            settings={"n_ctx": 3},
            shots=2,
            seed=line.seed,
            recipe=Recipe(epochs=3),
        )
        assert metrics(vlm, learned.method, shapes.test) == of(line)
        seen.append(line.metrics["calibration_error"])
        assert (line.n_train, line.n_test, line.n_classes, line.shots) == (10, 15, 5, 2)
        assert (line.source, line.dataset, line.subset) == ("shapes", "shapes", "all")
        assert line.n_parameters == 3 * vlm.text.width
        assert line.settings["n_ctx"] == 3
        assert line.recipe["epochs"] == 3
        assert line.selection == "none"
        assert line.seconds["fit"] > 0 and line.seconds["evaluate"] > 0
        assert 50 < line.peak_memory_mb < 20_000
    assert seen[0] != seen[1]


def test_base_to_new_learns_the_first_half_and_tests_each_half_by_itself(
    plan: Plan, shared: Shared, vlm: VLM, places: Places
) -> None:
    shapes = places.load("shapes")
    assert shapes.class_names == sorted(SHAPES)
    halves = {"base": [0, 1, 2], "new": [3, 4]}
    (run,) = plan("base-to-new", "shapes", QUICK)
    lines = {line.subset: line for line in execute(run, shared).records}
    learned = learn(
        vlm, shapes.train, val=shapes.val, classes=halves["base"],
        settings={"n_ctx": 3}, shots=2, seed=1, recipe=Recipe(epochs=3),
    )  # fmt: skip
    new = build_method("coop", vlm, [shapes.class_names[c] for c in halves["new"]], {"n_ctx": 3})
    new.load_state_dict(learned.method.state_dict())
    for name, method in (("base", learned.method), ("new", new)):
        assert metrics(vlm, method, shapes.test.select_classes(halves[name])) == of(lines[name])
        assert lines[name].n_classes == len(halves[name])
        assert lines[name].n_test == 3 * len(halves[name])
        assert lines[name].n_train == 2 * 3


def test_base_to_new_of_a_hand_written_prompt(plan: Plan, shared: Shared, vlm: VLM, places: Places) -> None:
    (run,) = plan("base-to-new", "signs", "zero-shot")
    base, new = execute(run, shared).records
    signs = places.load("signs")
    assert by_hand(vlm, signs.test.select_classes([0, 1]), "a sign with a {}.") == of(base)
    assert by_hand(vlm, signs.test.select_classes([2, 3]), "a sign with a {}.") == of(new)
    assert (base.shots, base.selection, base.n_parameters, base.recipe) == (None, "none", 0, None)


def test_what_is_learned_for_its_own_classes_alone_has_no_line_for_others(plan: Plan, shared: Shared) -> None:
    for method in ("linear-probe", "coop class_specific=yes, epochs=1"):
        (run,) = plan("base-to-new", "shapes", method)
        assert [line.subset for line in execute(run, shared).records] == ["base"]
        (run,) = plan("cross-dataset", "shapes,signs", method, sources=["shapes"])
        assert [line.dataset for line in execute(run, shared).records] == ["shapes"]


def test_cross_dataset_prompts_with_the_names_and_template_of_the_data_set_it_tests(
    plan: Plan, shared: Shared, vlm: VLM, places: Places
) -> None:
    runs = plan("cross-dataset", "shapes,signs", f"zero-shot; {QUICK}", sources=["shapes"])
    lines = [line for run in runs for line in execute(run, shared).records]
    found = {(line.method, line.source, line.dataset): line for line in lines}
    assert sorted(found) == [
        ("coop", "shapes", "shapes"),
        ("coop", "shapes", "signs"),
        ("zero-shot", "shapes", "shapes"),
        ("zero-shot", "signs", "signs"),
    ]
    signs, shapes = places.load("signs"), places.load("shapes")
    assert by_hand(vlm, signs.test, "a sign with a {}.") == of(found["zero-shot", "signs", "signs"])
    learned = learn(vlm, shapes.train, val=shapes.val, settings={"n_ctx": 3}, shots=2, seed=1, recipe=Recipe(epochs=3))
    there = build_method("coop", vlm, sorted(SIGNS), {"n_ctx": 3})
    there.load_state_dict(learned.method.state_dict())
    assert metrics(vlm, there, signs.test) == of(found["coop", "shapes", "signs"])
    assert found["coop", "shapes", "signs"].n_classes == 4


def test_what_learns_under_a_template_is_tested_elsewhere_under_the_template_there(
    plan: Plan, shared: Shared, vlm: VLM, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ZeroShot, "uses_shots", True)  # so that one run, of the source, tests both
    (run,) = plan("cross-dataset", "shapes,signs", "zero-shot", sources=["shapes"])
    lines = {line.dataset: line for line in execute(run, shared).records}
    assert by_hand(vlm, places.load("shapes").test, "an icon of a {}.") == of(lines["shapes"])
    assert by_hand(vlm, places.load("signs").test, "a sign with a {}.") == of(lines["signs"])


def test_shift_tests_among_the_classes_of_the_variant(plan: Plan, shared: Shared, vlm: VLM, places: Places) -> None:
    """The variant has three of the source's five classes; a linear probe keeps their three columns."""
    shapes, chalk = places.load("shapes"), places.load("chalk")
    runs = {run.method: run for run in plan("shift", "shapes", f"linear-probe; {QUICK}")}
    lines = {method: execute(run, shared).records for method, run in runs.items()}
    assert [[line.dataset for line in found] for found in lines.values()] == [["shapes", "chalk"]] * 2
    assert all(found[1].n_classes == 3 and found[1].n_test == 6 for found in lines.values())
    probe = learn(vlm, shapes.train, val=shapes.val, method="linear-probe", shots=2, seed=1)
    columns = [shapes.class_names.index(name) for name in chalk.class_names]
    assert columns == [1, 2, 4]
    logits = dataset_logits(vlm, probe.method.predictor(), chalk.test).logits[:, columns]
    found = Classification(chalk.class_names).metrics(logits, torch.as_tensor(chalk.test.labels))
    assert found.accuracy == pytest.approx(lines["linear-probe"][1].metrics["accuracy"])
    assert found.calibration_error == pytest.approx(lines["linear-probe"][1].metrics["calibration_error"], abs=1e-4)
    (chalk_run,) = [run for run in plan("shift", "shapes", "zero-shot") if run.source == "chalk"]
    assert by_hand(vlm, chalk.test, "a chalk {}.") == of(execute(chalk_run, shared).records[0])


def test_the_views_of_a_test_image_are_drawn_from_the_runs_seed(
    plan: Plan, shared: Shared, vlm: VLM, places: Places
) -> None:
    signs, found = places.load("signs"), []
    for run in plan("zero-shot", "signs", "tpt n_views=5", n_seeds=2):
        (line,) = execute(run, shared).records
        method = build_method("tpt", vlm, signs.class_names, {"n_views": 5})
        logits = dataset_logits(vlm, method.predictor(), signs.test, seed=run.seed).logits
        by_seed = Classification(signs.class_names).metrics(logits, torch.as_tensor(signs.test.labels))
        assert line.metrics["calibration_error"] == pytest.approx(by_seed.calibration_error, abs=1e-4)
        found.append(line.metrics["calibration_error"])
    assert abs(found[0] - found[1]) > 1e-2


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        ("fewshot", "shapes"),
        ("fewshot", "signs"),
        ("base-to-new", "shapes"),
        ("base-to-new", "signs"),
        ("shift", "shapes"),
    ],
)
def test_no_choice_sees_a_test_image(
    protocol: str, names: str, plan: Plan, shared: Shared, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    found: list[Learned] = []

    def spy(vlm: VLM, train: ImageDataset, **options: Any) -> Any:
        given.append({"train": train, **options})
        found.append(learn(vlm, train, **options))
        return found[-1]

    monkeypatch.setattr(coopt.bench.execute, "learn", spy)
    data = places.load(names)
    for run in plan(protocol, names, "linear-probe", shots=[3]):
        lines = execute(run, shared).records
        assert {line.selection for line in lines} == {"validation shots" if data.val else "cross-validation"}
    ((call,), (learned,)) = given, found
    assert call["train"].images == data.train.images
    assert (call["shots"], call["seed"]) == (3, 1)
    kept = data.class_names[: (len(data.class_names) + 1) // 2] if protocol == "base-to-new" else data.class_names
    assert learned.train.class_names == kept
    assert set(learned.train.images) < set(data.train.images)
    assert learned.train.class_counts().tolist() == [3] * len(kept)
    if names == "signs":  # it has no validation images: none are given, and none of another part take their place
        assert call["val"] is None and learned.val is None
    else:
        assert call["val"].images == data.val.images
        assert set(learned.val.images) <= set(data.val.images)
        assert learned.val.class_counts().tolist() == [2] * len(kept)


def test_the_selection_is_named(plan: Plan, shared: Shared) -> None:
    def selection(names: str, method: str, shots: int) -> str:
        (run,) = plan("fewshot", names, method, shots=[shots])
        return execute(run, shared).records[0].selection

    assert selection("shapes", "linear-probe", 2) == "validation shots"
    assert selection("signs", "linear-probe", 2) == "cross-validation"
    assert selection("signs", "linear-probe", 1) == "none"
    assert selection("shapes", "coop epochs=1", 2) == "none"


def test_a_result_does_not_depend_on_what_the_process_did_before(plan: Plan, shared: Shared) -> None:
    run, other = plan("fewshot", "shapes", f"{QUICK}; coop n_ctx=2, epochs=1")
    first = execute(run, shared).records[0].metrics
    execute(other, shared)
    torch.rand(7)
    np.random.rand(3)
    assert execute(run, shared).records[0].metrics == first
    assert execute(run, Shared()).records[0].metrics == first


def test_features_of_half_the_classes_are_those_of_their_images(
    plan: Plan, shared: Shared, vlm: VLM, places: Places
) -> None:
    held_out = shared.test_set(places, "shapes")
    part = held_out.features(vlm, [1, 4])
    whole = held_out.features(vlm, None)
    rows = [index for index, label in enumerate(held_out.whole.labels) if label in (1, 4)]
    assert torch.equal(part.features, whole.features[rows])
    assert part.indices.tolist() == list(range(6))


def test_unreadable_test_images_are_left_out_and_told(plan: Plan, choice: ModelChoice, tmp_path: Any) -> None:
    from tests.bench.pictures import write_data

    file = write_data(tmp_path / "data")
    (tmp_path / "data" / "shapes" / "test" / "bar" / "1.png").write_bytes(b"no picture")
    where = Places(str(file.parent), str(file))
    (run,) = plan("base-to-new", "shapes", "zero-shot", where=where)
    result = execute(run, Shared())
    assert {line.subset: line.n_test for line in result.records} == {"base": 8, "new": 6}
    assert [note for note in result.notes if "test/bar/1.png" in note]


def test_a_run_that_cannot_be_done_says_why(plan: Plan, shared: Shared) -> None:
    (run,) = plan("fewshot", "shapes", "coop n_ctx=80, epochs=1")
    found = attempt(run, shared)
    assert isinstance(found, Failed)
    assert "80" in found.reason
    assert found.traceback is None  # a mistake that the message says how to mend


def test_another_model_under_the_same_name_is_refused(plan: Plan) -> None:
    from dataclasses import replace

    (run,) = plan("fewshot", "shapes", "zero-shot")
    found = attempt(replace(run, model=ModelChoice("builtin", "other")), Shared())
    assert isinstance(found, Failed) and "changed while the benchmark ran" in found.reason


def test_nothing_is_written_of_a_run_that_fails_in_its_last_evaluation(
    plan: Plan, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fails_second(*arguments: Any) -> Any:
        calls.append(len(list((tmp_path / "runs").iterdir())))
        if len(calls) == 2:
            raise RuntimeError("out of luck")
        return measured(*arguments)

    measured = Classification.metrics
    monkeypatch.setattr(Classification, "metrics", fails_second)
    runs: list[Run] = plan("base-to-new", "shapes", QUICK)
    outcome = run_bench(runs, BenchFolder(tmp_path), InlineEngine())
    assert [reason for _, reason in outcome.failed] == ["RuntimeError: out of luck"]
    assert calls == [0, 0]
    assert list((tmp_path / "runs").iterdir()) == []
    (failure,) = read_failures(tmp_path)
    assert "fails_second" in failure.traceback


def test_a_damaged_test_image_is_told_where_its_class_is_tested_and_moves_no_label(vlm: VLM, tmp_path: Path) -> None:
    places = Places(str(tmp_path), str(write_data(tmp_path)))
    damaged = tmp_path / "signs" / "test" / sorted(SIGNS)[0] / "1.png"
    damaged.write_bytes(b"no picture")
    held_out = HeldOut(places.load("signs"))
    base, new = held_out.features(vlm, [0, 1]), held_out.features(vlm, [2, 3])
    assert [item.name for item in base.skipped] == ["test/arrow/1.png"]
    assert new.skipped == []
    assert base.indices.tolist() == [0, 2, 3, 4, 5] and new.indices.tolist() == [0, 1, 2, 3, 4, 5]
