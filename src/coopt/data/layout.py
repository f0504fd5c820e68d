"""Reading a tree of images by its folders: a folder per class, train/ val/ test/ folders, or none at all."""

from coopt.data.decode import is_image_name
from coopt.data.reading import SPLIT_NAMES, Reading, Rows
from coopt.data.tree import FileTree, SubTree, top_folders
from coopt.data.wording import count, some
from coopt.errors import DataError


def read_class_folders(tree: FileTree, require_labels: bool = True) -> Reading:
    """Read a folder per class, below train/ val/ test/ folders or not.

    Images of a flat folder come without labels. Where labels are not required, so do all images of a folder
    that has images both at its root and in folders.

    Raises:
        DataError: a class folder without images, or split and class folders mixed.
    """
    reading = Reading(tree.where, {}, ignored_files=tree.hidden)
    tops = top_folders(tree)
    splits = [name for name in tops if name.lower() in SPLIT_NAMES]
    with_classes = [name for name in splits if has_class_folders(SubTree(tree, name))]
    others = sorted(folders_with_images(tree) - set(splits))
    if with_classes and others:
        # A class may be called "train"; class folders inside some folders and beside them are a mistake.
        raise DataError(
            f"{tree.where} mixes split folders ({some(with_classes)}) and other folders with images "
            f"({some(others)}). Keep only train/, val/ and test/ at the top, or only class folders."
        )
    if with_classes:
        for name in splits:
            complete = require_labels and SPLIT_NAMES[name.lower()] == "train"
            part = _read_part(SubTree(tree, name), reading, f"{name}/", require_labels, complete)
            reading.parts[name] = part
        reading.ignored_files += sum(path.split("/", 1)[0] not in splits for path in tree.paths)
    else:
        reading.parts[""] = _read_part(tree, reading, "", require_labels, complete=require_labels)
    return reading


def folders_with_images(tree: FileTree) -> set[str]:
    """The folders directly below the root that hold images, at any depth."""
    return {path.split("/", 1)[0] for path in tree.paths if "/" in path and is_image_name(path)}


def has_class_folders(tree: FileTree) -> bool:
    """Whether there is an image in a folder of the tree, not only at its root."""
    return any("/" in path and is_image_name(path) for path in tree.paths)


def _read_part(tree: FileTree, reading: Reading, prefix: str, require_labels: bool, complete: bool) -> Rows:
    images = [path for path in tree.paths if is_image_name(path)]
    reading.ignored_files += len(tree.paths) - len(images)
    in_folders = [path for path in images if "/" in path]
    loose = len(images) - len(in_folders)
    if not in_folders or (loose and not require_labels):
        return Rows([tree.source(path) for path in images], None, [prefix + path for path in images])
    if loose:
        reading.notes.append(f"not read: {count(loose, 'image', 'images')} beside the class folders of {tree.where}")
    labels = [path.split("/", 1)[0] for path in in_folders]
    empty = sorted(set(top_folders(tree)) - set(labels))
    if empty and complete:
        raise DataError(
            f"{tree.where} has class folders without images: {some(empty)}. Add images or remove the folders."
        )
    if empty:
        reading.notes.append(f"class folders of {tree.where} without images: {some(empty)}")
    return Rows([tree.source(path) for path in in_folders], labels, [prefix + path for path in in_folders])
