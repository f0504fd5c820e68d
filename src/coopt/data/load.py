"""`load_dataset`: one call for every source of images and labels."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from coopt.data.archives import ArchiveTree, is_archive_name
from coopt.data.classes import ClassNames
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.formats import format_of, is_image_name, is_read, remedy
from coopt.data.found import Reading, Rows
from coopt.data.frames import (
    dataset_items,
    frame_table,
    image_column_of,
    is_frame,
    is_item_dataset,
    is_series,
    item_labels,
)
from coopt.data.grey import check_bits
from coopt.data.hub import download
from coopt.data.layout import Folders
from coopt.data.memory import is_memory, read_memory
from coopt.data.pattern import label_by_pattern, read_images, read_pattern
from coopt.data.reading import assemble, split_dataset
from coopt.data.sampling import check_fractions
from coopt.data.tables import disk_finder, is_table_name, parse_table, read_table
from coopt.data.tree import FolderTree, read_head
from coopt.data.trees import read_tree
from coopt.data.unicode import find_path
from coopt.data.webdataset import is_webdataset, read_webdataset
from coopt.errors import DataError, did_you_mean

TABLE_OPTIONS = ("image_column", "label_column", "group_column", "image_root", "image_suffix")
"""Arguments of `load_dataset` that say how a table is read."""


def load_dataset(
    source: Any,
    *,
    labels: Any = None,
    split: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    image_root: str | Path | None = None,
    image_suffix: str | None = None,
    label_pattern: str | None = None,
    class_names: ClassNames = None,
    seed: int = 1,
    fractions: Sequence[float] = (0.5, 0.2, 0.3),
    make_split: bool = True,
    require_labels: bool = True,
    check_files: bool = True,
    validation: bool = True,
    layout: str = "auto",
    ignore: Sequence[str] | str = (),
    allow_empty: bool = False,
    image_bits: int | None = None,
    ordered: bool = False,
) -> Splits:
    """Read images and labels from any source. Paths and tables are checked; images are decoded when they are used.

    | source | what it is |
    | --- | --- |
    | folder | a folder per class; train/ val/ test/ folders of those; images without classes; tables and images |
    | .csv .tsv .json .jsonl .parquet .txt | a table with an image column, a label column and perhaps a split column |
    | .zip .tar .tar.gz ... | any of these in an archive, which is read in place |
    | folder of a Hugging Face data set | Parquet files and card, or what `save_to_disk` wrote |
    | tar or tars of a WebDataset | `0001.jpg` beside `0001.cls`, `.json` or `.txt` |
    | "hf:owner/name" | a data set of the hub (also `/folder`, `@revision`), through the hub's cache |
    | array, tensor | (N, H, W), (N, H, W, C), (N, C, H, W), with `labels`; one image (H, W, C) |
    | list, column of a data frame | paths, PIL images, arrays, tensors, bytes, with `labels` |
    | data frame, `datasets.Dataset`, map of columns | its image column; its label column, or `labels` |
    | torch `Dataset` | items, or pairs of an item and its label |
    | `ImageDataset`, `Splits` | split as the other arguments say; as it is |

    Args:
        source: see the table.
        labels: for images in memory: a text, a number or a truth value for each.
        split: read only this part of the source, by the source's name for it; a train part then stays whole.
        image_column: the column of a table with the images, where its name is not a usual one.
        label_column: the column of a table with the labels, likewise.
        group_column: a column of a table: images with the same text in it (pictures of one object) stay in one part
            when a split is made, and in one fold of a cross-validation.
        image_root: the folder that the paths of a table start at; by default the table's own folder.
        image_suffix: what the paths of a table lack at their end, such as ".jpg".
        label_pattern: a regular expression with a group `(?P<label>...)`, and perhaps `(?P<group>...)`, that finds the
            label in each image's path, such as r"(?P<label>[a-z]+)_[0-9]+"; folders and label columns then say nothing.
        class_names: words for the classes: a map from label to words, words in class order, or a file of either (JSON,
            or a text with one name per line).
            Without it, the label's text with spaces for '_' and '-'. Unlabelled images keep the words as their classes.
        seed: fixes the split that is made where the source has none.
        fractions: train, validation and test share of that split.
        make_split: whether to split a source that is not split; if not, all its images are `unsplit`.
        require_labels: whether images without labels are an error; if not, they become `unsplit`.
        check_files: whether an element of a list that is no image or no file is an error; if not, opening it says so.
        validation: whether a split that is made here sets images aside for validation; if not, the training part has
            them, and the test part is the same.
        layout: what the folders at the top are: "classes", "parts" of a data set (train, val, test), or "auto", which
            refuses what can be read in both ways.
        ignore: patterns of files and folders to leave out, for their name (`*_mask.png`) or path (`old/*`).
        allow_empty: whether a class folder without images is a class; if not, it is an error where labels are required.
        image_bits: how many bits the values of 16-bit grey images use. None goes by the files; where they do not say
            it, a sample of them is decoded to find it, and the notes tell.
        ordered: whether labels are numbers or grades, of which some may have no training image; where one has a single
            image, a split that is made here is stratified by neighbouring numbers.

    Raises:
        DataError: the source cannot be read as images and labels; the message says what was found and what to do.
        ConfigError: the fractions cannot cut a set in three.
    """
    check_fractions(fractions)
    check_bits(image_bits)
    if isinstance(source, Splits):
        return source
    if isinstance(source, ImageDataset):
        if source.labels is None and require_labels:
            raise DataError("The data set has no labels.")
        if make_split and source.labels is not None:
            made = split_dataset(source, seed, fractions, allow_empty, ordered)
            return made if validation else made.without_validation()
        return Splits(unsplit=source, made_by="nobody: the images are in no parts")
    pattern = None if label_pattern is None else read_pattern(label_pattern)
    options = {
        "image_column": image_column,
        "label_column": label_column,
        "group_column": group_column,
        "image_root": image_root,
        "image_suffix": image_suffix,
        "require_labels": require_labels and pattern is None,
    }
    how = Folders(layout, require_labels, allow_empty, tuple([ignore] if isinstance(ignore, str) else ignore))
    reading = _read(source, labels, options, pattern, how, check_files)
    made = assemble(
        reading if pattern is None else label_by_pattern(reading, pattern, require_labels),
        split=split,
        class_names=class_names,
        seed=seed,
        fractions=fractions,
        make_split=make_split,
        require_labels=require_labels,
        allow_empty=allow_empty,
        image_bits=image_bits,
        ordered=ordered,
    )
    return made if validation else made.without_validation()


def holds_images(name: str) -> bool:
    """Whether a file of this name holds many images or names them: an archive or a table."""
    return is_archive_name(name) or is_table_name(name, given=True)


def _read(
    source: Any,
    labels: Any,
    options: dict[str, Any],
    pattern: re.Pattern[str] | None,
    how: Folders,
    check: bool,
) -> Reading:
    if isinstance(source, Image.Image):
        source = [source]
    if hasattr(source, "tocsr"):
        raise DataError("A sparse matrix is no source of images; sparse input is not supported.")
    if is_frame(source):
        table = frame_table(source)
        if labels is None and options["require_labels"]:
            root, columns = options["image_root"], {k: v for k, v in options.items() if k != "image_root"}
            return read_table(table, disk_finder(Path(), root), **columns)
        column = image_column_of(table, options["image_column"])
        return read_memory(table.columns[column], labels, check=check)
    if is_item_dataset(source):
        items, own, names = dataset_items(source)
        if labels is None and options["require_labels"]:
            labels = own if own is not None else item_labels(source)
            labels = labels if names is None or labels is None else [names[label] for label in labels]
        return read_memory(items, labels, check=check)
    if is_memory(source) or is_series(source):
        _refuse_table_options("images in memory", options)
        return read_memory(source, labels, check=check)
    if not isinstance(source, (str, Path)):
        raise DataError(
            f"A data source cannot be a {type(source).__name__}; give a path, 'hf:owner/name', an array, a tensor, a "
            f"list of images, a column or a data frame, or a data set whose items are found by number."
        )
    if labels is not None:
        raise DataError(f"Labels were given beside '{source}'; they go with images in memory or a list of paths.")
    if str(source).startswith("hf:"):
        return _read_path(download(str(source)), options, pattern, how)
    return _read_path(find_path(Path(source)), options, pattern, how)


def _read_path(path: Path, options: dict[str, Any], pattern: re.Pattern[str] | None, how: Folders) -> Reading:
    if path.exists() and not path.is_dir() and not path.is_file():
        raise DataError(f"'{path}' is a pipe, a socket or a device and no file. Give a file or a folder.")
    if not path.is_dir() and not path.is_file():
        raise DataError(_missing_text(path))
    if path.is_dir() or is_archive_name(path.name):
        return _read_files((FolderTree if path.is_dir() else ArchiveTree)(path, how.ignore), options, pattern, how)
    if is_table_name(path.name, given=True):
        root, columns = options["image_root"], {name: options[name] for name in options if name != "image_root"}
        return read_table(parse_table(path, path.name, str(path)), disk_finder(path.parent, root), **columns)
    image_format = None if is_image_name(path.name) else format_of(path.name, read_head(path))
    if image_format is not None and not is_read(image_format):
        raise DataError(f"'{path}' is an image in {image_format}, which is not read: {remedy(image_format)}.")
    if image_format is not None or is_image_name(path.name):
        _refuse_table_options(f"the image '{path}'", options)
        return Reading(f"the image '{path}'", {"": Rows(images=[path], names=[path.name])})
    raise DataError(
        f"'{path}' is not a data source that is read: give a folder, a table (.csv, .tsv, .json, .jsonl, .parquet, "
        f".txt), an archive (.zip, .tar, .tar.gz) or an image."
    )


def _refuse_table_options(what: str, options: dict[str, Any]) -> None:
    """Options that only tables have are refused elsewhere, where they would say nothing."""
    given = [name for name in TABLE_OPTIONS if options[name] is not None]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise DataError(f"{', '.join(given)} ({flags}) goes with a table of images; {what} is none.")


def _read_files(
    tree: FolderTree | ArchiveTree, options: dict[str, Any], pattern: re.Pattern[str] | None, how: Folders
) -> Reading:
    tree.enter_single_folders(careful=how.layout == "classes")
    if pattern is not None:
        reading = read_images(tree)
    elif is_webdataset(tree):
        reading = read_webdataset(tree, options["label_column"], options["require_labels"])
    else:
        reading = read_tree(tree, how, **options)
    reading.notes += tree.notes()
    reading.ignored_files += tree.sieve.hidden
    return reading


def _missing_text(path: Path) -> str:
    above = path.parent
    while not above.is_dir() and above != above.parent:
        above = above.parent
    siblings = [child.name for child in above.iterdir()]
    asked = path.relative_to(above).parts[0] if above != Path(".") else path.parts[0]
    text = f"The path '{path}' does not exist.{did_you_mean(asked, siblings)}"
    if len(path.parts) == 2 and not path.is_absolute():
        text += f" For a data set of the Hugging Face hub, write 'hf:{path.as_posix()}'."
    return text
