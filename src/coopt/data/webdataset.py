"""WebDataset: an image and its label are files of the same name, `0001.jpg` with `0001.cls`, `.json` or `.txt`.

They lie in a tar, a folder or a zip, or in several tars of one folder (shards), whose names may say the part:
`train-000000.tar`. A name is what stands before the first dot, as in the format's own definition.
"""

import posixpath
from collections.abc import Iterable
from typing import Any

from coopt.data.archives import ArchiveTree
from coopt.data.found import Reading, Rows
from coopt.data.labels import is_whole, label_text
from coopt.data.pattern import read_images
from coopt.data.tables import LABEL_COLUMNS, is_table_name
from coopt.data.text import parse_json, read_text
from coopt.data.tree import FileTree, FolderTree
from coopt.data.trees import SPLIT_TOKEN
from coopt.data.wording import count, some
from coopt.errors import DataError
from coopt.messages import option

ENDINGS = ("cls", "json", "txt")
"""The files that hold a label, the first there is counts."""
JSON_KEYS = ("cls", *LABEL_COLUMNS)


def is_webdataset(tree: FileTree) -> bool:
    """Whether images have their labels in files beside them: `.cls` files, or others in a folder of images only.

    A folder of tars without images or tables of its own is such a data set, too.
    """
    if _is_shards(tree):
        return True
    images = {_key(path) for path in tree.images}
    beside = {ending: {_key(path) for path in tree.paths if _ending(path) == ending} for ending in ENDINGS}
    if images & beside["cls"]:
        return True
    flat = len({posixpath.dirname(key) for key in images}) == 1
    no_tables = not any(map(is_table_name, tree.paths))
    return bool(images) and flat and no_tables and images <= beside["json"] | beside["txt"]


def _is_shards(tree: FileTree) -> bool:
    """Whether a folder holds tars, and neither images nor tables of its own."""
    if not isinstance(tree, FolderTree) or not any(path.endswith(".tar") for path in tree.paths):
        return False
    return not any(tree.is_image(path) or is_table_name(path) for path in tree.paths)


def read_webdataset(tree: FileTree, label_column: str | None, require_labels: bool) -> Reading:
    """Images with the labels that lie beside them.

    Args:
        tree: the files.
        label_column: the key of the label in `.json` files, where it is not a usual one.
        require_labels: whether an image without a label is an error.

    Raises:
        DataError: an image has no label, or a file cannot be read as one.
    """
    if isinstance(tree, FolderTree) and _is_shards(tree):
        return _read_shards(tree, label_column, require_labels)
    reading = read_images(tree)
    files = {(_key(path), _ending(path)): path for path in tree.paths if _ending(path) in ENDINGS}
    reading.ignored_files -= len(files)
    for rows in reading.parts.values():
        _label_rows(tree, rows, files, label_column, reading, require_labels)
    _note_numbers(reading, [reading])
    return reading


def _read_shards(tree: FolderTree, label_column: str | None, require_labels: bool) -> Reading:
    """The images of all tars of a folder as one data set."""
    merged = Reading(tree.where, {})
    readings = []
    for path in (path for path in tree.paths if path.endswith(".tar")):
        shard = ArchiveTree(tree.source(path), tree.sieve.patterns)
        reading = read_webdataset(shard, label_column, require_labels)
        words = SPLIT_TOKEN.findall(path)
        merged.ignored_files += reading.ignored_files + shard.sieve.hidden
        merged.notes += [*reading.notes, *shard.notes()]
        readings.append(reading)
        for part, rows in reading.parts.items():
            rows.names = [f"{path}/{name}" for name in rows.names]
            name = part or (words[-1].lower() if words else "")
            target = merged.parts.setdefault(name, Rows(labels=None if rows.labels is None else []))
            if (target.labels is None) != (rows.labels is None):
                raise DataError(f"Some tars of {tree.where} have labels and others have none.")
            target.add(rows)
    _note_numbers(merged, readings)
    return merged


def _label_rows(
    tree: FileTree,
    rows: Rows,
    files: dict[tuple[str, str], str],
    label_column: str | None,
    reading: Reading,
    required: bool,
) -> None:
    labels = []
    for name in rows.names:
        paths = [files[_key(name), ending] for ending in ENDINGS if (_key(name), ending) in files]
        labels.append(next(filter(None, (_label(tree, path, label_column) for path in paths)), None))
    missing = [name for name, label in zip(rows.names, labels, strict=True) if label is None]
    if missing and required:
        raise DataError(
            f"{count(len(missing), 'image', 'images')} of {len(labels)} in {tree.where} have no label in a .cls, .json "
            f"or .txt file beside them: {some(missing, 3)}. "
            f"{option('--label-column', 'label_column')} names the label's key in .json files."
        )
    if missing and len(missing) < len(labels):
        reading.notes.append(f"labels are not used: {count(len(missing), 'image has', 'images have')} none")
    rows.labels = None if missing else [label or "" for label in labels]


def _label(tree: FileTree, path: str, key: str | None) -> str | None:
    what = f"The file '{path}' in {tree.where}"
    text = read_text(tree.read(path), what)
    if _ending(path) != "json":
        return label_text(text)
    value: Any = parse_json(text, what)
    if isinstance(value, dict):
        keys = {name.lower(): name for name in value} if key is None else {key: key}
        value = next((value.get(keys[name]) for name in (JSON_KEYS if key is None else (key,)) if name in keys), None)
    try:
        return label_text(value)
    except TypeError:
        raise DataError(f"{what} has the label {value!r}; one label for each image is needed.") from None


def _note_numbers(reading: Reading, sources: Iterable[Reading]) -> None:
    labels = {label for source in sources for rows in source.parts.values() for label in rows.labels or []}
    reading.numeric_labels = bool(labels) and all(map(is_whole, labels))


def _key(path: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, name.split(".", 1)[0])


def _ending(path: str) -> str:
    return path.rsplit(".", 1)[-1].lower()
