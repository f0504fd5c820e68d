"""Image cells of tables: paths as programs write them, embedded images, empty cells, and what is refused."""

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import picture, png

from coopt.data import UnreadableImageError, load_dataset
from coopt.errors import DataError

Make = Callable[..., Path]
IMAGES = [f"images/{index}.png" for index in range(4)]
LABELS = ["a", "a", "b", "b"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(root: Path, kind: str, cells: list[Any], type_: pa.DataType | None = None) -> Path:
    path = root / f"t.{kind}"
    if kind == "csv":
        path.write_text("image|label\n" + "".join(f"{c}|{x}\n" for c, x in zip(cells, LABELS, strict=True)))
    elif kind == "jsonl.gz":
        records = [json.dumps({"image": c, "label": x}) for c, x in zip(cells, LABELS, strict=True)]
        path.write_bytes(gzip.compress("\r".join(records).encode("utf-16")))
    elif kind == "json":
        path.write_text(json.dumps([{"image": c, "label": x} for c, x in zip(cells, LABELS, strict=True)]))
    else:
        pq.write_table(pa.table({"image": pa.array(cells, type=type_), "label": LABELS}), path)
    return path


def pictures(source: Path, **options: Any) -> list[bytes]:
    dataset = load_dataset(source, make_split=False, **options).unsplit
    assert [dataset.class_labels[label] for label in dataset.labels] == LABELS
    return [dataset.load(index).tobytes() for index in range(4)]


WANTED = [picture(seed).tobytes() for seed in range(4)]
KINDS = ["csv", "json", "jsonl.gz", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spell", [
    lambda root, path: path.replace("/", "\\"),
    lambda root, path: ".\\" + path.replace("/", "\\"),
    lambda root, path: f"./images/../{path}",
    lambda root, path: str(root / path),
    lambda root, path: (root / path).as_uri(),
    lambda root, path: "file://localhost" + str(root / path),
    lambda root, path: f"file:{path}",
    lambda root, path: f"  {path} ",
], ids=range(8))  # fmt: skip
def test_spellings_of_paths(make_files: Make, kind: str, spell: Callable[[Path, str], str]) -> None:
    root = make_files("a folder", *IMAGES)
    assert pictures(write(root, kind, [spell(root, path) for path in IMAGES])) == WANTED


@pytest.mark.parametrize("kind", KINDS)
def test_a_root_and_an_ending(make_files: Make, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_files("data", *IMAGES, "tables/")
    table = write(root / "tables", kind, ["0", "1", "2.png", "3"])
    for image_root in (root / "images", "../images"):
        assert pictures(table, image_root=image_root, image_suffix=".png") == WANTED
    monkeypatch.chdir(root)
    assert pictures(table, image_root="images", image_suffix=".png") == WANTED
    with pytest.raises(DataError, match=r"image_root is 'imgs'; there is no such folder"):
        load_dataset(table, image_root="imgs")
    with pytest.raises(DataError, match=r"None of the 4 images .* image_root names another one"):
        load_dataset(table)


def test_numbers_are_names_of_images(make_files: Make) -> None:
    root = make_files("data", *IMAGES)
    for cells in ([0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0]):
        assert pictures(write(root, "parquet", cells), image_root=root / "images", image_suffix=".png") == WANTED


def test_a_root_inside_an_archive(make_files: Make, tmp_path: Path) -> None:
    import shutil

    root = make_files("data", *IMAGES, "readme/x.md")
    write(root, "csv", ["0", "1", "2", "3"])
    shutil.make_archive(str(tmp_path / "z"), "zip", root)
    assert pictures(tmp_path / "z.zip", image_root="images", image_suffix=".png") == WANTED


CONTENTS = [png(picture(seed)) for seed in range(4)]
TEXTS = [base64.b64encode(content).decode() for content in CONTENTS]


@pytest.mark.parametrize("cells", [
    TEXTS,
    [f"data:image/png;base64,{text}" for text in TEXTS],
    [text.replace("+", "-").replace("/", "_").rstrip("=") for text in TEXTS],
], ids=["base64", "data URI", "base64 for addresses"])  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_images_as_text(tmp_path: Path, kind: str, cells: list[str]) -> None:
    table = write(tmp_path, kind, cells)
    assert pictures(table) == WANTED
    assert load_dataset(table, make_split=False).unsplit.names[1] == f"t.{kind} row 2"


@pytest.mark.parametrize(("cells", "type_"), [
    (CONTENTS, pa.binary_view()),
    (CONTENTS, pa.large_binary()),
    ([[content] for content in CONTENTS], pa.list_(pa.binary())),
    ([[{"bytes": content, "path": None}] for content in CONTENTS], pa.list_(STRUCT)),
    ([{"bytes": None, "path": path.replace("/", "\\")} for path in IMAGES], STRUCT),
    ([{"path": path} for path in IMAGES], pa.struct([("path", pa.string())])),
])  # fmt: skip
def test_images_in_parquet(make_files: Make, cells: list[Any], type_: pa.DataType) -> None:
    assert pictures(write(make_files("data", *IMAGES), "parquet", cells, type_)) == WANTED


def test_objects_in_json(make_files: Make) -> None:
    root = make_files("data", *IMAGES)
    cells = [{"bytes": TEXTS[0], "path": "x.png"}, {"bytes": None, "path": IMAGES[1]}, [IMAGES[2]], {"path": IMAGES[3]}]
    assert pictures(write(root, "json", cells)) == WANTED


@pytest.mark.parametrize(("cell", "message"), [
    ([1, 2, 3], "has a list of 3 numbers or lists in column 'image'"),
    ([IMAGES[0], IMAGES[1]], "has a list of 2 images in column 'image'"),
    ({"url": "x", "id": 3}, "has an object with the keys 'url', 'id' in column 'image'"),
    (True, "has the value True in column 'image'"),
])  # fmt: skip
def test_cells_that_are_no_image_are_refused_by_name(make_files: Make, cell: Any, message: str) -> None:
    table = write(make_files("data", *IMAGES), "json", [IMAGES[0], IMAGES[1], cell, IMAGES[3]])
    with pytest.raises(DataError, match=rf"Row 3 \(counted below the header\) of '.*t.json' {message}"):
        load_dataset(table)


def test_several_images_in_a_cell_of_parquet(tmp_path: Path) -> None:
    table = write(tmp_path, "parquet", [[c] for c in CONTENTS[:3]] + [CONTENTS[:2]], pa.list_(pa.binary()))
    with pytest.raises(UnreadableImageError, match="'t.parquet row 4': the table's cell holds 2 images"):
        load_dataset(table, make_split=False).unsplit.load(3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty", ["", None, " ", "NaN"])
def test_an_empty_cell_is_skipped_by_name(make_files: Make, kind: str, empty: str | None) -> None:
    if empty is None and kind == "csv":
        empty = "null"
    table = write(make_files("data", *IMAGES), kind, [*IMAGES[:2], empty, IMAGES[3]])
    dataset = load_dataset(table, make_split=False).unsplit
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(UnreadableImageError, match=f"'t.{kind} row 3': the table's cell is empty"):
        dataset.load(2)


def test_a_row_without_image_and_label_is_left_out(make_files: Make) -> None:
    root = make_files("data", *IMAGES)
    rows = "".join(f"{i},{x},\n" for i, x in zip(IMAGES, LABELS, strict=True))
    (root / "t.csv").write_text("image,label,note\n" + rows + ",,the end\n")
    splits = load_dataset(root / "t.csv", make_split=False)
    assert len(splits.unsplit) == 4
    assert splits.notes == ("left out: 1 row has neither an image nor a label",)


@pytest.mark.parametrize(("cell", "reason"), [
    ("C:\\data\\{}.png", "Here it is an absolute path of a Windows machine; .* image_root"),
    ("\\\\server\\share\\{}.png", "Here it is an absolute path of a Windows machine"),
    ("https://example.org/{}.png", "Here it is an address, and images are not downloaded"),
    ("{}" + "x" * 5000, "Here its 5,001 characters are neither a path nor an image file in base64"),
    ("{}" + "y" * 300, "Here its 301 characters are neither a path nor"),
])  # fmt: skip
def test_why_no_image_is_found(make_files: Make, cell: str, reason: str) -> None:
    root = make_files("data", *IMAGES)
    with pytest.raises(DataError, match=f"None of the 4 images that .*{reason}"):
        load_dataset(write(root, "csv", [cell.format(index) for index in range(4)]))


def test_damaged_text_is_told_when_it_is_opened(make_files: Make) -> None:
    cells = [IMAGES[0], "data:image/png;base64,@@@@", "data:image/png", TEXTS[3][:-200]]
    dataset = load_dataset(write(make_files("data", *IMAGES), "json", cells), make_split=False).unsplit
    for index, reason in ((1, "its text is not base64"), (2, "its data URI has no content"), (3, "")):
        with pytest.raises(UnreadableImageError, match=f"'t.json row {index + 1}': {reason}"):
            dataset.load(index)


def test_lists_in_memory_follow_the_same_rule(make_files: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_files("a folder", *IMAGES)
    monkeypatch.chdir(root)
    items = ["images\\0.png", (root / IMAGES[1]).as_uri(), TEXTS[2], {"bytes": CONTENTS[3], "path": None}]
    for source in (items, [root / path for path in IMAGES], [f"data:image/png;base64,{text}" for text in TEXTS]):
        dataset = load_dataset(source, labels=LABELS, make_split=False).unsplit
        assert [dataset.load(index).tobytes() for index in range(4)] == WANTED
    for item, message in (
        ("x" * 5000, "Image 1, 'x{200}', is not there: its 5,000 characters are neither a path nor an image"),
        ("C:\\photos\\a.png", "is not there: it is an absolute path of a Windows machine"),
        ({"url": "x"}, "Image 1 is an object with the keys 'url'; an object needs 'bytes' or 'path'"),
        ("images/5.png", "Image 1: 'images/5.png' is not a file. Did you mean"),
    ):
        with pytest.raises(DataError, match=message):
            load_dataset([IMAGES[0], item], labels=["a", "b"])
