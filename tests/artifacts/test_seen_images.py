"""Which images a run has seen: by the content of the files, whatever they are called and wherever they lie."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.artifacts import SeenImages
from coopt.artifacts.images import seen_by_names
from coopt.data import image_digest, load_dataset
from coopt.data.digests import content_digest, find_conflicts, number_images
from tests.pictures import shapes_folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21 pictures in a folder for each of 3 classes."""
    return shapes_folder(tmp_path_factory.mktemp("data") / "shapes") / "train"


def whole(source: object) -> object:
    return load_dataset(source, make_split=False).whole()


def seen(folder: Path, seed: int = 1) -> SeenImages:
    """What a run that split the folder and drew every second training image remembers."""
    splits = load_dataset(str(folder), seed=seed)
    assert splits.train is not None
    return SeenImages(splits.train.digests[::2], {name: part.digests for name, part in splits.parts.items()})


def test_a_picture_has_one_number_in_a_folder_a_table_an_archive_and_as_bytes(flat: Path, tmp_path: Path) -> None:
    file = flat / "circle" / "2.png"
    table = tmp_path / "t.csv"
    table.write_text(f"image,label\n{file},x\n{flat / 'square' / '0.png'},y\n")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(file, "other/name.png")
    members = load_dataset(str(tmp_path / "z.zip"), require_labels=False, make_split=False).whole()
    numbers = [whole(str(table)).digests[0], members.digests[0], *number_images([file, str(file), file.read_bytes()])]
    assert len(set(map(int, numbers))) == 1
    assert numbers[0] == int.from_bytes(content_digest(file.read_bytes())[:8], "little", signed=True)


def test_what_cannot_be_read_is_the_same_as_nothing(flat: Path, tmp_path: Path) -> None:
    shutil.copytree(flat, tmp_path / "d")
    data = whole(str(tmp_path / "d"))
    for file in ("circle/0.png", "square/0.png"):
        (tmp_path / "d" / file).unlink()
    assert sorted(data.digests)[10] != 0 and (data.digests == 0).sum() == 2
    assert not data.among(data.digests)[data.digests == 0].any()
    assert find_conflicts(data.digests, data.labels) == []


def test_files_of_a_part_are_not_read_again(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = whole(str(flat))
    expected = data.digests
    monkeypatch.setattr("coopt.data.dataset.number_images", lambda images: pytest.fail("read again"))
    assert np.array_equal(data.subset([5, 2, 11]).digests, expected[[5, 2, 11]])


def test_arrays_and_pictures_in_memory_have_numbers_too() -> None:
    arrays = np.random.default_rng(0).integers(0, 255, (5, 7, 11, 3)).astype(np.uint8)
    data = load_dataset(np.concatenate([arrays, arrays[1:2]]), labels=[0, 1, 0, 1, 0, 1], make_split=False).whole()
    assert data.digests[1] == data.digests[5] and len(set(data.digests.tolist())) == 5
    pictures = [Image.fromarray(arrays[0]), Image.fromarray(arrays[0]), Image.fromarray(arrays[1])]
    assert number_images(pictures)[0] == number_images(pictures)[1] != number_images(pictures)[2]


def test_a_file_keeps_what_was_seen(flat: Path, tmp_path: Path) -> None:
    kept = seen(flat)
    kept.write(tmp_path / "images.safetensors")
    again = SeenImages.read(tmp_path / "images.safetensors")
    assert np.array_equal(again.trained_on, kept.trained_on)
    assert {name: numbers.tolist() for name, numbers in again.split.items()} == {
        name: numbers.tolist() for name, numbers in kept.split.items()
    }


@pytest.mark.parametrize("change", ["none", "renamed", "table", "zip", "grown"])
def test_the_split_is_found_again(flat: Path, tmp_path: Path, change: str) -> None:
    kept, original = seen(flat), load_dataset(str(flat))
    folder = tmp_path / "copy"
    shutil.copytree(flat, folder)
    source, n_new = str(folder), 0
    if change == "renamed":
        for number, file in enumerate(sorted(folder.rglob("*.png"))):
            file.rename(file.with_name(f"{99 - number}-x.png"))
    if change == "table":
        files = sorted(folder.rglob("*.png"), key=lambda file: file.name)
        (tmp_path / "t.csv").write_text("image,label\n" + "".join(f"{f},{f.parent.name}\n" for f in files))
        source = str(tmp_path / "t.csv")
    if change == "zip":
        source = shutil.make_archive(str(tmp_path / "z"), "zip", folder)
    if change == "grown":
        for number in range(4):
            Image.new("RGB", (20, 20 + number), "blue").save(folder / "square" / f"000{number}.png")
        n_new = 4
    found = kept.split_again(whole(source))
    assert found is not None
    parts, new = found
    assert new == n_new
    for name in ("train", "val"):
        assert sorted(parts[name].digests) == sorted(original.parts[name].digests)
    assert len(parts["test"]) == len(original.parts["test"]) + n_new
    assert not parts["test"].among(kept.trained_on).any()


def test_other_data_with_a_few_known_pictures_is_other_data(flat: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(flat.parent / "test", other)
    shutil.copy(flat / "circle" / "0.png", other / "circle" / "copy.png")
    kept = seen(flat)
    assert kept.split_again(whole(str(other))) is None
    data = whole(str(other))
    everything = SeenImages(np.concatenate(list(kept.split.values())))
    assert everything.n_trained_on(data) == 1
    left, n_left_out = data.without(everything.trained_on)
    assert (len(left), n_left_out) == (15, 1) and all("copy" not in name for name in left.names)


def test_a_run_of_an_earlier_version_is_known_by_names_and_pictures(flat: Path, tmp_path: Path) -> None:
    splits = load_dataset(str(flat), seed=5)
    train = splits.train
    assert train is not None and splits.test is not None
    facts = {
        "trained_on": train.names,
        "digests": [image_digest(train.load(index)) for index in range(5)],
        "split": splits.made_by,
    }
    config = {"seed": 5, "data": facts}
    found = seen_by_names(config, whole(str(flat)))
    assert sorted(found.trained_on) == sorted(train.digests)
    parts, n_new = found.split_again(whole(str(flat)))
    assert (sorted(parts["test"].names), n_new) == (sorted(splits.test.names), 0)
    # The same names, other pictures.
    shutil.copytree(flat, tmp_path / "other")
    for number, file in enumerate(sorted((tmp_path / "other").rglob("*.png"))):
        Image.new("RGB", (30, 30 + number), "red").save(file)
    assert len(seen_by_names(config, whole(str(tmp_path / "other"))).trained_on) == 0


def test_pictures_in_several_classes_are_found() -> None:
    numbers, labels = np.array([5, 7, 5, 0, 0, 9, 9, 5]), np.array([0, 1, 1, 0, 1, 2, 2, 0])
    assert find_conflicts(numbers, labels) == [[0, 2, 7]]
