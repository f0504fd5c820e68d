"""Every reader on a miniature of its layout; the authors' splits, labels, class names and picks."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from coopt.data import sample_few_shot_train_val, split_classes
from coopt.datasets import BENCHMARKS, Benchmark, load_benchmark
from coopt.errors import DataError
from tests.datasets.benchmark_layouts import LAYOUTS, image, label_in, write_split

GOLDENS = Path(__file__).parents[1] / "goldens"
CASES = json.loads((GOLDENS / "data.json").read_text())["cases"]
ARRAYS = np.load(GOLDENS / "data.npz")


def build(name: str, root: Path):
    return LAYOUTS[name](root / BENCHMARKS[name].folder)


def test_there_is_a_miniature_of_each() -> None:
    assert set(LAYOUTS) == {name for name, facts in BENCHMARKS.items() if facts.make is None and facts.task is None}


@pytest.mark.parametrize("name", LAYOUTS)
def test_labels_fit_the_pictures_and_the_names(name: str, tmp_path: Path) -> None:
    miniature = build(name, tmp_path)
    benchmark = load_benchmark(name, tmp_path)
    assert benchmark.class_names == miniature.names
    assert {part: len(dataset) for part, dataset in benchmark.parts.items()} == miniature.counts
    assert benchmark.template == BENCHMARKS[name].template and benchmark.variant_of == BENCHMARKS[name].variant_of
    seen: list[str] = []
    for part, dataset in benchmark.parts.items():
        assert dataset.class_names == miniature.names and dataset.split == part
        for index in range(len(dataset)):
            assert label_in(dataset.load(index)) == dataset.labels[index], dataset.name(index)
        seen += dataset.names
    assert len(set(seen)) == len(seen) == sum(miniature.counts.values())  # no image in two parts


@pytest.mark.parametrize("name", [name for name in LAYOUTS if BENCHMARKS[name].split_file])
def test_the_shared_split_file_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    facts = BENCHMARKS[name]
    rows = {
        "train": [["b/1.jpg", 1, "second"], ["a/2.jpg", 0, "first_class"], ["b/3.jpg", 1, "second"]],
        "val": [["a/4.jpg", 0, "first_class"]],
        "test": [["c/5.jpg", 2, "third"], ["a/6.jpg", 0, "first_class"]],
    }
    write_split(tmp_path / facts.folder / facts.split_file, rows)
    for part in rows.values():
        for number, (path, label, _) in enumerate(part):
            image(tmp_path / facts.folder / facts.images / path, label, number)
    benchmark = load_benchmark(name, tmp_path)
    assert benchmark.class_names == ["first class", "second", "third"]
    assert benchmark.train.class_labels == ["first_class", "second", "third"]
    for part, dataset in benchmark.parts.items():
        assert dataset.labels.tolist() == [label for _, label, _ in rows[part]]
        assert [Path(name).name for name in dataset.names] == [Path(path).name for path, _, _ in rows[part]]
        assert [label_in(dataset.load(index)) for index in range(len(dataset))] == dataset.labels.tolist()
    assert benchmark.made_by == f"the split file {facts.split_file}"


def test_three_way_split_equals_the_authors(tmp_path: Path) -> None:
    build("dtd", tmp_path)
    benchmark = load_benchmark("dtd", tmp_path)
    for part, dataset in benchmark.parts.items():
        numbers = [int(Path(name).stem.removeprefix("image_")) for name in dataset.names]
        assert numbers == ARRAYS[f"read_and_split_seed1/{part}_idx"].tolist()
        assert dataset.labels.tolist() == ARRAYS[f"read_and_split_seed1/{part}_label"].tolist()


def test_held_out_validation_equals_the_authors(tmp_path: Path) -> None:
    labels = CASES["split_trainval_odd7_seed1"]["item_labels"]
    folder = tmp_path / "oxford_pets"
    (folder / "annotations").mkdir(parents=True)
    lines = [f"breed{label}_{index} {label + 1} 1 1" for index, label in enumerate(labels)]
    (folder / "annotations/trainval.txt").write_text("\n".join(lines))
    (folder / "annotations/test.txt").write_text("\n".join(f"breed{label}_9999 {label + 1} 1 1" for label in range(7)))
    for line in [*lines, "breed0_9999 "]:
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / f"{line.split(' ')[0]}.jpg").touch()
    benchmark = load_benchmark("oxford-pets", tmp_path)
    for part in ("train", "val"):
        indices = [int(Path(name).stem.split("_")[1]) for name in benchmark.parts[part].names]
        assert indices == ARRAYS[f"split_trainval_odd7_seed1/{part}_idx"].tolist()
    assert benchmark.test.labels.tolist() == list(range(7))


PICKS = [f"odd7_seed{seed}_16shot_{part}" for seed in (1, 2, 3) for part in ("all", "base", "new")]


@pytest.mark.parametrize("case_name", PICKS)
def test_picks_and_halves_of_a_loaded_benchmark_equal_the_authors(case_name: str, tmp_path: Path) -> None:
    case = CASES[case_name]
    benchmark = golden_aircraft(tmp_path, case["item_labels"])
    train, val = benchmark.train, benchmark.val
    picks = dict(
        zip(
            ("train", "val"),
            sample_few_shot_train_val(train.labels, val.labels, case["num_shots"], case["seed"]),
            strict=True,
        )
    )
    for part, indices in picks.items():
        labels = benchmark.parts[part].labels[indices]
        subset = split_classes(labels, case["subsample"], class_set=train.labels)
        picked = benchmark.parts[part].subset(indices[subset.indices])
        assert [int(name.split("_")[-1].removesuffix(".jpg")) for name in picked.names] == ARRAYS[
            f"{case_name}/{part}_idx"
        ].tolist()
        assert subset.labels.tolist() == ARRAYS[f"{case_name}/{part}_label"].tolist()
        assert [benchmark.class_names[label] for label in subset.classes] == [
            name.replace("_", " ") for name in case["classnames"]
        ]


def golden_aircraft(root: Path, item_labels: dict[str, list[int]]) -> Benchmark:
    """The goldens' synthetic lists as the official lists of FGVCAircraft."""
    folder = root / "fgvc_aircraft"
    (folder / "images").mkdir(parents=True)
    (folder / "variants.txt").write_text("".join(f"class_{label:02d}\n" for label in range(7)))
    for part, labels in item_labels.items():
        lines = [f"{part}_{index} class_{label:02d}" for index, label in enumerate(labels)]
        (folder / f"images_variant_{part}.txt").write_text("\n".join(lines))
        (folder / "images" / f"{part}_0.jpg").touch()
    return load_benchmark("fgvc-aircraft", root)


def test_the_disks_order_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("caltech101", "imagenet"):
        build(name, tmp_path)
    first = {name: load_benchmark(name, tmp_path) for name in ("caltech101", "imagenet")}
    listed = Path.iterdir

    def shuffled(self: Path):
        found = sorted(listed(self))
        random.Random(17).shuffle(found)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", shuffled)
    for name, benchmark in first.items():
        again = load_benchmark(name, tmp_path)
        assert again.class_names == benchmark.class_names
        for part, dataset in benchmark.parts.items():
            assert again.parts[part].names == dataset.names
            assert again.parts[part].labels.tolist() == dataset.labels.tolist()


def test_imagenets_test_images_never_choose(tmp_path: Path) -> None:
    build("imagenet", tmp_path)
    benchmark = load_benchmark("imagenet", tmp_path)
    assert benchmark.val is None
    assert all(name.startswith("images/val/") for name in benchmark.test.names)
    # Classes of one name are told apart by their folders.
    assert benchmark.test.class_labels[2:4] == ["n03773504", "n04008634"]


def test_a_variant_takes_the_words_of_imagenet_beside_it(tmp_path: Path) -> None:
    for name in ("imagenet", "imagenet-a"):
        build(name, tmp_path)
    (tmp_path / "imagenet-adversarial" / "classnames.txt").unlink()
    assert load_benchmark("imagenet-a", tmp_path).class_names == ["chihuahua", "missile"]
    (tmp_path / "imagenet" / "classnames.txt").unlink()
    with pytest.raises(DataError, match=r"imagenet-adversarial/classnames.txt' does not exist.*datasets fetch"):
        load_benchmark("imagenet-a", tmp_path)


DAMAGE = [
    ("oxford-pets", "annotations/test.txt", None, r"annotations/test.txt' does not exist. `coopt datasets check`"),
    ("oxford-pets", "annotations/test.txt", "Bombay_1 3", r"test.txt' has the line 'Bombay_1 3'; 4 words are expected"),
    ("oxford-pets", "annotations/test.txt", "Bombay_1 x 1 1", r"'x' where a whole number is expected"),
    ("oxford-pets", "annotations/test.txt", "Bombay_1 1 1 1", r"calls class 0 both 'sphynx' and 'bombay'"),
    ("oxford-pets", "annotations/test.txt", "Bombay_1 5 1 1", r"labels from 0 to 4 for 4 classes.*missing: '3'"),
    ("oxford-pets", "annotations/test.txt", "Sphynx_999 1 1 1", r"lists images that are not there, .*Sphynx_999.jpg'"),
    ("oxford-pets", "annotations/trainval.txt", "Sphynx_1 1 1 1", r"1 image, too few of some class to hold out a fifth"),
    ("oxford-pets", "annotations/test.txt", b"\xff\xfe\x00", r"is not UTF-8 text"),
    ("fgvc-aircraft", "images_variant_val.txt", "1 707-32", r"names the class '707-32', which variants.txt lacks. Did you mean '707-320'"),
    ("sun397", "Testing_01.txt", "/z/zoo/1.jpg", r"names the class '/z/zoo', which ClassName.txt lacks"),
    ("ucf101", "ucfTrainTestlist/testlist01.txt", "Juggling/v.avi", r"names the class 'Juggling', which classInd.txt lacks"),
    ("flowers102", "cat_to_name.json", '{"1": "a", "2": "b"}', r"does not name the labels '3'"),
    ("flowers102", "cat_to_name.json", "{", r"cat_to_name.json' is not readable JSON"),
    ("flowers102", "imagelabels.mat", "not matlab", r"cannot be read as a MATLAB file with 'labels'"),
    ("stanford-cars", "devkit/cars_meta.mat", None, r"cars_meta.mat' does not exist"),
    ("imagenet", "classnames.txt", "n01440764 tench\n", r"no words for the class folders 'n02085620'"),
    ("imagenet", "classnames.txt", "n01440764\n", r"has the line 'n01440764'; a line is a class folder and its words"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "content", "message"), DAMAGE)
def test_damage_is_named(name: str, path: str, content: str | bytes | None, message: str, tmp_path: Path) -> None:
    file = build(name, tmp_path).folder / path
    file.unlink()
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message):
        load_benchmark(name, tmp_path)


def test_cars_of_an_unknown_class(tmp_path: Path) -> None:
    folder = build("stanford-cars", tmp_path).folder
    rows = np.zeros((1, 1), dtype=[("class", "O"), ("fname", "O")])
    rows[0, 0] = (9, "00001.jpg")
    savemat(folder / "cars_test_annos_withlabels.mat", {"annotations": rows})
    with pytest.raises(DataError, match=r"has class 9; cars_meta.mat names 3 classes"):
        load_benchmark("stanford-cars", tmp_path)


BAD_SPLITS = [
    ("{", "is not readable JSON"),
    ('{"train": [], "test": []}', "must hold a map with 'train', 'val' and 'test'"),
    ('{"train": [["a.jpg", 0]], "val": [], "test": []}', r"has the row \['a.jpg', 0\]; a row is \[path, label, class name\]"),
    ('{"train": [["../a.jpg", 0, "a"]], "val": [], "test": []}', r"names an image outside its folder: '../a.jpg'"),
    ('{"train": [["/etc/a.jpg", 0, "a"]], "val": [], "test": []}', r"names an image outside its folder: '/etc/a.jpg'"),
    ('{"train": [["x\\\\..\\\\..\\\\a.jpg", 0, "a"]], "val": [], "test": []}', r"names an image outside its folder"),
    ('{"train": [["a.jpg", 0, "a"]], "val": [], "test": []}', r"has no images in its part\(s\) 'val', 'test'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD_SPLITS)
def test_a_bad_split_file_is_refused(content: str, message: str, tmp_path: Path) -> None:
    folder = build("dtd", tmp_path).folder
    (folder / "split_zhou_DescribableTextures.json").write_text(content)
    with pytest.raises(DataError, match=message):
        load_benchmark("dtd", tmp_path)


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"DTD is not at '.*dtd'. `coopt datasets fetch dtd --root"):
        load_benchmark("dtd", tmp_path)
    (tmp_path / "dtd").mkdir()
    with pytest.raises(DataError, match=r"dtd/images' does not exist"):
        load_benchmark("dtd", tmp_path)
    (tmp_path / "dtd" / "images").mkdir()
    with pytest.raises(DataError, match=r"dtd/images' has no class folders"):
        load_benchmark("dtd", tmp_path)
    (tmp_path / "dtd" / "images" / "banded").mkdir()
    with pytest.raises(DataError, match=r"images/banded' has no images"):
        load_benchmark("dtd", tmp_path)
    folder = build("imagenetv2", tmp_path).folder / "imagenetv2-matched-frequency-format-val"
    (folder / "3").rename(folder / "30")
    with pytest.raises(DataError, match=r"format-val/3' \(thing 3\) does not exist; classnames.txt lists 12 classes"):
        load_benchmark("imagenetv2", tmp_path)
    folder = build("imagenet", tmp_path).folder / "images" / "val"
    (folder / "n01440764").rename(folder.parent / "elsewhere")
    with pytest.raises(DataError, match=r"class folders in only one of train/ and val/: 'n01440764'"):
        load_benchmark("imagenet", tmp_path)
