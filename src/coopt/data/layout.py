"""Reading a tree of files: a folder per class, train/val/test folders, flat folders, tables beside the images."""

from coopt.data.dataset import _some
from coopt.data.decode import is_image_name
from coopt.data.reading import SPLIT_NAMES, Reading, Rows
from coopt.data.tree import FileTree, SubTree, top_folders
from coopt.errors import DataError


def read_class_folders(tree: FileTree) -> Reading:
    """Read a folder per class, below train/val/test folders or not; images of a flat folder come without labels.

    Raises:
        DataError: a class folder without images, or split and class folders mixed.
    """
    tops = top_folders(tree)
    splits = [name for name in tops if name.lower() in SPLIT_NAMES]
    with_classes = [name for name in splits if _has_class_folders(SubTree(tree, name))]
    others = [name for name in tops if name not in splits and _has_images(SubTree(tree, name))]
    if with_classes and others:
        # A class may be called "train"; a folder of class folders beside class folders is something else.
        raise DataError(
            f"{tree.where} mixes split folders ({_some(with_classes)}) and other folders with images "
            f"({_some(others)}). Keep only train/, val/ and test/ at the top, or only class folders."
        )
    reading = Reading(tree.where, {}, ignored_files=tree.hidden)
    if with_classes or (
        splits and not others and len(splits) == len(tops) and "train" in map(str.lower, splits)
    ):
        classes: set[str] = set()
        for name in splits:
            reading.parts[name] = _read_part(
                SubTree(tree, name), reading, f"{name}/", name.lower() == "train"
            )
            classes |= set(reading.parts[name].labels or [])
        reading.ignored_files += sum("/" not in path for path in tree.paths)
        return reading
    reading.parts[""] = _read_part(tree, reading, "", training=True)
    return reading


def _read_part(tree: FileTree, reading: Reading, prefix: str, training: bool) -> Rows:
    folders = top_folders(tree)
    rows = Rows(labels=[])
    for path in tree.paths:
        if not is_image_name(path) or (folders and _has_class_folders(tree) and "/" not in path):
            reading.ignored_files += 1
            continue
        rows.images.append(tree.source(path))
        rows.names.append(prefix + path)
        assert rows.labels is not None
        rows.labels.append(path.split("/", 1)[0])
    if not _has_class_folders(tree):
        rows.labels = None
        return rows
    present = set(rows.labels or [])
    empty = [name for name in folders if name not in present]
    if empty and training:
        raise DataError(
            f"{tree.where} has class folders without images: {_some(empty)}. Add images or remove the folders."
        )
    if empty:
        reading.notes.append(f"{prefix} has class folders without images: {_some(empty)}")
    return rows


def _has_images(tree: FileTree) -> bool:
    return any(is_image_name(path) for path in tree.paths)


def _has_class_folders(tree: FileTree) -> bool:
    return any("/" in path and is_image_name(path) for path in tree.paths)
