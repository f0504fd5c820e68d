"""Options that several commands take, described once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from coopt.errors import ConfigError

DATA_HELP = (
    "A folder per class, train/val/test folders, a CSV/TSV/JSONL/Parquet table, a zip or tar of these, or "
    "hf:OWNER/NAME."
)
RunFolder = Annotated[
    str, typer.Argument(help="A run folder that `coopt fit` wrote, or OWNER/NAME of a run on the hub.")
]
RunRevision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a run on the hub.")]
Model = Annotated[str, typer.Option(help="A name from `coopt models`, a hub id, or a local folder or file.")]
OtherModel = Annotated[
    str | None, typer.Option("--model", help="Where the base model lies, if elsewhere than the run says.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")]
Device = Annotated[str | None, typer.Option(help="cpu (the default), cuda, cuda:1, ...")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16 weights; by default float32.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that decode images; the result is the same.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images encoded at a time.")]
Strict = Annotated[bool, typer.Option("--strict", help="Make an unreadable image an error instead of skipping it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]
ImageColumn = Annotated[str | None, typer.Option(help="The table column with the image paths.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Import the method or task from outside coopt that the run names.")
]
AllowDuplicates = Annotated[
    bool,
    typer.Option("--allow-duplicates", help="Test on copies of training images too; by default they are left out."),
]
LabelColumn = Annotated[str | None, typer.Option(help="The table column with the labels.")]
GroupColumn = Annotated[
    str | None, typer.Option(help="The table column that pictures of one object share: they stay in one part.")
]
ImageRoot = Annotated[Path | None, typer.Option(help="The folder that a table's paths start at, if not its own.")]
ImageSuffix = Annotated[str | None, typer.Option(help="What a table's paths lack at their end, such as .jpg.")]
LabelPattern = Annotated[
    str | None, typer.Option(help="Labels from file names: a regular expression with a group (?P<label>...).")
]
AllowEqual = Annotated[
    bool, typer.Option("--allow-equal-prompts", help="Allow classes whose names are the same to the model.")
]

Layout = Annotated[
    str, typer.Option(help="What the folders at the top are: classes, parts (train, val, test), or auto.")
]
Ignore = Annotated[
    list[str] | None, typer.Option(help="Leave out files and folders of this name or path, such as '*_mask.png'.")
]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="A class folder without images is a class.")]
ImageBits = Annotated[
    int | None, typer.Option(help="Bits that 16-bit grey images use, 8 to 16; by default as found or as the run says.")
]
TABLE_OPTIONS = ("image_column", "label_column", "group_column", "image_root", "image_suffix", "label_pattern")
"""How the reader of data calls them, in the order in which `table_options` takes them."""


def table_options(*given: Any) -> dict[str, Any]:
    """What a command was told of how its data is written, for `load_dataset`."""
    return dict(zip(TABLE_OPTIONS, given, strict=True))


def read_shot_list(text: str) -> list[int]:
    """`"1,2,4"` to numbers.

    Raises:
        ConfigError: something else stands there.
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"--shots is {text!r}; give whole numbers from 1, such as 1,2,4,8,16.")
    return [int(part) for part in parts]
