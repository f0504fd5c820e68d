"""`load_dataset`: one call for every source of images and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from coopt.data.archives import ArchiveTree, is_archive_name
from coopt.data.classes import ClassNames
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.formats import format_of, is_image_name, is_read, remedy
from coopt.data.grey import check_bits
from coopt.data.hub import download
from coopt.data.layout import Folders
from coopt.data.memory import is_memory, read_memory
from coopt.data.reading import Reading, Rows, assemble, split_dataset
from coopt.data.sampling import check_fractions
from coopt.data.tables import disk_resolver, is_table_name, parse_table, read_table
from coopt.data.tree import FolderTree, read_head
from coopt.data.trees import read_tree
from coopt.data.unicode import find_path
from coopt.errors import DataError, did_you_mean


def load_dataset(
    source: Any,
    *,
    labels: Any = None,
    split: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    class_names: ClassNames = None,
    seed: int = 1,
    fractions: Sequence[float] = (0.5, 0.2, 0.3),
    make_split: bool = True,
    require_labels: bool = True,
    layout: str = "auto",
    ignore: Sequence[str] | str = (),
    allow_empty: bool = False,
    image_bits: int | None = None,
) -> Splits:
    """Read images and labels from any source. Paths and tables are checked; images are decoded when they are used.

    | source | what it is |
    | --- | --- |
    | folder | a folder per class; train/ val/ test/ folders of those; images without classes; tables and images |
    | .csv .tsv .jsonl .parquet | a table with an image column, a label column and perhaps a split column |
    | .zip .tar .tar.gz ... | any of these in an archive, which is read in place |
    | folder of a Hugging Face data set | Parquet files and card, or what `save_to_disk` wrote |
    | "hf:owner/name" | a data set of the hub (also `/folder`, `@revision`), through the hub's cache |
    | array, tensor | (N, H, W), (N, H, W, C), (N, C, H, W), with `labels` |
    | list | paths, PIL images, arrays, tensors, bytes, with `labels` |
    | `ImageDataset`, `Splits` | split as the other arguments say; as it is |

    Args:
        source: see the table.
        labels: for images in memory: a whole number or a text for each.
        split: read only this part of the source, by the source's name for it; a train part then stays whole.
        image_column: the column of a table with the images, where its name is not a usual one.
        label_column: the column of a table with the labels, likewise.
        class_names: words for the classes: a map from label to words, words in class order, or a JSON file of either.
            Without it, the label's text with spaces for '_' and '-'. Unlabelled images keep the words as their classes.
        seed: fixes the split that is made where the source has none.
        fractions: train, validation and test share of that split.
        make_split: whether to split a source that is not split; if not, all its images are `unsplit`.
        require_labels: whether images without labels are an error; if not, they become `unsplit`.
        layout: what the folders at the top are: "classes", "parts" of a data set (train, val, test), or "auto", which
            refuses what can be read in both ways.
        ignore: patterns of files and folders to leave out, for their name (`*_mask.png`) or path (`old/*`).
        allow_empty: whether a class folder without images is a class; if not, it is an error where labels are required.
        image_bits: how many bits the values of 16-bit grey images use. None goes by the files; where they do not say
            it, a sample of them is decoded to find it, and the notes tell.

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
            return split_dataset(source, seed, fractions, allow_empty)
        return Splits(unsplit=source, made_by="nobody: the images are in no parts")
    options = {"image_column": image_column, "label_column": label_column, "require_labels": require_labels}
    how = Folders(layout, require_labels, allow_empty)
    patterns = [ignore] if isinstance(ignore, str) else list(ignore)
    return assemble(
        _read(source, labels, how, patterns, options),
        split=split,
        class_names=class_names,
        seed=seed,
        fractions=fractions,
        make_split=make_split,
        require_labels=require_labels,
        allow_empty=allow_empty,
        image_bits=image_bits,
    )


def _read(source: Any, labels: Any, how: Folders, ignore: list[str], options: dict[str, Any]) -> Reading:
    if isinstance(source, Image.Image):
        source = [source]
    if is_memory(source):
        return read_memory(source, labels)
    if not isinstance(source, (str, Path)):
        raise DataError(
            f"A data source cannot be a {type(source).__name__}; give a path, 'hf:owner/name', an array, a tensor or a "
            f"list of images."
        )
    if labels is not None:
        raise DataError(f"Labels were given beside '{source}'; they go with images in memory or a list of paths.")
    if str(source).startswith("hf:"):
        return _read_path(download(str(source)), how, ignore, options)
    return _read_path(find_path(Path(source)), how, ignore, options)


def _read_path(path: Path, how: Folders, ignore: list[str], options: dict[str, Any]) -> Reading:
    if path.is_dir():
        return read_tree(FolderTree(path, ignore), how, **options)
    if path.exists() and not path.is_file():
        raise DataError(f"'{path}' is a pipe, a socket or a device and no file. Give a file or a folder.")
    if not path.is_file():
        raise DataError(_missing_text(path))
    if is_archive_name(path.name):
        return read_tree(ArchiveTree(path, ignore), how, **options)
    if is_table_name(path.name):
        return read_table(parse_table(path, path.name, str(path)), disk_resolver(path.parent), **options)
    image_format = None if is_image_name(path.name) else format_of(path.name, read_head(path))
    if image_format is not None and not is_read(image_format):
        raise DataError(f"'{path}' is an image in {image_format}, which is not read: {remedy(image_format)}.")
    if image_format is not None or is_image_name(path.name):
        return Reading(f"the image '{path}'", {"": Rows(images=[path], names=[path.name])})
    raise DataError(
        f"'{path}' is not a data source that is read: give a folder, a table (.csv, .tsv, .jsonl, .parquet), an "
        f"archive (.zip, .tar, .tar.gz) or an image."
    )


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
