"""Text files that users give: encodings, separators, line ends, layouts of JSON."""

import codecs
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coopt.data import load_dataset, read_class_names
from coopt.data.text import read_text
from coopt.errors import ConfigError, DataError
from coopt.prompting import read_templates

Make = Callable[..., Path]
IMAGES = [f"images/{index}.png" for index in range(4)]
LABELS = ["é", "é", "b", "b"]
ROWS = [f"{image},{label}" for image, label in zip(IMAGES, LABELS, strict=True)]
CSV = "\r\n".join(["path,label", *ROWS])

ENCODINGS = [
    lambda text: text.encode(),
    lambda text: codecs.BOM_UTF8 + text.encode(),
    lambda text: text.encode("utf-16"),
    lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    lambda text: text.encode("utf-16-le"),
    lambda text: text.encode("utf-16-be"),
    lambda text: text.encode("utf-32"),
    lambda text: gzip.compress(text.encode()),
    lambda text: text.encode() + b"\x1a",
]


@pytest.mark.parametrize("encode", ENCODINGS, ids=range(len(ENCODINGS)))
def test_encodings_of_every_text_file(make_files: Make, encode: Callable[[str], bytes]) -> None:
    names, templates = {"é": "café", "b": "box"}, ["a {}.", "the {}."]
    root = make_files("data", *IMAGES, contents={
        "t.csv": encode(CSV),
        "t.jsonl": encode("\n".join(json.dumps({"path": i, "label": c}) for i, c in zip(IMAGES, LABELS, strict=True))),
        "n.json": encode(json.dumps(names, ensure_ascii=False)),
        "n.txt": encode("box\r\ncafé\r\n"),
        "p.json": encode(json.dumps(templates)),
        "p.txt": encode("a {}.\rthe {}.\r"),
    })  # fmt: skip
    for table in ("t.csv", "t.jsonl"):
        splits = load_dataset(root / table, class_names=root / "n.json", make_split=False)
        assert splits.any.class_labels == ["b", "é"] and splits.class_names == ["box", "café"]
    assert read_class_names(root / "n.json") == names
    assert read_class_names(root / "n.txt") == ["box", "café"]
    assert read_templates(root / "p.json") == templates == read_templates(root / "p.txt")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
def test_older_encodings_are_refused_with_their_line(make_files: Make, encoding: str) -> None:
    files = {"t.csv": CSV, "n.txt": "box\ndéjà vu\n", "n.json": '{\n"b": "é"}', "p.txt": "a {}\né {}\n"}
    root = make_files("data", contents={name: text.encode(encoding) for name, text in files.items()})
    for read in (load_dataset, read_class_names, read_templates):
        name = {load_dataset: "t.csv", read_class_names: "n.txt", read_templates: "p.txt"}[read]
        with pytest.raises((DataError, ConfigError), match=rf"{name}' is not UTF-8 text: line 2 has the byte 0x..\."):
            read(root / name)
    with pytest.raises(DataError, match=r"reads 'déjà vu'") if encoding != "mac-roman" else pytest.raises(DataError):
        read_class_names(root / "n.txt")


@pytest.mark.parametrize("content", [b"a\x00b", b"a\nb\x1b[31mc", b"\x7fELF"])
def test_control_characters_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"The file has the control character '\\x..' in line [12]"):
        read_text(content, "The file")


def test_damaged_files(tmp_path: Path) -> None:
    for content in (gzip.compress(b"a" * 1000)[:-9], gzip.compress(b"a" * 1000)[:15]):
        with pytest.raises(DataError, match="The file cannot be read"):
            read_text(content, "The file")
    with pytest.raises(DataError, match="The file does not exist"):
        read_text(tmp_path / "gone", "The file")
    with pytest.raises(DataError, match="The file cannot be read: .*directory"):
        read_text(tmp_path, "The file")


@pytest.mark.parametrize(("content", "message"), [
    ("[" * 100_000, "nested too deeply"),
    ('{"a": "x", "a": "y"}', "has the key 'a' twice"),
    ('{"a": 1}', "has '1' where words are needed"),
    ('{"a": ["x"]}', "where words are needed"),
    ('["x", null]', "has 'None' where words are needed"),
    ("[]", "must hold a JSON map"),
    ("3", "must hold a JSON map"),
    ("{", "is not readable JSON"),
    ('{"a": ' + "9" * 5000 + "}", "is not readable JSON"),
])  # fmt: skip
def test_name_files_of_other_layouts(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "n.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_class_names(tmp_path / "n.json")


@pytest.mark.parametrize(("name", "text"), [
    ("t.csv", "path|label\n" + "\n".join(row.replace(",", "|") for row in ROWS)),
    ("t.csv", "path;label;note, long\n" + "\n".join(row.replace(",", ";") + ";1,5" for row in ROWS)),
    ("t.csv", '"path, of it";label\n' + "\n".join(row.replace(",", ";") for row in ROWS)),
    ("t.csv.gz", CSV),
    ("t.txt", CSV.replace(",", "\t")),
    ("t.txt", CSV.replace(",", "  ")),
    ("t.tsv", CSV.replace(",", "\t").replace("\r\n", "\r")),
    ("t.CSV", CSV),
    ("t.jsonl", "\r".join(json.dumps({"path": i, "label": c}) for i, c in zip(IMAGES, LABELS, strict=True))),
])  # fmt: skip
def test_separators_and_line_ends(make_files: Make, name: str, text: str) -> None:
    content = gzip.compress(text.encode()) if name.endswith(".gz") else text
    root = make_files("data", *IMAGES, contents={name: content})
    options = {"image_column": "path, of it"} if "of it" in text else {}
    dataset = load_dataset(root / name, make_split=False, **options).unsplit
    assert dataset.names == IMAGES and dataset.labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("value", [
    [{"path": i, "label": c} for i, c in zip(IMAGES, LABELS, strict=True)],
    {"path": IMAGES, "label": LABELS},
    {"path": {str(k): i for k, i in enumerate(IMAGES)}, "label": {str(k): c for k, c in enumerate(LABELS)}},
    {str(k): {"path": i, "label": c} for k, (i, c) in enumerate(zip(IMAGES, LABELS, strict=True))},
    {"columns": ["path", "label"], "index": [0, 1, 2, 3], "data": [list(pair) for pair in zip(IMAGES, LABELS, strict=True)]},
    {"schema": {}, "data": [{"index": 0, "path": i, "label": c} for i, c in zip(IMAGES, LABELS, strict=True)]},
    {"images": [{"path": i, "label": c} for i, c in zip(IMAGES, LABELS, strict=True)]},
    dict(zip(IMAGES, LABELS, strict=True)),
], ids=["records", "columns", "numbered", "rows", "split", "table", "named", "labels by path"])  # fmt: skip
def test_layouts_of_json_tables(make_files: Make, value: Any) -> None:
    root = make_files("data", *IMAGES, contents={"t.json": json.dumps(value)})
    dataset = load_dataset(root / "t.json", make_split=False).unsplit
    assert dataset.names == IMAGES and dataset.labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(("name", "text", "message"), [
    ("t.json", "3", "is JSON of another layout"),
    ("t.json", "[1, 2]", "is JSON of another layout"),
    ("t.json", "[" * 100_000, "nested too deeply"),
    ("t.jsonl", "[" * 100_000, "Line 1 of 't.jsonl' is not JSON that is read: it is nested too deeply"),
    ("t.txt", "images/0.png 0\nimages/1.png 1\n", "begins with 'images/0.png', '0', which is a row and no header"),
    ("t.csv", "images/0.png,a\nimages/1.png,b\n", "which is a row and no header. Put a line .* such as path,label"),
])  # fmt: skip
def test_tables_of_other_layouts(make_files: Make, name: str, text: str, message: str) -> None:
    root = make_files("data", *IMAGES, contents={name: text})
    with pytest.raises(DataError, match=message):
        load_dataset(root / name)


def test_notes_in_a_folder_are_no_tables(make_files: Make) -> None:
    root = make_files("data", *IMAGES, contents={"notes.txt": "a b\nc d\n", "facts.json": "{}", "t.csv": CSV})
    assert load_dataset(root, make_split=False).unsplit.names == IMAGES
