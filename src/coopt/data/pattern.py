"""Labels that stand in the names of the images, found by a regular expression of the user."""

import re

from coopt.data.found import Reading, Rows
from coopt.data.labels import folder_label, is_whole
from coopt.data.parts import part_of
from coopt.data.tree import FileTree
from coopt.data.wording import some
from coopt.errors import ConfigError, DataError
from coopt.messages import option

EXAMPLE = r"(?P<label>[a-z]+)_[0-9]+"


def read_pattern(text: str) -> re.Pattern[str]:
    """A pattern for labels.

    Raises:
        ConfigError: it is no regular expression, or has no group called "label".
    """
    what = f"{option('--label-pattern', 'label_pattern')} is {text!r}"
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError) as error:
        raise ConfigError(f"{what}, which is no regular expression: {error}. Write one such as {EXAMPLE!r}.") from error
    if "label" not in pattern.groupindex:
        raise ConfigError(f"{what}; it needs a group called label, such as {EXAMPLE!r}.")
    return pattern


def read_images(tree: FileTree) -> Reading:
    """All images of a tree without labels; parts are the folders at its top, where all of them are called so."""
    images = tree.images
    tops = {path.split("/", 1)[0] if "/" in path else "" for path in images}
    split = bool(tops) and all(part_of(top) for top in tops)
    reading = Reading(tree.where, {}, ignored_files=len(tree.paths) - len(images))
    for path in images:
        rows = reading.parts.setdefault(path.split("/", 1)[0] if split else "", Rows())
        rows.images.append(tree.source(path))
        rows.names.append(path)
    return reading


def label_by_pattern(reading: Reading, pattern: re.Pattern[str], required: bool) -> Reading:
    """The reading with the label (and the group) that the pattern finds in each image's path.

    Raises:
        DataError: it is not found in some path, or is empty there.
    """
    reading.class_labels = None
    for rows in reading.parts.values():
        paths = [name.replace("\\", "/") for name in rows.names]
        found = [pattern.search(path) for path in paths]
        wrong = [path for path, match in zip(paths, found, strict=True) if match is None or not match["label"]]
        if wrong and required:
            raise DataError(
                f"{option('--label-pattern', 'label_pattern')} {pattern.pattern!r} finds no label in {len(wrong)} of "
                f"{len(paths)} paths of {reading.where}: {some(wrong, 3)}. It is searched in the whole "
                "path below the source."
            )
        rows.labels = None if wrong else [folder_label(match["label"]) for match in found if match]
        if "group" in pattern.groupindex and not wrong:
            rows.groups = [match["group"] or path for match, path in zip(found, paths, strict=True) if match]
    labels = {label for rows in reading.parts.values() for label in rows.labels or []}
    reading.numeric_labels = bool(labels) and all(map(is_whole, labels))
    return reading
