"""Published numbers: what the data file holds, and that ours stand beside them only where they may."""

from typing import Any

import pytest

from coopt.methods import METHODS
from coopt.report.grid import make_grids
from coopt.report.order import BACKBONES, DATASETS, PUBLISHED, find_backbone, plain_name
from coopt.report.published import GROUPS, TEMPLATE_NAMES, published_table
from coopt.report.statistics import harmonic_mean
from tests.report.records import bench_of, record

M16 = {"n_ctx": 16, "position": "end", "class_specific": False, "ctx_init": None, "truncate_names": False}
RECIPE = {"epochs": 200, "batch_size": 32, "optimizer": "sgd", "lr": 0.002, "views": "fresh"}
DTD: dict[str, Any] = {
    "model": "RN50",
    "source": "dtd",
    "settings": M16,
    "recipe": RECIPE,
    "n_classes": 47,
    "n_test": 1692,
}
LATER_METHODS = {"cocoop", "maple", "promptsrc", "kgcoop"}
"""Of the family, with numbers in the file, whether or not coopt has them yet."""


def published(protocol: str, backbone: str, name: str, dataset: str, measure: str, shots: int) -> float:
    (value,) = {
        value
        for group in GROUPS
        if (group.backbone, group.name) == (backbone, name) and protocol in group.protocols
        if (value := group.value(dataset, measure, shots)) is not None
    }
    return value


def test_every_group_names_its_source_and_is_sure() -> None:
    datasets, groups = PUBLISHED["datasets"], GROUPS
    assert list(datasets) == list(DATASETS)
    known = {plain_name(name) for name in DATASETS} | {"average"}
    for group in groups:
        assert len(group.source) > 10, group.name
        assert group.certainty in ("very high", "high")
        assert "memory" not in group.source
        assert group.backbone in BACKBONES
        assert group.method in {*METHODS, *LATER_METHODS}
        assert set(group.protocols) <= {"fewshot", "base-to-new", "cross-dataset", "shift", "zero-shot"}
        assert {plain_name(name) for name in group.values} <= known
        for measures in group.values.values():
            assert set(measures) <= {"all", "base", "new", "H"}
            for by_shots in measures.values():
                assert set(by_shots) <= {"0", "1", "2", "4", "8", "16"}
                assert all(0 < value < 100 for value in by_shots.values())


def test_settings_are_those_of_the_methods() -> None:
    from coopt.fit import Recipe

    fields = set(Recipe.__dataclass_fields__)
    for group in GROUPS:
        assert {*group.recipe, *group.remark} <= fields
        if group.settings is not None:
            assert set(group.settings) <= set(METHODS[group.method].setting_parameters())


def test_printed_h_is_the_harmonic_mean_of_printed_base_and_new() -> None:
    """A slip of a digit in one of three numbers shows here; the papers round each to two decimals."""
    n = 0
    for group in GROUPS:
        for measures in group.values.values():
            if "H" in measures:
                (shots,) = measures["H"]
                h = harmonic_mean(measures["base"][shots], measures["new"][shots])
                assert measures["H"][shots] == pytest.approx(h, abs=0.011), (group.name, measures)
                n += 1
    assert n > 60


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        # CoOp, IJCV 2022: figure 3 (ImageNet) and table 1.
        (("fewshot", "RN50", "CLIP, hand-written prompt", "ImageNet", "all", 0), 58.18),
        (("fewshot", "RN50", "CoOp (M=16, end)", "ImageNet", "all", 16), 62.95),
        (("fewshot", "ViT-B/16", "CoOp (M=16, end)", "ImageNet", "all", 16), 71.92),
        (("shift", "RN50", "Linear probe", "ImageNet", "all", 16), 55.87),
        # CoCoOp, CVPR 2022: tables 1, 2 and 3.
        (("base-to-new", "ViT-B/16", 'CoOp (M=4, "a photo of a")', "average", "base", 16), 82.69),
        (("base-to-new", "ViT-B/16", 'CoOp (M=4, "a photo of a")', "average", "new", 16), 63.22),
        (("base-to-new", "ViT-B/16", 'CoOp (M=4, "a photo of a")', "average", "H", 16), 71.66),
        (("base-to-new", "ViT-B/16", "CoCoOp", "average", "H", 16), 75.83),
        (("base-to-new", "ViT-B/16", "CLIP, hand-written prompt", "average", "H", 0), 71.70),
        (("cross-dataset", "ViT-B/16", 'CoOp (M=4, "a photo of a")', "average", "all", 16), 63.88),
        (("cross-dataset", "ViT-B/16", "CoCoOp", "average", "all", 16), 65.74),
        (("shift", "ViT-B/16", "CLIP, hand-written prompt", "ImageNet-R", "all", 0), 73.96),
        # MaPLe, CVPR 2023, table 3.
        (("base-to-new", "ViT-B/16", "MaPLe", "average", "H", 16), 78.55),
    ],
)
def test_well_known_values(cell: tuple, value: float) -> None:
    assert published(*cell) == value


def test_the_average_of_the_paper_is_that_of_its_eleven() -> None:
    """Figure 3 of CoOp: 16 shots on RN50 average 73.42, 15 points above hand-written prompts (58.77)."""
    for name, shots, average in (("CoOp (M=16, end)", 16, 73.42), ("CLIP, hand-written prompt", 0, 58.77)):
        values = [published("fewshot", "RN50", name, dataset, "all", shots) for dataset in DATASETS[:11]]
        assert sum(values) / 11 == pytest.approx(average, abs=0.006)


@pytest.mark.parametrize(
    ("model", "backbone"),
    [
        ("RN50", "RN50"),
        ("ViT-B/16", "ViT-B/16"),
        ("openai/clip-vit-base-patch16", "ViT-B/16"),
        ("openai/clip-vit-base-patch32", "ViT-B/32"),
        ("open_clip:ViT-B-16/laion2b_s34b_b88k", None),  # other weights of the same shape
        ("builtin", None),
    ],
)
def test_backbones_by_name(model: str, backbone: str | None) -> None:
    assert find_backbone(model) == backbone


@pytest.mark.parametrize(
    ("name", "plain"),
    [("oxford-pets", "OxfordPets"), ("fgvc-aircraft", "FGVCAircraft"), ("imagenet-sketch", "ImageNet-Sketch")],
)
def test_data_sets_by_name(name: str, plain: str) -> None:
    assert plain_name(name) == plain_name(plain)


def test_every_data_set_of_the_paper_has_its_template() -> None:
    assert {plain_name(name) for name in DATASETS[:11]} <= set(TEMPLATE_NAMES)


def lines_of(lines: list[dict], protocol: str = "fewshot") -> list[tuple[str, ...]]:
    (grid,) = make_grids(bench_of(lines), protocol)
    return [tuple(entry.text for entry in line) for line in published_table(grid).rows]


def compared(**changes: Any) -> tuple[str, ...]:
    """Data set, ours, published, difference, and what it was published as, of one run on DTD."""
    (line,) = lines_of([record(65.0, **{**DTD, **changes})])
    return (line[2], *line[4:])


def test_the_same_setting_is_compared() -> None:
    assert compared() == ("dtd", "65.00", "63.58", "+1.42", "CoOp (M=16, end) [1]")
    named = compared(settings={**M16, "class_specific": True}, variant="coop class_specific=true")
    assert named[2:] == ("62.87", "+2.13", "CoOp (M=16, end, class-specific) [1]")
    assert compared(recipe={**RECIPE, "views": 0})[4] == 'CoOp (M=16, end) [1]; views is 0 here, "fresh" there'


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "builtin"}, "no published backbone is builtin"),
        ({"settings": {**M16, "n_ctx": 4}}, "n_ctx is 4 here, 16 there"),
        ({"settings": {**M16, "ctx_init": "a photo"}}, 'ctx_init is "a photo" here, null there'),
        ({"recipe": {**RECIPE, "epochs": 50}}, "epochs is 50 here, 200 there"),
        ({"n_classes": 10}, "dtd here has 10 classes, not 47"),
        ({"n_test": 47}, "dtd here has 47 test images, not 1692"),
        ({"shots": 32}, "not published for this method, data set and number of shots"),
        ({"source": "icons"}, "not published for this method, data set and number of shots"),
        ({"method": "linear-probe", "selection": "cross-validation"}, "published with selection by validation shots"),
        ({"method": "zero-shot", "shots": None, "settings": {"templates": "a photo of a {}."}}, "{} texture. there"),
    ],
)
def test_another_setting_is_not(changes: dict[str, Any], why: str) -> None:
    line = compared(**changes)
    assert line[2:4] == ("–", "–")
    assert line[4].startswith("nothing comparable: ")
    assert why in line[4]


@pytest.mark.parametrize("templates", ["dtd", "{} texture.", ["{} texture."]])
def test_hand_written_prompts_are_compared_by_what_they_say(templates: Any) -> None:
    line = compared(method="zero-shot", shots=None, settings={"templates": templates})
    assert line[1:4] == ("65.00", "42.32", "+22.68")


def test_a_template_of_a_record_is_never_read_as_a_file(tmp_path: Any) -> None:
    (tmp_path / "templates.txt").write_text("{} texture.\n")
    line = compared(method="zero-shot", shots=None, settings={"templates": str(tmp_path / "templates.txt")})
    assert line[2] == "–"


def test_one_seed_too_few_has_no_difference() -> None:
    lines = [record(65.0, **{**DTD, "shots": shots, "seed": seed}) for shots, seed in ((16, 1), (16, 2))]
    lines.append(record(60.0, **{**DTD, "shots": 8, "seed": 1}))
    found = {line[1]: line[4:7] for line in lines_of(lines)}
    assert found == {"8": ("–", "59.97", "–"), "16": ("65.00", "63.58", "+1.42")}


def test_averages_are_compared_over_the_papers_data_sets_alone() -> None:
    """Transfer from ImageNet: the papers' average is over ten targets."""
    facts = PUBLISHED["datasets"]
    settings = {"ctx_init": "a photo of a", "position": "end"}
    recipe = {**RECIPE, "epochs": 50}
    place = {"protocol": "cross-dataset", "model": "ViT-B/16", "source": "ImageNet", "settings": settings}

    def average(targets: tuple[str, ...]) -> tuple[str, ...]:
        lines = [
            record(70.0, dataset=d, recipe=recipe, n_test=facts[d]["n_test"], n_classes=facts[d]["n_classes"], **place)
            for d in targets
        ]
        return lines_of(lines, "cross-dataset")[-1][2:]

    assert average(DATASETS[:11])[2:5] == ("70.00", "63.88", "+6.12")
    assert average(DATASETS[:10])[5] == "nothing comparable: the papers' average is over 10 data sets of theirs"


def test_transfer_from_elsewhere_is_not_compared() -> None:
    place = {"protocol": "cross-dataset", "model": "ViT-B/16", "source": "OxfordPets", "n_classes": 47}
    settings = {"ctx_init": "a photo of a", "position": "end"}
    lines = [record(70.0, dataset=d, recipe=RECIPE, settings=settings, **place) for d in ("OxfordPets", "DTD")]
    assert "published runs learn on ImageNet, not OxfordPets" in lines_of(lines, "cross-dataset")[-1][-1]
