"""Data sets of the Hugging Face hub: the files of one revision, downloaded to the hub's own cache.

Nothing is run: a data set that consists of a script is read from the hub's own conversion to Parquet.
"""

import re
from pathlib import Path

from coopt.data.archives import SUFFIXES as ARCHIVES
from coopt.data.archives import is_archive_name
from coopt.data.formats import ENDINGS, EXTENSIONS, may_be_image_name
from coopt.data.tables import SUFFIXES as TABLES
from coopt.data.tables import is_table_name
from coopt.data.wording import some
from coopt.errors import DataError, first_line

ADDRESS = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<folder>[^@]+))?(?:@(?P<revision>.+))?")
CONVERTED = "refs/convert/parquet"


def download(address: str) -> Path:
    """Fetch a data set of the hub and return the folder (or the single archive) with its files.

    Args:
        address: `hf:owner/name`, with `/folder` for one of several configurations and `@revision` for a branch, tag
            or commit.

    Raises:
        DataError: the address has another form, the hub cannot be reached, the data set does not exist there or has
            no files that are read.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise DataError(
            f"'{address}' is not the address of a data set on the hub. Write hf:owner/name, hf:owner/name/folder or "
            f"hf:owner/name@revision."
        )
    repository, folder, revision = match["repository"], match["folder"], match["revision"]
    root = _fetch(address, repository, folder, revision)
    if not _data_files(root) and revision is None:
        root = _fetch(address, repository, folder, CONVERTED)
    if not _data_files(root):
        raise DataError(f"The data set '{repository}' has no images and no table of images in its files.")
    if folder is not None:
        if not (root / folder).is_dir():
            folders = sorted(path.name for path in root.iterdir() if path.is_dir())
            raise DataError(f"The data set '{repository}' has no folder '{folder}'; it has {some(folders)}.")
        root = root / folder
    files = _data_files(root)
    return files[0] if len(files) == 1 and is_archive_name(files[0].name) else root


def _fetch(address: str, repository: str, folder: str | None, revision: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download

    below = f"{folder}/" if folder else ""
    endings = [*EXTENSIONS, *ENDINGS, *TABLES, *ARCHIVES]
    patterns = ["README.md", *(f"{below}*{text}" for ending in endings for text in (ending, ending.upper()))]
    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises its own, its transport's and the system's errors
        offline = constants.HF_HUB_OFFLINE
        state = "offline mode is on (HF_HUB_OFFLINE) and it is not in the cache" if offline else first_line(error)
        raise DataError(
            f"The data set '{address}' could not be read from {constants.ENDPOINT}: {state}. Check the name, the "
            f"network and, for a gated data set, your login; or give a local folder or archive."
        ) from error


def _data_files(root: Path) -> list[Path]:
    kinds = (is_table_name, is_archive_name, may_be_image_name)
    return [path for path in root.rglob("*") if path.is_file() and any(is_kind(path.name) for is_kind in kinds)]
