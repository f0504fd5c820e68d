"""`load_dataset`: one call for every source of images and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from coopt.data.archives import ArchiveTree, is_archive_name
from coopt.data.classes import ClassNames
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.decode import is_image_name
from coopt.data.hub import download
from coopt.data.memory import is_memory, read_memory
from coopt.data.reading import Reading, Rows, assemble, split_dataset
from coopt.data.sampling import check_fractions
from coopt.data.tables import disk_resolver, is_table_name, parse_table, read_table
from coopt.data.tree import FolderTree
from coopt.data.trees import read_tree
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
    ordered: bool = False,
) -> Splits:
    """Read images and labels from any source. No image is decoded yet; paths and tables are checked.

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
        ordered: whether labels are numbers or grades, of which some may have no training image; where one has a single
            image, a split that is made here is stratified by neighbouring numbers.

    Raises:
        DataError: the source cannot be read as images and labels; the message says what was found and what to do.
        ConfigError: the fractions cannot cut a set in three.
    """
    check_fractions(fractions)
    if isinstance(source, Splits):
        return source
    if isinstance(source, ImageDataset):
        if source.labels is None and require_labels:
            raise DataError("The data set has no labels.")
        if make_split and source.labels is not None:
            return split_dataset(source, seed, fractions, ordered)
        return Splits(unsplit=source, made_by="nobody: the images are in no parts")
    options = {"image_column": image_column, "label_column": label_column, "require_labels": require_labels}
    return assemble(
        _read(source, labels, options),
        split=split,
        class_names=class_names,
        seed=seed,
        fractions=fractions,
        make_split=make_split,
        require_labels=require_labels,
        ordered=ordered,
    )


def _read(source: Any, labels: Any, options: dict[str, Any]) -> Reading:
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
        return _read_path(download(str(source)), options)
    return _read_path(Path(source), options)


def _read_path(path: Path, options: dict[str, Any]) -> Reading:
    if path.is_dir():
        return read_tree(FolderTree(path), **options)
    if not path.is_file():
        raise DataError(_missing_text(path))
    if is_archive_name(path.name):
        return read_tree(ArchiveTree(path), **options)
    if is_table_name(path.name):
        return read_table(parse_table(path, path.name, str(path)), disk_resolver(path.parent), **options)
    if is_image_name(path.name):
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
