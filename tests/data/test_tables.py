"""CSV, TSV, JSONL and Parquet tables: which column is which, and what is wrong with a row."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import class_paths, picture, png

from coopt.data import UnreadableImageError, load_dataset
from coopt.errors import DataError

Make = Callable[..., Path]
IMAGES = [f"images/{index}.png" for index in range(6)]
LABELS = ["dog", "cat", "dog", "cat", "cat", "dog"]


def csv_text(header: str = "file_name,label", rows: list[str] | None = None) -> str:
    rows = rows or [f"{image},{label}" for image, label in zip(IMAGES, LABELS, strict=True)]
    return "\n".join([header, *rows]) + "\n"


def whole(source: Path, **settings: object) -> tuple[list[str], list[str]]:
    dataset = load_dataset(source, make_split=False, **settings).unsplit
    for index, name in enumerate(dataset.names):
        assert dataset.load(index).tobytes() == picture(int(Path(name).stem)).tobytes()
    return dataset.names, [dataset.class_labels[label] for label in dataset.labels]


JSONL = "".join(json.dumps({"image": i, "class": c, "extra": None}) + "\n" for i, c in zip(IMAGES, LABELS, strict=True))


@pytest.mark.parametrize(("name", "content"), [
    ("t.csv", csv_text()),
    ("t.csv", "\ufeff" + csv_text("Image,Class").replace("\n", "\r\n")),
    ("t.csv", csv_text().replace(",", ";")),
    ("t.csv", csv_text('path,category,note', [f'"{i}",{c},"x, ""y""\nz"' for i, c in zip(IMAGES, LABELS, strict=True)])),
    ("t.tsv", csv_text().replace(",", "\t")),
    ("t.jsonl", JSONL + "\n"),
])  # fmt: skip
def test_text_tables(make_files: Make, name: str, content: str) -> None:
    root = make_files("data", *IMAGES, contents={name: content})
    assert whole(root / name) == (IMAGES, LABELS)
    assert whole(root) == (IMAGES, LABELS)


def test_a_parquet_table_of_paths(make_files: Make) -> None:
    root = make_files("data", *IMAGES)
    pq.write_table(pa.table({"filepath": IMAGES, "target": LABELS}), root / "t.parquet")
    assert whole(root / "t.parquet") == (IMAGES, LABELS)


@pytest.mark.parametrize("column", [pa.binary(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])])
def test_a_parquet_table_of_images(tmp_path: Path, column: pa.DataType) -> None:
    contents = [png(picture(seed)) for seed in range(7)]
    cells = contents if column == pa.binary() else [{"bytes": content, "path": None} for content in contents]
    table = pa.table({"picture": pa.array(cells, type=column), "path": ["x"] * 7, "label": [10, 9, 10, 9, 100, 100, 9]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    dataset = load_dataset(tmp_path / "t.parquet", make_split=False).unsplit
    assert dataset.class_names == ["9", "10", "100"]  # by number, not by text
    assert dataset.labels.tolist() == [1, 0, 1, 0, 2, 2, 0]
    assert dataset.names[:2] == ["t.parquet row 1", "t.parquet row 2"]
    for index in (6, 0, 3, 2, 5):
        assert dataset.load(index).tobytes() == picture(index).tobytes()


def test_row_groups_leave_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coopt.data import columns

    monkeypatch.setattr(columns, "CACHE_BYTES", 1)
    monkeypatch.setattr(columns, "_CACHE", columns._ColumnCache())
    table = pa.table({"image": [png(picture(seed)) for seed in range(7)], "label": [0, 1, 0, 1, 0, 1, 0]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    dataset = load_dataset(tmp_path / "t.parquet", make_split=False).unsplit
    for index in (0, 6, 1, 5):
        assert dataset.load(index).tobytes() == picture(index).tobytes()
        assert len(columns._CACHE._columns) == 1


def test_an_empty_cell_is_unreadable(tmp_path: Path) -> None:
    cells = pa.array([{"bytes": png(picture(0))}, {"bytes": None}], type=pa.struct([("bytes", pa.binary())]))
    pq.write_table(pa.table({"image": cells, "label": [0, 1]}), tmp_path / "t.parquet")
    dataset = load_dataset(tmp_path / "t.parquet", make_split=False).unsplit
    with pytest.raises(UnreadableImageError, match="'t.parquet row 2': the table's cell is empty"):
        dataset.load(1)


def test_whole_numbers_of_a_csv_sort_by_value(make_files: Make) -> None:
    rows = [f"{image},{label}" for image, label in zip(IMAGES, [10, 9, 2, 10, 9, 2], strict=True)]
    root = make_files("data", *IMAGES, contents={"t.csv": csv_text(rows=rows)})
    splits = load_dataset(root / "t.csv", class_names={"2": "two", "9": "nine", "10": "ten"})
    assert splits.class_names == ["two", "nine", "ten"]


def test_a_split_column(make_files: Make) -> None:
    parts = ["train", "train", "valid", "test", "train", "test"]
    rows = [f"{i},{c},{p}" for i, c, p in zip(IMAGES, LABELS, parts, strict=True)]
    root = make_files("data", *IMAGES, contents={"t.csv": csv_text("image,label,Split", rows)})
    splits = load_dataset(root)
    assert [part.names for part in splits.parts.values()] == [
        [IMAGES[0], IMAGES[1], IMAGES[4]],
        [IMAGES[2]],
        [IMAGES[3], IMAGES[5]],
    ]
    with pytest.raises(DataError, match=r"Row\(s\) 6 \(counted below the header\) of .* name no split"):
        (root / "t.csv").write_text(csv_text("image,label,split", [*rows[:5], f"{IMAGES[5]},dog,"]))
        load_dataset(root)
    (root / "t.csv").unlink()
    records = [{"image": i, "label": c, "split": p} for i, c, p in zip(IMAGES, LABELS, parts, strict=True)]
    del records[1]["split"]
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, records)))
    with pytest.raises(DataError, match=r"Row\(s\) 2 \(counted below the header\) of .* name no split"):
        load_dataset(root)


def test_columns_by_name(make_files: Make) -> None:
    rows = [f"{i},{c},x,{k}" for k, (i, c) in enumerate(zip(IMAGES, LABELS, strict=True))]
    root = make_files("data", *IMAGES, contents={"t.csv": csv_text("photo,breed,label,path", rows)})
    assert whole(root / "t.csv", image_column="photo", label_column="breed") == (IMAGES, LABELS)


@pytest.mark.parametrize(("header", "settings", "message"), [
    ("image,label,class", {}, r"several columns that may be the label: 'label', 'class'. Name one with label_column"),
    ("image,path,label", {}, "several columns that may be the image: 'image', 'path'"),
    ("photo,label,x", {}, r"no column with a usual name for the image \(image, img, .*\); it has 'photo', 'label', 'x'"),
    ("image,breed,x", {}, "no column with a usual name for the label .* it has 'breed', 'x'"),
    ("image,label,x", {"label_column": "lable"}, "has no column 'lable'; it has 'label', 'x'. Did you mean 'label'"),
    ("image,label,x", {"image_column": "picture"}, "has no column 'picture'; it has 'image', 'label', 'x'"),
    ("image,label,label", {}, "has a column name twice: 'image', 'label', 'label'"),
])  # fmt: skip
def test_columns_that_cannot_be_told(make_files: Make, header: str, settings: dict, message: str) -> None:
    rows = [f"{image},{label},1" for image, label in zip(IMAGES, LABELS, strict=True)]
    root = make_files("data", *IMAGES, contents={"t.csv": csv_text(header, rows)})
    with pytest.raises(DataError, match=message):
        load_dataset(root / "t.csv", **settings)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("t.csv", csv_text(rows=[*[f"{i},a" for i in IMAGES[:4]], f"{IMAGES[4]},", f"{IMAGES[5]}, "]), r"Row\(s\) 5, 6 \(counted below the header\) of '.*t.csv' have no label in column 'label'"),
    ("t.csv", csv_text(rows=["gone/1.png,a", "gone/2.png,b"]), "None of the 2 images that '.*t.csv' names in column 'file_name' exists, for example 'gone/1.png'. Paths are relative"),
    ("t.csv", csv_text(rows=["images/0.png,a", "images/1.png"]), r"Row\(s\) 2 .*have another number of cells than the header's 2. Quote cells that contain ','"),
    ("t.csv", "image,label\n", "has no rows below its header"),
    ("t.csv", "", "is empty"),
    ("t.csv", b"image,label\n\xff\xfe,a", "is not UTF-8 text"),
    ("t.csv", 'image,label\n"x,a', "is damaged"),
    ("t.jsonl", '{"image": "images/0.png", "label": "a"}\n{"image"', "Line 2 of 't.jsonl' is not JSON"),
    ("t.jsonl", "[1]", "Line 1 of 't.jsonl' is not a JSON object"),
    ("t.jsonl", '{"image": "images/0.png", "label": ["a", "b"]}', r"holds lists or objects, the first in row 1 \(counted below the header\); one label per image"),
    ("t.jsonl", '{"image": "images/0.png", "label": null}', r"Row\(s\) 1 .*no label"),
    ("t.parquet", b"PAR1", "is not a readable Parquet file"),
    ("t.csv", csv_text(rows=["images/0.png,a", "images/1.png,a"]), r"t.csv' has one class only \('a'\)"),
])  # fmt: skip
def test_damaged_tables(make_files: Make, name: str, content: str | bytes, message: str) -> None:
    root = make_files("data", *IMAGES, contents={name: content})
    with pytest.raises(DataError, match=message):
        load_dataset(root / name)


def test_a_few_missing_files_are_unreadable_not_fatal(make_files: Make) -> None:
    rows = [f"{image},{label}" for image, label in zip([*IMAGES[:5], "images/gone.png"], LABELS, strict=True)]
    root = make_files("data", *IMAGES, contents={"t.csv": csv_text(rows=rows)})
    dataset = load_dataset(root / "t.csv", make_split=False).unsplit
    assert len(dataset) == 6
    with pytest.raises(UnreadableImageError, match="'images/gone.png': the file does not exist"):
        dataset.load(5)


def test_missing_labels_do_not_matter_for_prediction(make_files: Make) -> None:
    root = make_files(
        "data",
        *IMAGES,
        contents={"t.csv": csv_text(rows=[f"{IMAGES[0]},a", f"{IMAGES[1]},"]), "u.csv": csv_text("image", IMAGES)},
    )
    splits = load_dataset(root / "t.csv", require_labels=False)
    assert splits.unsplit.labels is None and splits.notes == ("labels are not used: 1 row has none",)
    assert load_dataset(root / "u.csv", require_labels=False).unsplit.names == IMAGES


def test_class_folders_win_over_a_table_beside_them(make_files: Make) -> None:
    root = make_files("data", *class_paths({"a": 2, "b": 3}), contents={"notes.csv": "x,y\n1,2\n"})
    splits = load_dataset(root)
    assert len(splits.whole()) == 5
    assert any("not read beside the class folders: 'notes.csv'" in note for note in splits.notes)


def test_metadata_tables_of_image_folders(make_files: Make) -> None:
    # Hugging Face's "imagefolder" layout with a table in every split folder.
    contents = {
        "train/metadata.csv": "file_name,label\n0.png,a\n1.png,b\nsub/2.png,b\n",
        "test/metadata.jsonl": '{"file_name": "0.png", "label": "a"}\n',
    }
    splits = load_dataset(
        make_files("data", "train/0.png", "train/1.png", "train/sub/2.png", "test/0.png", contents=contents)
    )
    assert [len(part) for part in splits.parts.values()] == [3, 1]
    assert splits.train.labels.tolist() == [0, 1, 1]
    assert splits.train.load(2).tobytes() == picture(2).tobytes()


def test_tables_per_split(make_files: Make) -> None:
    contents = {
        f"labels_{part}.csv": csv_text(rows=[f"{i},{c}" for i, c in zip(IMAGES, LABELS, strict=True)][cut])
        for part, cut in (("train", slice(0, 4)), ("test", slice(4, 6)))
    }
    splits = load_dataset(make_files("data", *IMAGES, contents=contents))
    assert [part.names for part in splits.parts.values()] == [IMAGES[:4], IMAGES[4:]]


@pytest.mark.parametrize(("tables", "message"), [
    (["a.csv", "b.csv"], "holds several tables: 'a.csv', 'b.csv'. Give the path of the one to read"),
    (["a/train.csv", "b/train.csv"], "holds several data sets, in 'a', 'b'. Give the folder"),
])  # fmt: skip
def test_several_tables(make_files: Make, tables: list[str], message: str) -> None:
    root = make_files("data", *IMAGES, contents={table: csv_text() for table in tables})
    with pytest.raises(DataError, match=message):
        load_dataset(root)


def test_only_line_feeds_end_a_line_of_jsonl(make_files) -> None:
    records = [
        {"image": image, "label": label, "place": "left\u2028right"}
        for image, label in zip(IMAGES, LABELS, strict=True)
    ]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    root = make_files("data", *IMAGES, contents={"t.jsonl": "\r\n".join(lines)})
    assert load_dataset(root / "t.jsonl", make_split=False).unsplit.names == IMAGES
