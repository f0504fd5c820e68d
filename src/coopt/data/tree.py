"""The files of a folder as a tree that the readers walk; `ArchiveTree` offers the same."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from coopt.errors import DataError


class FolderTree:
    """The files below a folder on disk, by their '/'-separated path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)
        self.paths: list[str] = []
        """Every file, sorted; hidden ones and those in hidden folders left out."""
        self.empty_folders: list[str] = []
        """Folders below the root that hold nothing at all, with a '/' at their end."""
        self.hidden = 0
        """How many hidden files were left out."""
        for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_refuse):
            _check_loop(folder)
            subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
            here = PurePosixPath(Path(folder).relative_to(root).as_posix())
            visible = [name for name in files if not is_hidden(name)]
            self.hidden += len(files) - len(visible)
            self.paths += [str(here / name) for name in visible]
            if not visible and not subfolders and here.parts:
                self.empty_folders.append(f"{here}/")
        self.paths.sort()

    def source(self, path: str) -> Path:
        """The file's path on disk."""
        return self.root / path

    def read(self, path: str) -> bytes:
        """The content of a file as bytes."""
        return (self.root / path).read_bytes()


def is_hidden(name: str) -> bool:
    """Whether a file or folder name is hidden, or one that macOS or Windows adds by itself."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def top_folders(paths: Iterable[str]) -> set[str]:
    """The folders directly below the root that some paths lead into."""
    return {path.split("/", 1)[0] for path in paths if "/" in path}


def _refuse(error: OSError) -> None:
    raise DataError(f"The folder '{error.filename}' cannot be listed: {error.strerror}.") from error


def _check_loop(folder: str) -> None:
    # Linked class folders are common; a link to a folder above itself would be walked without end.
    if os.path.islink(folder):
        target = os.path.realpath(folder)
        above = os.path.realpath(os.path.dirname(folder))
        if os.path.commonpath([target, above]) == target:
            raise DataError(f"The folder '{folder}' is a link to a folder above itself. Remove the link.")
