"""Reading a tree of images by its folders: a folder per class, train/ val/ test/ folders, or none at all."""

from coopt.data.archives import FileTree
from coopt.data.decode import is_image_name
from coopt.data.reading import SPLIT_NAMES, Reading, Rows
from coopt.data.tree import top_folders
from coopt.data.wording import count, some
from coopt.errors import DataError


def read_class_folders(tree: FileTree, require_labels: bool = True) -> Reading:
    """Read a folder per class, below train/ val/ test/ folders or not.

    Images of a flat folder come without labels. Where labels are not required, so do all images of a folder
    that has images both at its root and in folders.
    """
    reading = Reading(tree.where, {}, ignored_files=tree.hidden)
    splits = sorted(name for name in top_folders([*tree.paths, *tree.empty_folders]) if name.lower() in SPLIT_NAMES)
    with_classes = [name for name in splits if has_class_folders(tree, name)]
    others = sorted(folders_with_images(tree) - set(splits))
    if with_classes and others:
        # A class may be called "train"; class folders both inside some folders and next to them are a mistake.
        raise DataError(
            f"{tree.where} mixes split folders ({some(with_classes)}) and other folders with images "
            f"({some(others)}). Keep only train/, val/ and test/ at the top, or only class folders."
        )
    if with_classes:
        for name in splits:
            complete = require_labels and SPLIT_NAMES[name.lower()] == "train"
            reading.parts[name] = _read_part(tree, f"{name}/", reading, require_labels, complete)
        reading.ignored_files += sum(path.split("/", 1)[0] not in splits for path in tree.paths)
    else:
        reading.parts[""] = _read_part(tree, "", reading, require_labels, complete=require_labels)
    return reading


def folders_with_images(tree: FileTree) -> set[str]:
    """The folders directly below the root that hold images, at any depth."""
    return top_folders(filter(is_image_name, tree.paths))


def has_class_folders(tree: FileTree, split: str) -> bool:
    """Whether the folder `split` has an image in one of its folders, not only in itself."""
    return any(path.startswith(f"{split}/") and path.count("/") > 1 and is_image_name(path) for path in tree.paths)


def _read_part(tree: FileTree, prefix: str, reading: Reading, require_labels: bool, complete: bool) -> Rows:
    where = f"{tree.where}/{prefix}"[:-1]
    below = [path.removeprefix(prefix) for path in tree.paths if path.startswith(prefix)]
    images = [path for path in below if is_image_name(path)]
    reading.ignored_files += len(below) - len(images)
    in_folders = [path for path in images if "/" in path]
    loose = len(images) - len(in_folders)
    labels = None
    if in_folders and (require_labels or not loose):
        images, labels = in_folders, [path.split("/", 1)[0] for path in in_folders]
        if loose:
            reading.notes.append(f"not read: {count(loose, 'image', 'images')} beside the class folders of {where}")
        empty_folders = [path.removeprefix(prefix) for path in tree.empty_folders if path.startswith(prefix)]
        empty = sorted(top_folders([*below, *empty_folders]) - set(labels))
        if empty and complete:
            raise DataError(
                f"{where} has class folders without images: {some(empty)}. Add images or remove the folders."
            )
        if empty:
            reading.notes.append(f"class folders of {where} without images: {some(empty)}")
    return Rows([tree.source(prefix + path) for path in images], labels, [prefix + path for path in images])
