"""Reading a tree of images by its folders: a folder per class, folders for the parts of a data set, or none at all.

A folder is a part where its name says so (`coopt.data.parts`) and it holds class folders. Where both readings are
possible the source is refused; the layout that a user names decides.
"""

from dataclasses import dataclass

from coopt.data.found import Reading, Rows
from coopt.data.parts import is_plain_part, is_wrapper, part_of, words_beside_part
from coopt.data.tree import FileTree, top_folders
from coopt.data.wording import count, some
from coopt.errors import ConfigError, DataError, did_you_mean
from coopt.messages import option

LAYOUTS = ("auto", "classes", "parts")
"""How a user may say what the folders at the top are."""


def _as(layout: str) -> str:
    """How a user asks for a layout."""
    return option(f"--layout {layout}", f"layout={layout!r}")


@dataclass(frozen=True)
class Folders:
    """How a tree is to be read by its folders."""

    layout: str = "auto"
    require_labels: bool = True
    allow_empty: bool = False
    """Whether a class folder without images is a class."""
    ignore: tuple[str, ...] = ()
    """Patterns of files and folders that are left out."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ConfigError(
                f"{option('--layout', 'layout')} is {self.layout!r}; allowed are {some(LAYOUTS)}."
                f"{did_you_mean(self.layout, LAYOUTS)}"
            )


def read_class_folders(tree: FileTree, how: Folders) -> Reading:
    """Read a folder per class, below folders for the parts of the data set or not.

    Images of a flat folder come without labels. Where labels are not required, so do all images of a folder
    that has images both at its root and in folders.
    """
    reading = Reading(tree.where, {})
    parts = part_folders(tree, how)
    if not parts and (inside := _parts_inside(tree, how)):
        for name, paths in inside.items():
            labels = [path.split("/", 1)[0] for path in paths]
            reading.parts[name] = Rows([tree.source(path) for path in paths], labels, paths)
        reading.ignored_files += len(tree.paths) - len(tree.images) - len(_unread(tree, ""))
        reading.notes.append(f"the parts {some(sorted(inside))} were found inside the class folders of {tree.where}")
        return reading
    if not parts:
        reading.parts[""] = _read_part(tree, "", reading, how, complete=True)
        return reading
    for name, prefix in parts.items():
        reading.parts[name] = _read_part(tree, prefix, reading, how, complete=part_of(name) == "train")
    elsewhere = [path for path in tree.paths if path.split("/", 1)[0] not in parts]
    reading.ignored_files += sum(not tree.is_image(path) for path in elsewhere)
    if images := [path for path in elsewhere if tree.is_image(path)]:
        where = some(sorted(top_folders(images))) or "no folder"
        reading.notes.append(f"not read: {count(len(images), 'image', 'images')} beside the parts, in {where}")
    return reading


def part_folders(tree: FileTree, how: Folders) -> dict[str, str]:
    """The folders at the top that are parts of a data set, with the path to their class folders; {} if there are none.

    Raises:
        DataError: they can be parts as well as classes.
    """
    with_images = top_folders(tree.images)
    named = {name: part for name in sorted(top_folders([*tree.images, *tree.empty_folders])) if (part := part_of(name))}
    inner = {name: _class_prefix(tree, name) for name in named}
    if how.layout == "parts" and not named:
        raise DataError(
            f"{tree.where} has no folder whose name says that it is a part (train, val, test), as {_as('parts')} "
            f"asks; it has {some(sorted(with_images))}."
        )
    if how.layout != "auto" or not named:
        return inner if how.layout == "parts" else {}
    if not how.require_labels and any(path.split("/", 1)[0] not in named for path in tree.images):
        return {}  # without labels all images are alike
    classes = {name: top_folders(path.removeprefix(at) for path in _below(tree, at)) for name, at in inner.items()}
    nested = [name for name in named if classes[name]]
    others = sorted(with_images - set(named))
    several = len(set(named.values())) > 1
    plain = all(map(is_plain_part, named)) or (several and len(set(map(words_beside_part, named))) == 1)
    if not nested:
        if others or not (plain or several):
            return {}
        if how.require_labels:
            _refuse_flat(tree, named)
        return inner
    shared = any(classes[one] & classes[two] for one in nested for two in nested if one < two)
    if not others and (plain or (several and shared)):
        return inner
    if others and not any(map(is_plain_part, nested)) and not (several and shared):
        return {}
    if others or several or shared:
        _refuse_both(tree, nested, others, sorted(set().union(*classes.values())))
    return {}


def _refuse_both(tree: FileTree, nested: list[str], others: list[str], classes: list[str]) -> None:
    beside = f", and the other folders with images ({some(others)}) are left out" if others else ""
    raise DataError(
        f"{tree.where} can be read in two ways: {some(nested)} are parts of a data set, by name, with the classes "
        f"{some(classes)}{beside}; or all folders at the top are classes. {_as('parts')} reads parts, "
        f"{_as('classes')} reads classes; or rename or move folders."
    )


def _refuse_flat(tree: FileTree, named: dict[str, str]) -> None:
    raise DataError(
        f"{tree.where} has images right below {some(sorted(named))}, without class folders. If these are parts of a "
        f"data set, labels are missing: put the images of each class in a folder of its own inside the part, or give "
        f"a table. If they are classes, say so with {_as('classes')}."
    )


def folders_with_images(tree: FileTree) -> set[str]:
    """The folders directly below the root that hold images, at any depth."""
    return top_folders(tree.images)


def has_class_folders(tree: FileTree, split: str) -> bool:
    """Whether the folder `split` has an image in one of its folders, not only in itself."""
    return any(path.startswith(f"{split}/") and path.count("/") > 1 for path in tree.images)


def _below(tree: FileTree, prefix: str) -> list[str]:
    return [path for path in tree.images if path.startswith(prefix)]


def _class_prefix(tree: FileTree, part: str) -> str:
    """The path to a part's class folders: `train/`, or `train/train/` where that is how an archive was packed."""
    prefix = f"{part}/"
    while True:
        inside = [path.removeprefix(prefix) for path in _below(tree, prefix)]
        tops = top_folders(inside)
        if len(tops) != 1 or any("/" not in path for path in inside):
            return prefix
        (only,) = tops
        if not (only.lower() == part.lower() or is_plain_part(only) or is_wrapper(only)):
            return prefix
        prefix += f"{only}/"


def _parts_inside(tree: FileTree, how: Folders) -> dict[str, list[str]]:
    """The images by part where each class folder holds folders for the parts (`cat/train/0.png`); {} elsewhere."""
    inside: dict[str, list[str]] = {}
    for path in tree.images:
        pieces = path.split("/")
        if len(pieces) < 3 or not is_plain_part(pieces[1]):
            return {}
        inside.setdefault(pieces[1], []).append(path)
    return inside if how.layout != "classes" and len({part_of(name) for name in inside}) > 1 else {}


def _read_part(tree: FileTree, prefix: str, reading: Reading, how: Folders, complete: bool) -> Rows:
    where = f"{tree.where}/{prefix}"[:-1]
    below = [path.removeprefix(prefix) for path in tree.paths if path.startswith(prefix)]
    images = [path for path in below if tree.is_image(prefix + path)]
    reading.ignored_files += len(below) - len(images) - len(_unread(tree, prefix))
    in_folders = [path for path in images if "/" in path]
    loose = len(images) - len(in_folders)
    labels = None
    if in_folders and (how.require_labels or not loose):
        images, labels = in_folders, [path.split("/", 1)[0] for path in in_folders]
        if loose:
            reading.notes.append(f"not read: {count(loose, 'image', 'images')} beside the class folders of {where}")
        empty_folders = [path.removeprefix(prefix) for path in tree.empty_folders if path.startswith(prefix)]
        empty = sorted(top_folders([*below, *empty_folders]) - set(labels))
        if empty and complete:
            _check_empty(where, empty, reading, how, _unread(tree, prefix))
        elif empty:
            reading.notes.append(f"class folders of {where} without images: {some(empty)}")
    return Rows([tree.source(prefix + path) for path in images], labels, [prefix + path for path in images])


def _check_empty(where: str, empty: list[str], reading: Reading, how: Folders, unread: list[str]) -> None:
    if not how.require_labels:
        reading.notes.append(f"class folders of {where} without images: {some(empty)}")
    elif how.allow_empty:
        reading.notes.append(f"classes of {where} without images, as allowed: {some(empty)}")
        reading.empty_classes += [name for name in empty if name not in reading.empty_classes]
    else:
        hidden = f" They hold images of a format that is not read, for example {unread[0]!r}." if unread else ""
        raise DataError(
            f"{where} has class folders without images: {some(empty)}.{hidden} Add images, remove the folders, or keep "
            f"them as classes of which nothing is seen with {option('--allow-empty', 'allow_empty=True')}."
        )


def _unread(tree: FileTree, prefix: str) -> list[str]:
    return [path for paths in tree.unread().values() for path in paths if path.startswith(prefix)]
