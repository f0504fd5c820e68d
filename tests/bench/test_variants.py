"""What --methods and --set mean."""

import pytest

from coopt.bench import ENSEMBLE, read_variants
from coopt.bench.variants import OWN, fill_templates, read_template_list, resolve
from coopt.errors import ConfigError
from coopt.methods import METHODS, CoOp, Preset
from coopt.prompting import TEMPLATES


def test_commas_part_methods_without_settings() -> None:
    assert [(v.method, v.name) for v in read_variants(["zero-shot, coop", "linear-probe"])] == [
        ("zero-shot", "zero-shot"),
        ("coop", "coop"),
        ("linear-probe", "linear-probe"),
    ]


def test_with_settings_semicolons_part_methods_and_commas_part_settings() -> None:
    text = "zero-shot;coop;coop n_ctx=4;coop position=middle, ctx_init=a photo, of a, class_specific=no"
    variants = read_variants([text])
    assert [v.name for v in variants] == [
        "zero-shot",
        "coop",
        "coop n_ctx=4",
        # In the order of the constructor, so that one row has one name; a comma that no "name=" follows is text.
        "coop position=middle, class_specific=no, ctx_init=a photo, of a",
    ]
    assert variants[3].settings == {"position": "middle", "class_specific": False, "ctx_init": "a photo, of a"}


def test_the_recipe_is_set_beside_the_method() -> None:
    (variant,) = read_variants(["coop lr=0.01, n_ctx=4, views=fresh, epochs=7"])
    assert variant.name == "coop n_ctx=4, epochs=7, lr=0.01, views=fresh"
    assert variant.settings == {"n_ctx": 4}
    assert variant.recipe == {"epochs": 7, "lr": 0.01, "views": "fresh"}


def test_common_settings_go_to_the_methods_that_have_them_and_give_way_to_their_own() -> None:
    variants = read_variants(["zero-shot; coop; coop n_ctx=2"], ["n_ctx=8", "epochs=3"])
    assert [v.name for v in variants] == ["zero-shot", "coop n_ctx=8, epochs=3", "coop n_ctx=2, epochs=3"]


def test_common_settings_reach_the_method_inside_a_method() -> None:
    around = "tests.seams.methods:Around"
    common = ["base=kgcoop", "base.n_ctx=4"]
    plain, other = read_variants([f"zero-shot; {around}; {around} base=coop"], common)[1:]
    assert plain.settings == {"base": {"method": "kgcoop", "n_ctx": 4}}
    assert other.settings == {"base": "coop"}  # a base of its own keeps its settings
    with pytest.raises(ConfigError, match="base=kgcoop, base.n_ctx=4: no method of --methods has such a setting"):
        read_variants(["coop"], common)


def test_the_same_row_twice_is_one() -> None:
    assert [v.name for v in read_variants(["coop lr=1.0, n_ctx=4; coop n_ctx=4, lr=1.0"])] == ["coop n_ctx=4, lr=1.0"]


def test_all_is_every_method_and_the_ensemble() -> None:
    assert [v.name for v in read_variants(["all"])] == [*METHODS, ENSEMBLE]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cop", "Did you mean 'coop'"),
        ("coop n_ct=4", "Did you mean 'n_ctx'"),
        ("coop n_ctx=four", "n_ctx is a whole number; got 'four'"),
        ("zero-shot,coop n_ctx=4", "separate methods by ';'"),
        ("coop n_ctx=4, n_ctx=5", "n_ctx twice"),
        ("coop quick", "name=value"),
        ("coop lr=-1", "lr is -1"),
        ("zero-shot epochs=2", "learns nothing"),
        ("coop preset=shift", "has no preset 'shift'"),
        ("zero-shot templates=imagenet-8", "Did you mean 'imagenet-7'"),
        (" ; ", "names no method"),
    ],
)
def test_mistakes_are_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_variants([text])


def test_a_common_setting_that_nobody_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_ctxx=4.*Did you mean 'n_ctx'"):
        read_variants(["coop"], ["n_ctxx=4"])


def test_templates_are_names_files_or_texts_and_the_data_sets_own() -> None:
    listed = read_template_list("imagenet-7 + own + a sketch of a {}.")
    assert listed == [*TEMPLATES["imagenet-7"], OWN, "a sketch of a {}."]
    assert fill_templates(listed, "an icon of a {}.", "icons")[7] == "an icon of a {}."
    assert fill_templates([OWN], "an icon of a {}.", "icons") == "an icon of a {}."


def test_the_authors_ensemble_is_the_seven_alone_on_imagenet() -> None:
    ensemble = read_template_list("imagenet-7 + own")
    assert fill_templates(ensemble, "a photo of a {}.", "imagenet") == TEMPLATES["imagenet-7"]
    assert fill_templates(ensemble, "a photo of a {}.", "imagenet-a") == TEMPLATES["imagenet-7"]
    assert fill_templates(ensemble, "{} texture.", "dtd") == [*TEMPLATES["imagenet-7"], "{} texture."]


def test_the_protocols_preset_is_used_below_the_variants_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    presets = {"base-to-new": Preset("a file", {"n_ctx": 5, "position": "front"}, {"epochs": 11, "lr": 0.5})}
    monkeypatch.setattr(CoOp, "presets", presets)
    (variant,) = read_variants(["coop n_ctx=3, lr=0.25"])
    name, settings, recipe = resolve(variant, ["few-shot", "base-to-new"])
    assert name == "base-to-new"
    assert settings == {"n_ctx": 3, "position": "front"}
    assert recipe == {"epochs": 11, "lr": 0.25}
    assert resolve(variant, [])[0] is None  # --no-presets
    (without,) = read_variants(["coop preset=none"])
    assert resolve(without, ["base-to-new"]) == (None, {}, {})
    (named,) = read_variants(["coop preset=base-to-new"])
    assert resolve(named, [])[0] == "base-to-new"


def test_a_row_that_sets_the_number_of_vectors_does_not_take_a_presets_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words would decide the number, and the row's name would be wrong."""
    monkeypatch.setattr(CoOp, "presets", {"shift": Preset("a file", {"ctx_init": "a photo of a", "position": "front"})})
    number, words, other = read_variants(["coop n_ctx=3; coop n_ctx=3, ctx_init=an icon of a; coop truncate_names=yes"])
    assert resolve(number, ["shift"])[1] == {"ctx_init": None, "position": "front", "n_ctx": 3}
    assert resolve(words, ["shift"])[1]["ctx_init"] == "an icon of a"
    assert resolve(other, ["shift"])[1]["ctx_init"] == "a photo of a"


def test_the_data_sets_template_takes_the_place_of_the_generic_one_alone() -> None:
    plain, given, coop = read_variants(["zero-shot; zero-shot templates=a sketch of a {}.; coop"])
    assert resolve(plain, [])[1] == {"templates": [OWN]}
    assert resolve(given, [])[1] == {"templates": ["a sketch of a {}."]}
    assert "ctx_init" not in resolve(coop, [])[1]  # the data set's own words are never given by themselves
