"""A user's own data sets in the benchmark: a folder or a table, and a line of YAML.

    birds: {path: data/birds, template: "a photo of a {}, a type of bird."}
    paintings: {path: paintings.csv, variant_of: birds}

Paths are relative to the YAML file. A source that is not split is cut 50/20/30 per class with seed 1; one that is a
variant of another data set is only for testing.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from coopt.data.text import read_text
from coopt.data.wording import some
from coopt.datasets.table import known_benchmark
from coopt.errors import DataError, did_you_mean, require_extra

KINDS: dict[str, tuple[type, str]] = {
    "ignore": (list, "a list of texts"),
    "allow_empty": (bool, "true or false"),
    "allow_equal_prompts": (bool, "true or false"),
    "image_bits": (int, "a whole number"),
}
"""The values of the keys that are no texts."""

TEMPLATE = "a photo of a {}."


@dataclass(frozen=True)
class OwnBenchmark:
    """One entry of a data file."""

    name: str
    path: str
    """A folder, table or archive, or `hf:owner/name`."""
    template: str = TEMPLATE
    variant_of: str | None = None
    class_names: Path | None = None
    """A JSON file of words for the labels."""
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    image_root: str | None = None
    """The folder that the paths of a table start at."""
    image_suffix: str | None = None
    label_pattern: str | None = None
    allow_equal_prompts: bool = False
    """Whether two classes may have the same prompt."""
    layout: str = "auto"
    ignore: list[str] | None = None
    """Patterns of files and folders to leave out."""
    allow_empty: bool = False
    image_bits: int | None = None
    task: str | None = None
    """What its labels mean, where that is not classification: a name in `coopt.tasks.TASKS`, or `module:Class`."""
    ranks: str | None = None
    """The ranks of `task: ordinal`, as `coopt fit --ranks` takes them."""


def read_data_file(path: Path | str) -> dict[str, OwnBenchmark]:
    """The data sets that a YAML file defines, by name.

    Raises:
        DataError: the file is missing or damaged, or an entry has a key or value that is not allowed.
    """
    path = Path(path)
    yaml = require_extra("yaml", "bench", "Reading a file of data sets")
    try:
        content = yaml.safe_load(read_text(path, f"The file of data sets '{path}'"))
    except (RecursionError, yaml.YAMLError) as error:
        raise DataError(f"The file of data sets '{path}' is not readable YAML: {error}.") from error
    if not isinstance(content, dict) or not content:
        raise DataError(f"The file of data sets '{path}' must map names to entries such as 'birds: {{path: birds}}'.")
    own = {str(name): _entry(str(name), entry, path) for name, entry in content.items()}
    taken = {name: known.name for name in own if (known := known_benchmark(name)) is not None}
    if taken:
        raise DataError(
            f"The file of data sets '{path}' defines {some(list(taken))}, which is how {some(list(taken.values()))} "
            "of the package is spelled: tables would mix them up. Choose other names."
        )
    return own


def _entry(name: str, entry: Any, file: Path) -> OwnBenchmark:
    where = f"The data set {name!r} of '{file}'"
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise DataError(f"{where} needs a path: '{name}: {{path: FOLDER_OR_TABLE}}'.")
    keys = [field.name for field in fields(OwnBenchmark) if field.name != "name"]
    unknown = [str(key) for key in entry if key not in keys]
    if unknown:
        raise DataError(
            f"{where} has the key(s) {some(unknown)}; allowed are {some(keys)}.{did_you_mean(unknown[0], keys)}"
        )
    for key, value in entry.items():
        kind, needed = KINDS.get(key, (str, "a text"))
        texts = all(isinstance(item, str) for item in value) if isinstance(value, list) else True
        if not texts or type(value) is not kind:
            raise DataError(f"{where} gives {key} as {value!r}; {needed} is needed.")
    template = entry.get("template", TEMPLATE)
    if template.count("{}") != 1:
        raise DataError(f"{where} has the template {template!r}; '{{}}' must stand in it once, for the class name.")
    values = {key: value for key, value in entry.items() if key != "class_names"}
    address = entry["path"]
    values["path"] = address if address.startswith("hf:") else str(file.parent / Path(address).expanduser())
    if "image_root" in entry:
        root = file.parent / Path(entry["image_root"]).expanduser()
        values["image_root"] = str(root) if root.is_dir() else entry["image_root"]  # else a folder of the archive
    words = entry.get("class_names")
    return OwnBenchmark(name, class_names=None if words is None else file.parent / words, **values)
