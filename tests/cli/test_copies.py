"""Pictures that are there twice: in training and test, in two classes, in a table and its folder; counted and told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt import PromptClassifier
from coopt.data import load_dataset
from coopt.errors import DataError
from tests.cli.test_commands import call, call_json
from tests.pictures import shapes_folder

QUICK = ["--set", "n_ctx=1", "--epochs", "1"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def flat_run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned from all training images of a folder that coopt split: 15 of 21, as coop learns from the validation part."""
    folder = tmp_path_factory.mktemp("runs") / "flat"
    assert call("fit", str(shapes / "train"), "--shots", "all", "--out", str(folder), *QUICK) == 0
    return folder


def with_copies(shapes: Path, folder: Path, n: int) -> Path:
    """The data set with `n` training images of each class among its test images, under other names."""
    shutil.copytree(shapes, folder)
    for kind in ("circle", "square", "triangle"):
        for number in range(n):
            shutil.copy(folder / "train" / kind / f"{number}.png", folder / "test" / kind / f"other_{number}.png")
    return folder


def test_fit_leaves_copies_out_of_the_test(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = str(with_copies(shapes, tmp_path / "d", 2))
    fitted = call_json(capsys, "fit", data, "--shots", "all", "--out", str(tmp_path / "r"), *QUICK)
    assert fitted["test"]["n_images"] == 15
    assert any("6 of the 21 test images are copies of training images" in note for note in fitted["notes"])
    clean = call_json(capsys, "evaluate", str(tmp_path / "r"), str(shapes))
    assert (clean["confusion"], clean["n_left_out"]) == (fitted["test"]["confusion"], 0)
    evaluated = call_json(capsys, "evaluate", str(tmp_path / "r"), data)
    assert (evaluated["n_images"], evaluated["n_left_out"], evaluated["n_trained_on"]) == (15, 6, 0)
    assert evaluated["confusion"] == fitted["test"]["confusion"]
    kept = call_json(capsys, "evaluate", str(tmp_path / "r"), data, "--allow-duplicates")
    assert (kept["n_images"], kept["n_left_out"], kept["n_trained_on"]) == (21, 0, 6)
    allowed = ["--allow-duplicates", "--shots", "all", "--out", str(tmp_path / "k"), *QUICK]
    everything = call_json(capsys, "fit", data, *allowed)
    assert everything["test"]["n_images"] == 21
    assert any("they count" in note for note in everything["notes"])


def test_train_and_test_that_are_the_same_leave_nothing_to_test(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for part in ("train", "test"):
        shutil.copytree(shapes / "train", tmp_path / "d" / part)
    fitted = call_json(capsys, "fit", str(tmp_path / "d"), "--shots", "all", "--out", str(tmp_path / "r"), *QUICK)
    assert fitted["test"] is None
    assert any("21 of the 21 test images are copies" in note and "nothing is left" in note for note in fitted["notes"])
    config = json.loads((tmp_path / "r" / "adapter_config.json").read_text())
    assert config["data"]["n_test"] == 0


def test_a_picture_of_another_class_in_the_test_part_is_named(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A copy of a training image of another class, and a pair within the test part: both cannot be right."""
    data, run = tmp_path / "d", str(tmp_path / "r")
    shutil.copytree(shapes, data)
    shutil.copy(data / "train/circle/3.png", data / "test/square/x.png")
    shutil.copy(data / "test/circle/1.png", data / "test/triangle/y.png")
    notes = call_json(capsys, "fit", str(data), "--shots", "all", "--out", run, *QUICK)["notes"]
    (note,) = [note for note in notes if "several classes" in note]
    assert note.startswith("2 pictures are in several classes of the test images and the training images: ")
    assert "'test/square/x.png' (square) and 'train/circle/3.png' (circle)" in note
    assert "'test/circle/1.png' (circle) and 'test/triangle/y.png' (triangle)" in note
    assert any("1 of the 17 test images is a copy of training images" in note for note in notes)
    (note,) = [n for n in call_json(capsys, "evaluate", run, str(data))["notes"] if "several classes" in n]
    assert note.startswith("1 picture is in several classes of the images that are evaluated: 'test/circle/1.png'")
    clean = call_json(capsys, "fit", str(shapes), "--shots", "all", "--out", str(tmp_path / "c"), *QUICK)
    assert not any("several classes" in note for note in clean["notes"])


def test_one_picture_in_two_classes_is_named(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copytree(shapes, tmp_path / "d")
    shutil.copy(tmp_path / "d/train/circle/3.png", tmp_path / "d/train/square/x.png")
    fitted = call_json(capsys, "fit", str(tmp_path / "d"), "--shots", "all", "--out", str(tmp_path / "r"), *QUICK)
    (note,) = [note for note in fitted["notes"] if "several classes" in note]
    assert "1 picture is" in note and "circle/3.png' (circle)" in note and "square/x.png' (square)" in note


@pytest.mark.parametrize("kind", ["csv", "zip", "renamed", "absolute"])
def test_the_same_images_by_another_way_are_not_a_test(
    shapes: Path, flat_run: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture
) -> None:
    expected = call_json(capsys, "evaluate", str(flat_run), str(shapes / "train"))
    assert (expected["n_images"], expected["n_trained_on"]) == (6, 0)
    shutil.copytree(shapes / "train", tmp_path / "d")
    files = sorted((tmp_path / "d").rglob("*.png"), key=lambda file: (file.name, file.parent.name))
    source = str(tmp_path / "d")
    if kind in ("csv", "absolute"):
        names = [str(f if kind == "absolute" else f.relative_to(tmp_path)) for f in files]
        rows = [f"{name},{file.parent.name}" for name, file in zip(names, files, strict=True)]
        source = str(tmp_path / "t.csv")
        Path(source).write_text("\n".join(["image,label", *rows]))
    elif kind == "zip":
        source = shutil.make_archive(str(tmp_path / "z"), "zip", tmp_path / "d")
    else:
        for number, file in enumerate(files):
            file.rename(file.with_name(f"{50 - number}.png"))
    found = call_json(capsys, "evaluate", str(flat_run), source)
    assert (found["n_images"], found["n_trained_on"], found["n_left_out"]) == (6, 0, 15)
    assert np.array_equal(found["confusion"], expected["confusion"])
    everything = call_json(capsys, "evaluate", str(flat_run), source, "--split", "all")
    assert (everything["n_images"], everything["n_trained_on"]) == (21, 15)
    train = call_json(capsys, "evaluate", str(flat_run), source, "--split", "train")
    assert (train["n_images"], train["n_trained_on"]) == (15, 15)


def test_a_folder_that_grew_is_not_split_anew(
    shapes: Path, flat_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(shapes / "train", tmp_path / "d")
    for kind in ("circle", "square", "triangle"):
        for number in range(3):
            shutil.copy(shapes / "test" / kind / f"{number}.png", tmp_path / "d" / kind / f"000{number}.png")
    found = call_json(capsys, "evaluate", str(flat_run), str(tmp_path / "d"))
    assert (found["n_images"], found["n_trained_on"]) == (6 + 9, 0)
    assert any("9 images are new since the run was trained" in note for note in found["notes"])


def test_a_run_of_an_estimator_knows_its_images_too(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = str(PromptClassifier(n_ctx=1, epochs=1, shots=2).fit(str(shapes / "train")).save(tmp_path / "run"))
    found = call_json(capsys, "evaluate", folder, str(shapes / "train"))
    assert (found["n_images"], found["n_left_out"], found["n_trained_on"]) == (15, 6, 0)
    for file in (tmp_path / "run").iterdir():
        assert str(shapes).encode() not in file.read_bytes()


def test_an_estimator_says_what_it_was_trained_on(shapes: Path, tmp_path: Path) -> None:
    """`score` counts all of X, as scikit-learn's contract says; who asks can leave images out."""
    files = sorted((shapes / "train").rglob("*.png"))
    labels = [file.parent.name for file in files]
    classifier = PromptClassifier(n_ctx=1, epochs=1, shots=None).fit(files[::2], labels[::2])
    everything = load_dataset(files, labels=labels, make_split=False).whole()
    loaded = PromptClassifier.load(classifier.save(tmp_path / "run"))
    for one in (classifier, loaded):
        assert one.seen_ is not None
        left, n_left_out = everything.without(one.seen_.trained_on)
        assert (left.names, n_left_out) == ([str(file) for file in files[1::2]], 11)


def test_copies_in_a_benchmark_of_ones_own_data(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from coopt.datasets import load_benchmark

    with_copies(shapes, tmp_path / "d", 1)
    (tmp_path / "own.yaml").write_text("mine: {path: d}\n")
    mine = load_benchmark("mine", tmp_path, extra=tmp_path / "own.yaml")
    assert mine.test is not None and len(mine.test) == 15
    assert "3 of 18 test images are copies of training images" in mine.notes[0]
    kept = load_benchmark("mine", tmp_path, extra=tmp_path / "own.yaml", allow_duplicates=True)
    assert kept.test is not None and (len(kept.test), kept.notes) == (18, ())
    arguments = ["--datasets", "mine", "--data-file", str(tmp_path / "own.yaml"), "--workers", "0", "--seeds", "1"]
    out = ["--out", str(tmp_path / "b")]
    done = call_json(capsys, "bench", "zero-shot", *arguments, "--methods", "zero-shot", *out)
    assert any("mine: 3 of 18 test images" in note for note in done["notes"])
    shutil.rmtree(tmp_path / "d" / "test")
    shutil.copytree(tmp_path / "d" / "train", tmp_path / "d" / "test")
    with pytest.raises(DataError, match="All 21 test images .* are copies of its training images"):
        load_benchmark("mine", tmp_path, extra=tmp_path / "own.yaml")


def test_blank_pictures_of_several_classes_do_not_stop_a_fit(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for kind in ("day", "night", "dusk"):
        (tmp_path / "d" / kind).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / "d" / kind / f"{number}.png")
    fitted = call_json(capsys, "fit", str(tmp_path / "d"), "--out", str(tmp_path / "r"), *QUICK)
    assert any("pictures are in several classes" in note for note in fitted["notes"])
