"""Which runs a protocol has, and that an id says all that a result depends on."""

from dataclasses import replace
from pathlib import Path

import pytest

import coopt.bench.grid
from coopt.bench import PROTOCOLS, Choice, ModelChoice, Places, Run, check_shots, choose, find_protocol
from coopt.bench.grid import resolve_recipe
from coopt.errors import ConfigError, DataError
from coopt.features import Inputs
from coopt.methods import CoOp, Preset, jsonable
from tests.bench.conftest import Plan
from tests.bench.pictures import write_data


def cells(runs: list[Run]) -> list[tuple]:
    return [(run.source, run.method, run.shots, run.seed, [tuple(test) for test in run.tests]) for run in runs]


def test_fewshot_is_methods_by_data_sets_by_shots_by_seeds(plan: Plan) -> None:
    runs = plan("fewshot", "signs,shapes", "zero-shot,coop", shots=[1, 3], n_seeds=2)
    expected = []
    for name in ("signs", "shapes"):
        expected += [(name, "zero-shot", None, 1, [(name, "all")])]
        expected += [(name, "coop", shots, seed, [(name, "all")]) for shots in (1, 3) for seed in (1, 2)]
    assert cells(runs) == expected
    assert len({run.id for run in runs}) == len(runs)


def test_the_other_protocols(plan: Plan) -> None:
    half = [("shapes", "base"), ("shapes", "new")]
    assert cells(plan("base-to-new", "shapes", "coop,linear-probe")) == [
        ("shapes", "coop", 2, 1, half),
        ("shapes", "linear-probe", 2, 1, half[:1]),
    ]
    assert cells(plan("cross-dataset", "signs,shapes", "coop,linear-probe", sources=["shapes"])) == [
        ("shapes", "coop", 2, 1, [("shapes", "all"), ("signs", "all")]),
        ("shapes", "linear-probe", 2, 1, [("shapes", "all")]),
    ]
    # Contexts of the classes' own do not apply to others: their cells are not asked for, so they are not missing.
    assert cells(plan("base-to-new", "shapes", "coop class_specific=yes")) == [("shapes", "coop", 2, 1, half[:1])]
    shifted = [("shapes", "all"), ("chalk", "all")]
    assert cells(plan("shift", "signs,shapes", "coop,linear-probe")) == [
        ("shapes", "coop", 2, 1, shifted),
        ("shapes", "linear-probe", 2, 1, shifted),
    ]
    assert cells(plan("shift", "chalk", "coop")) == [("shapes", "coop", 2, 1, shifted)]
    assert [run.source for run in plan("zero-shot", "chalk,signs", "zero-shot")] == ["chalk", "signs"]


def test_methods_that_look_at_views_have_seeds_though_they_learn_nothing(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coopt.methods import ZeroShot

    assert [run.seed for run in plan("zero-shot", "signs", "zero-shot", n_seeds=3)] == [1]
    assert [run.seed for run in plan("zero-shot", "signs", "tpt n_views=4", n_seeds=3)] == [1, 2, 3]
    monkeypatch.setattr(ZeroShot, "inputs", Inputs(test_views=4))
    assert [run.seed for run in plan("zero-shot", "signs", "zero-shot", n_seeds=3)] == [1, 2, 3]


def test_each_protocol_takes_its_own_preset_and_names_it(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("few-shot", "base-to-new", "cross-dataset")
    presets = {name: Preset("a file", {"n_ctx": n}, {"epochs": 10 * n}) for n, name in enumerate(names, start=2)}
    monkeypatch.setattr(CoOp, "presets", presets)
    expected = {
        "fewshot": ("few-shot", 2),
        "base-to-new": ("base-to-new", 3),
        "cross-dataset": ("cross-dataset", 4),
        "shift": ("cross-dataset", 4),
    }
    for protocol, (name, n_ctx) in expected.items():
        run = plan(protocol, "shapes,signs", "coop", sources=["shapes"] if PROTOCOLS[protocol].transfers else None)[0]
        assert (run.preset, run.settings["n_ctx"]) == (name, n_ctx)
        assert run.recipe is not None and run.recipe["epochs"] == 10 * n_ctx
        assert run.facts()["preset"] == name
    plain = plan("fewshot", "shapes", "coop", use_presets=False)[0]
    assert (plain.preset, plain.settings["n_ctx"]) == (None, None)


def test_an_id_changes_with_everything_that_a_result_depends_on(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = plan("fewshot", "shapes", "coop")
    assert plan("fewshot", "shapes", "coop")[0].id == run.id
    (test,) = run.tests
    changed = [
        replace(run, protocol="shift"),
        replace(run, model=ModelChoice("builtin", "0" * 32)),
        replace(run, model=ModelChoice("other", run.model.fingerprint)),
        replace(run, model=replace(run.model, dtype="bfloat16")),
        replace(run, settings={**run.settings, "n_ctx": 4}),
        replace(run, recipe={**(run.recipe or {}), "lr": 0.1}),
        replace(run, recipe={**(run.recipe or {}), "warmup": "linear"}),
        replace(run, preset="few-shot"),
        replace(run, source="signs"),
        replace(run, subset="base"),
        replace(run, shots=4),
        replace(run, seed=2),
        replace(run, source_data="0"),
        replace(run, tests_data={test: "0"}),
    ]
    ids = [run.id, *(other.id for other in changed)]
    monkeypatch.setattr(coopt.bench.grid, "__version__", "9.0.0")
    ids.append(replace(run).id)
    monkeypatch.setattr(coopt.bench.grid, "RESULTS", coopt.bench.grid.RESULTS + 1)
    ids.append(replace(run).id)
    assert len(set(ids)) == len(ids)
    monkeypatch.undo()
    # A part of the recipe that came later changes nothing where it is what was done before.
    before = {name: value for name, value in (run.recipe or {}).items() if name != "warmup"}
    assert replace(run, recipe=before).id == run.id
    # Where it ran and where the data lies change nothing.
    assert replace(run, n_threads=5, n_decoders=2, places=Places("elsewhere")).id == run.id
    assert replace(run, model=replace(run.model, device="cpu")).id == run.id


def test_an_id_changes_with_the_images_labels_and_template(plan: Plan, tmp_path: Path) -> None:
    def ids(where: Places) -> tuple[str, str]:
        return tuple(run.id for run in plan("fewshot", "shapes", "zero-shot,coop", where=where))  # type: ignore[return-value]

    file = write_data(tmp_path / "data")
    where = Places(str(file.parent), str(file))
    before = ids(where)
    shapes = tmp_path / "data" / "shapes"
    (shapes / "val" / "bar" / "0.png").rename(shapes / "val" / "bar" / "9.png")
    other_val = ids(where)
    assert other_val[0] == before[0] and other_val[1] != before[1]  # only what learns may look there
    (shapes / "test" / "bar" / "0.png").rename(shapes / "test" / "cross" / "7.png")
    other_test = ids(where)
    assert other_test[0] != other_val[0] and other_test[1] != other_val[1]
    file.write_text(file.read_text().replace("an icon of a", "a drawing of a"))
    other_template = ids(where)
    assert other_template[0] != other_test[0] and other_template[1] == other_test[1]  # CoOp has no template


def test_the_recipe_is_that_of_the_shots_and_of_imagenet() -> None:
    def epochs(source: str, shots: int) -> int:
        recipe = resolve_recipe("coop", {}, source, shots)
        assert recipe is not None
        return recipe["epochs"]

    assert [epochs("dtd", shots) for shots in (1, 2, 4, 8, 16)] == [50, 100, 100, 200, 200]
    assert [epochs("imagenet", shots) for shots in (1, 16)] == [50] * 2
    recipe = resolve_recipe("coop", {"epochs": 7}, "imagenet", 16)
    assert recipe is not None and recipe["epochs"] == 7
    assert resolve_recipe("zero-shot", {}, "dtd", None) is None


def test_settings_become_json() -> None:
    import numpy as np

    value = {"a": Path("x/y"), "b": (1, np.float64(0.5)), "c": {"d": None}}
    assert jsonable(value) == {"a": "x/y", "b": [1, 0.5], "c": {"d": None}}


@pytest.mark.parametrize(
    ("protocol", "choice", "says"),
    [
        ("fewshot", Choice(["shaps"]), "no data set 'shaps'.*Did you mean 'shapes'"),
        ("fewshot", Choice([], "ofline"), "no suite 'ofline'.*Did you mean 'offline'"),
        ("fewshot", Choice(), "Name data sets with --datasets"),
        ("fewshot", Choice(["chalk"]), "chalk is for testing only .it is a variant of shapes."),
        ("fewshot", Choice(["shapes"], None, ["signs"]), "--source goes with cross-dataset and shift"),
        ("fewshot", Choice(["dtd", "eurosat"]), "coopt datasets fetch dtd --root(.|\n)*coopt datasets fetch eurosat"),
        ("shift", Choice(["signs"]), "None of signs has variants"),
        ("cross-dataset", Choice(["signs"]), "needs at least 2 data sets; got signs"),
        ("base-to-new", Choice(["trio"]), "trio has 3 classes; base-to-new needs at least 4"),
        ("shift", Choice([], None, ["signs"]), "None of signs has variants"),
    ],
)
def test_data_sets_that_cannot_be_used(
    protocol: str, choice: Choice, says: str, data_file: Path, tmp_path: Path
) -> None:
    from tests.pictures import shapes_folder

    shapes_folder(tmp_path / "trio")
    lines = data_file.read_text().replace("path: ", f"path: {data_file.parent}/")
    (tmp_path / "sets.yaml").write_text(f"{lines}trio: {{path: {tmp_path / 'trio'}}}\n")
    places = Places(str(tmp_path), str(tmp_path / "sets.yaml"))
    with pytest.raises((ConfigError, DataError), match=says):
        choose(choice, find_protocol(protocol), places)


def test_more_shots_than_any_class_has_are_refused_and_fewer_are_told(places: Places) -> None:
    asked, _ = choose(Choice(["shapes", "signs"]), PROTOCOLS["fewshot"], places)
    assert check_shots(asked.benchmarks, asked.sources, [1, 5]) == []
    with pytest.raises(DataError, match="signs has at most 5 training images in a class; 6 shots"):
        check_shots(asked.benchmarks, asked.sources, [1, 6])
    train = asked.benchmarks["shapes"].train
    assert train is not None
    uneven = replace(asked.benchmarks["shapes"], train=train.subset(range(1, len(train))))
    (note,) = check_shots({"shapes": uneven}, ["shapes"], [7])
    assert note == "shapes: 1 of 5 classes have fewer than 7 images and give them all"


def test_an_unknown_protocol() -> None:
    with pytest.raises(ConfigError, match="no protocol 'few-shot'.*Did you mean 'fewshot'"):
        find_protocol("few-shot")
