"""Data sets with numbers for labels: miniature copies of those that must be fetched, and the sets that are drawn."""

import importlib.util
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.datasets import BENCHMARKS, SUITES, load_benchmark
from coopt.datasets.check import check_benchmark
from coopt.datasets.makers import demo, quantities
from coopt.errors import DataError
from coopt.tasks import make_task, task_of

needs_extra = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("resvg_py", "fontawesomefree")),
    reason="the extra `demo` is not installed",
)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), (7, 11, 13)).save(path, "PNG")


def labels_of(name: str, root: Path) -> dict[str, dict[str, str]]:
    """Each image's label as the source writes it, by part; every image opens, and the task takes the labels."""
    benchmark = load_benchmark(name, root)
    assert (benchmark.task, benchmark.ranks) == ("ordinal", BENCHMARKS[name].ranks)
    found = {}
    for part, dataset in benchmark.parts.items():
        assert all(dataset.load(index).size == (3, 2) for index in range(len(dataset)))
        found[part] = {
            image: dataset.class_labels[label] for image, label in zip(dataset.names, dataset.labels, strict=True)
        }
        task_of("ordinal", dataset, benchmark.task_settings).targets(dataset)
    return found


def test_morph_has_the_lists_of_album2(tmp_path: Path) -> None:
    lists = tmp_path / "MORPH" / "data_list"
    lists.mkdir(parents=True)
    (lists / "ET_proto_train.txt").write_text("Album2/a.JPG 34\nAlbum2/b.JPG 16\nAlbum2/c.JPG 50 51 53\n\n")
    (lists / "ET_proto_val.txt").write_text("Album2/d.JPG 34\nAlbum2/e.JPG 7\n")
    for name in "abcde":
        picture(tmp_path / "MORPH" / "Album2" / f"{name}.JPG")
    assert labels_of("morph", tmp_path) == {
        "train": {"Album2/a.JPG": "34", "Album2/b.JPG": "16", "Album2/c.JPG": "51"},
        "test": {"Album2/d.JPG": "34", "Album2/e.JPG": "7"},
    }
    assert check_benchmark("morph", tmp_path).ok
    task = task_of("ordinal", load_benchmark("morph", tmp_path).train, {"ranks": BENCHMARKS["morph"].ranks})
    assert len(task.class_names) == 101
    (lists / "ET_proto_val.txt").write_text("Album2/d.JPG old\n")
    with pytest.raises(DataError, match=r"ET_proto_val.txt' has the line 'Album2/d.JPG old'; an image and its age"):
        load_benchmark("morph", tmp_path)


def test_utkface_has_the_age_in_the_name(tmp_path: Path) -> None:
    images = tmp_path / "UTKFace" / "images"
    names = [f"{age}_0_2_2017011{i}000.jpg.chip.jpg" for age in (1, 26, 110) for i in range(5)]
    for name in [*names, "young_0_1_2.jpg"]:
        picture(images / name)
    found = labels_of("utkface", tmp_path)
    assert {part: len(labels) for part, labels in found.items()} == {"train": 8, "val": 2, "test": 5}
    together = {image: label for part in found.values() for image, label in part.items()}
    assert together == {f"images/{name}": name.split("_")[0] for name in names}
    assert load_benchmark("utkface", tmp_path).made_by.endswith("1 image with no age in the name left out")
    assert labels_of("utkface", tmp_path) == found


@pytest.mark.parametrize("tested", range(5))
def test_adience_is_tested_on_one_fold(tested: int, tmp_path: Path) -> None:
    folder = tmp_path / "adience"
    folder.mkdir()
    ages = ["(0, 2)", "(25, 32)", "(60, 100)", "None", "35"]
    for fold in range(5):
        rows = ["user_id\toriginal_image\tface_id\tage\tgender\tx\ty"]
        for number, age in enumerate(ages):
            rows.append(f"{fold}@N0\t{number}.jpg\t{fold}{number}\t{age}\tf\t0\t0")
            picture(folder / "aligned" / f"{fold}@N0" / f"landmark_aligned_face.{fold}{number}.{number}.jpg")
        (folder / f"fold_{fold}_data.txt").write_text("\n".join(rows) + "\n")
    found = labels_of(f"adience-{tested}", tmp_path)
    assert len(found["train"]) == 12
    assert found["test"] == {
        f"aligned/{tested}@N0/landmark_aligned_face.{tested}{n}.{n}.jpg": label
        for n, label in enumerate(["0-2", "25-32", "60-100"])
    }
    benchmark = load_benchmark(f"adience-{tested}", tmp_path)
    assert benchmark.made_by == (
        f"the official folds, tested on fold {tested}; 10 images with an age of no group left out"
    )
    task = task_of("ordinal", benchmark.test, benchmark.task_settings)
    assert task.targets(benchmark.test).tolist() == [0.0, 4.0, 7.0]


def test_historical_color_images_have_a_folder_per_decade(tmp_path: Path) -> None:
    for decade in range(1930, 1980, 10):
        for index in range(10):
            picture(tmp_path / "HistoricalColor" / f"{decade}s" / f"{index}.jpg")
    found = labels_of("historical-color", tmp_path)
    assert {part: len(labels) for part, labels in found.items()} == {"train": 25, "val": 10, "test": 15}
    assert all(image.split("/")[0] == label for labels in found.values() for image, label in labels.items())


def test_koniq_has_the_official_sets(tmp_path: Path) -> None:
    folder = tmp_path / "koniq10k"
    rows = [
        "a.jpg,0,69.53,4.1,training",
        "b.jpg,0,9.5,4.1,validation",
        "c.jpg,0,100,4.1,test",
        "d.jpg,0,9.5,1,training",
    ]
    folder.mkdir()
    table = folder / "koniq10k_distributions_sets.csv"
    table.write_text("\n".join(["image_name,c1,MOS,SD,set", *rows]))
    for name in "abcd":
        picture(folder / "512x384" / f"{name}.jpg")
    assert labels_of("koniq", tmp_path) == {
        "train": {"512x384/a.jpg": "69.53", "512x384/d.jpg": "9.5"},
        "val": {"512x384/b.jpg": "9.5"},
        "test": {"512x384/c.jpg": "100"},
    }
    benchmark = load_benchmark("koniq", tmp_path)
    assert benchmark.train.class_labels == ["9.5", "69.53", "100"]
    table.write_text("\n".join(["image_name,MOS,set", "a.jpg,69,other"]))
    with pytest.raises(DataError, match="has the set 'other'; allowed are training, validation, test"):
        load_benchmark("koniq", tmp_path)
    table.write_text("\n".join(["image_name,MOS,set", "a.jpg,good,training"]))
    with pytest.raises(DataError, match="has the label 'good', which is no number|label 'good'"):
        load_benchmark("koniq", tmp_path)
    table.write_text("name,MOS,set\na.jpg,1,test\n")
    with pytest.raises(DataError, match="has no column 'image_name'"):
        load_benchmark("koniq", tmp_path)


def test_aadb_has_lists_with_scores(tmp_path: Path) -> None:
    folder = tmp_path / "AADB"
    (folder / "imgListFiles_label").mkdir(parents=True)
    for part, name, home in (
        ("Train", "a", "datasetImages_originalSize"),
        ("Validation", "b", "datasetImages_originalSize"),
        ("TestNew", "c", "AADB_newtest_originalSize"),
    ):
        scores = folder / "imgListFiles_label" / f"imgList{part}Regression_score.txt"
        scores.write_text(f"farm1_{name}.jpg 0.{len(part)}5\n")
        picture(folder / home / f"farm1_{name}.jpg")
    assert labels_of("aadb", tmp_path) == {
        "train": {"datasetImages_originalSize/farm1_a.jpg": "0.55"},
        "val": {"datasetImages_originalSize/farm1_b.jpg": "0.105"},
        "test": {"AADB_newtest_originalSize/farm1_c.jpg": "0.75"},
    }


def test_the_ranks_of_all_sets_are_ranks() -> None:
    for name in (*SUITES["ordinal"], *SUITES["ordinal-offline"]):
        facts = BENCHMARKS[name]
        assert facts.task == "ordinal"
        assert facts.make or (facts.by_hand and facts.folder in facts.by_hand)
        if facts.ranks is not None:
            assert len(make_task("ordinal", ["1"], None, {"ranks": facts.ranks}).class_names) == {
                "morph": 101, "utkface": 117, "historical-color": 5, "koniq": 51, "aadb": 21
            }.get(name, 8)  # fmt: skip


def shapes(picture: Image.Image) -> int:
    """How many connected areas stand out from the ground, which is the colour of the corner."""
    from scipy.ndimage import label

    pixels = np.asarray(picture).astype(int)
    return label(np.abs(pixels - pixels[0, 0]).sum(-1) > 200)[1]


def test_dots_are_as_many_as_they_say() -> None:
    chance = random.Random(5)
    for n in range(1, 11):
        assert all(shapes(quantities.draw_dots(n, chance)) == n for _ in range(5))


def test_the_same_name_draws_the_same_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(quantities, "N_TRAIN", 2)
    monkeypatch.setattr(quantities, "N_TEST", 1)
    folders = [quantities.make_dots(tmp_path / name / "dots") for name in ("a", "b")]
    files = [{path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")} for folder in folders]
    assert files[0] == files[1]
    assert len(files[0]) == 30
    assert len(set(files[0].values())) == 30
    assert json.loads((folders[0] / "source.json").read_text()) == {"data": "dots", "pictures": "drawn by coopt"}
    benchmark = load_benchmark("dots", tmp_path / "a")
    task = task_of("ordinal", benchmark.train)
    assert task.class_labels == [str(number) for number in range(1, 11)]


@needs_extra
def test_icons_are_counted_and_turned() -> None:
    assert not set(quantities.TRAIN_ICONS) & set(quantities.TEST_ICONS)
    assert not set(quantities.UPRIGHT_TRAIN) & set(quantities.UPRIGHT_TEST)
    chance = random.Random(5)
    for n in (1, 4, 10):
        picture = quantities.draw_icons(n, ("star",), chance)
        cells = [picture.crop((16 * x, 16 * y, 16 * x + 16, 16 * y + 16)) for x in range(4) for y in range(4)]
        assert sum(np.ptp(np.asarray(cell), axis=(0, 1)).max() > 50 for cell in cells) == n
    # An arrow's ink is above its middle; turned by 90 degrees to the left it is on the left.
    for angle, axis in ((0, 0), (90, 1)):
        pixels = np.asarray(quantities.draw_turned(angle, ("caret-up",), random.Random(1))).astype(int)
        ink = np.abs(pixels - pixels[0, 0]).sum(-1) > 200
        along = ink.sum(1 - axis)[np.flatnonzero(ink.any(1 - axis))]
        assert along[: len(along) // 3].sum() < along[-(len(along) // 3) :].sum()
    for names in (quantities.UPRIGHT_TRAIN, quantities.UPRIGHT_TEST):
        for name in names:
            turned = np.asarray(quantities.draw_turned(50, (name,), random.Random(name))).astype(int)
            edges = np.concatenate([turned[0], turned[-1], turned[:, 0], turned[:, -1]])
            assert np.abs(edges - turned[0, 0]).max() < 40, f"{name} is cut off"
    with pytest.raises(DataError, match="has no drawing nothing.svg"):
        quantities.icon("nothing")
    assert demo.installed("fontawesomefree") in quantities.package()
