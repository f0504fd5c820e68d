"""The data and the names that the commands are given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coopt.data import Splits, holds_images, join_datasets, load_dataset, read_class_names
from coopt.errors import DataError


def read_data(sources: Sequence[str], grouped: bool, **options: Any) -> Splits:
    """The data of one source, or of several as one with the classes of all, told apart by the sources' names.

    Raises:
        DataError: two sources have the same name.
    """
    if not grouped:
        return load_dataset(sources[0], **options)
    names = [Path(source.rstrip("/")).stem for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"Two sources are called {repeated[0]!r}; rename one of them, their names tell classes apart.")
    return join_datasets({name: load_dataset(source, **options) for name, source in zip(names, sources, strict=True)})


def read_images(images: list[str], **options: Any) -> Splits:
    """One source of images, or a list of files.

    Raises:
        DataError: a path does not exist, or several folders are given.
    """
    paths = [Path(image) for image in images]
    wrong = [str(path) for path in paths if not path.is_file()]
    source: str | list[Path] = paths
    if len(paths) == 1 and (wrong or holds_images(paths[0].name)):
        source = images[0]
    elif wrong:
        raise DataError(
            f"{len(wrong)} of {len(paths)} paths are not image files: {', '.join(wrong[:5])}. "
            "Give image files, or one folder, archive or table."
        )
    return load_dataset(source, require_labels=False, make_split=False, **options)


def read_names(file: Path) -> tuple[list[str], list[str]]:
    """Labels and words of classes: a JSON map has both, a JSON list or a text file with one per line only words.

    Raises:
        DataError: the file does not exist, or does not hold two names in one of these ways.
    """
    words = read_class_names(file)
    if len(words) < 2:
        raise DataError(f"The class names file '{file}' has {len(words)} names; a classifier needs at least 2.")
    return list(words), list(words.values()) if isinstance(words, dict) else list(words)
