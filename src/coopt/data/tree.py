"""Files as a tree that the readers walk: what folders and archives share, and the folder on disk."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from coopt.data.formats import HEAD_BYTES, format_of, is_image_name, is_read, remedy
from coopt.data.litter import Sieve, run_folders
from coopt.data.parts import is_plain_part, is_wrapper, part_of
from coopt.data.tables import is_table_name
from coopt.data.unicode import one_form, other_form
from coopt.data.wording import count, some
from coopt.errors import DataError

IMAGE = "image"


class FileTree:
    """Files by their '/'-separated path, in one Unicode form; what is no data is left out and counted.

    Attributes:
        where: what messages call it.
        paths: every file that is not left out, sorted.
        empty_folders: folders that hold no file, with a '/' at their end.
        entered: the folder around the data, where one was entered.
        sieve: what was left out.
    """

    def __init__(self, where: str, ignore: Sequence[str] = ()) -> None:
        self.where = where
        self.paths: list[str] = []
        self.empty_folders: list[str] = []
        self.entered = ""
        self.sieve = Sieve(ignore)
        self._sources: dict[str, Any] = {}
        self._folders: set[str] = set()
        self._kinds: dict[str, str | None] = {}

    def source(self, path: str) -> Any:
        """What `open_image` can open."""
        return self._sources[path]

    def read(self, path: str) -> bytes:
        """The content of a file as bytes."""
        source = self._sources[path]
        return source.read_bytes() if isinstance(source, Path) else source.read()

    def is_image(self, path: str) -> bool:
        """Whether a file is an image of a format that is read."""
        return self._kinds[path] == IMAGE

    @property
    def images(self) -> list[str]:
        """The paths of all images."""
        return [path for path in self.paths if self._kinds[path] == IMAGE]

    def unread(self) -> dict[str, list[str]]:
        """Images of formats that are not read, by format."""
        found: dict[str, list[str]] = {}
        for path in self.paths:
            kind = self._kinds[path]
            if kind not in (None, IMAGE):
                found.setdefault(str(kind), []).append(path)
        return found

    def notes(self) -> list[str]:
        """What a user should know of what was found and left out."""
        notes = [f"read from '{self.entered}', the folder that holds all images of {self.where}"] * bool(self.entered)
        for kind, paths in sorted(self.unread().items()):
            notes.append(
                f"left out: {count(len(paths), 'image', 'images')} in {kind} ({some(paths, 3)}): {remedy(kind)}"
            )
        return notes + self.sieve.notes()

    def enter_single_folders(self, careful: bool = False) -> None:
        """Go into the one folder around all images and tables, and into the next one, as far as there is one.

        With `careful`, only into one that can be no class: it is called like its source, like a heap of files, or holds
        folders that are called like parts.
        """
        while top := self._single_folder():
            inside = {path.split("/")[1] for path in self.images}
            if careful and not (top == Path(self.where).stem or is_wrapper(top) or any(map(part_of, inside))):
                return
            self.entered = f"{self.entered}/{top}" if self.entered else top
            self._strip(f"{top}/")

    def _add(self, parts: tuple[str, ...], source: Any) -> None:
        if not self.sieve.leaves_out(parts):
            own = "/".join(parts)
            path = one_form(own)
            # Two files whose names differ only in their form are two files; the second is kept under another form.
            free = (name for name in (path, own, other_form(path)) if name not in self._sources)
            self._sources[next(free, path)] = source

    def _add_folder(self, parts: tuple[str, ...]) -> None:
        if parts and not self.sieve.leaves_out(parts, is_folder=True):
            self._folders.add(one_form("/".join(parts)))

    def _finish(self) -> None:
        """All files and folders were added."""
        filled = {folder for path in [*self._sources, *self._folders] for folder in folders_above(path)}
        self.empty_folders = sorted(f"{folder}/" for folder in self._folders - filled - self.sieve.emptied)
        runs = run_folders(self._sources)
        self.sieve.runs = sorted(runs)
        kept = [path for path in self._sources if runs.isdisjoint(folders_above(path))] if runs else self._sources
        self.paths = sorted(kept)
        self._kinds = {path: self._kind(path) for path in self.paths}

    def _kind(self, path: str) -> str | None:
        if is_image_name(path):
            return IMAGE
        if is_table_name(path):
            return None
        found = format_of(path, self._head(path))
        return IMAGE if found is not None and is_read(found) else found

    def _head(self, path: str) -> bytes:
        try:
            return read_head(self._sources[path])
        except Exception:  # damaged or not allowed: what it is cannot be told
            return b""

    def _single_folder(self) -> str | None:
        data = [path for path in self.paths if self._kinds[path] is not None or is_table_name(path)]
        images = [path for path in data if not is_table_name(path)]
        tops = top_folders([*data, *self.empty_folders])
        if len(tops) != 1 or any("/" not in path for path in data):
            return None
        (top,) = tops
        return None if is_plain_part(top) or all(path.count("/") < 2 for path in images) else top

    def _strip(self, prefix: str) -> None:
        inside = {path: path.removeprefix(prefix) for path in self.paths if path.startswith(prefix)}
        self._sources = {short: self._sources[path] for path, short in inside.items()}
        self._kinds = {short: self._kinds[path] for path, short in inside.items()}
        self.paths = sorted(inside.values())
        below = [folder.removeprefix(prefix) for folder in self.empty_folders if folder.startswith(prefix)]
        self.empty_folders = [folder for folder in below if folder]


class FolderTree(FileTree):
    """The files below a folder on disk.

    Raises:
        DataError: a folder cannot be listed, or is a link to a folder above itself.
    """

    def __init__(self, root: Path, ignore: Sequence[str] = ()) -> None:
        super().__init__(str(root), ignore)
        self.root = root
        self._walk(root, ())
        self._finish()

    def _walk(self, folder: Path, parts: tuple[str, ...]) -> None:
        left_out = bool(parts) and self.sieve.leaves_out(parts, is_folder=True)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if left_out:  # `lost+found` belongs to the system
                return
            raise DataError(f"The folder '{folder}' cannot be listed: {error.strerror}.") from error
        for entry in entries:
            here = (*parts, entry.name)
            if entry.is_dir():
                if left_out and entry.is_symlink():
                    continue
                _check_loop(entry.path)
                self._add_folder(here)
                self._walk(Path(entry.path), here)
            elif entry.is_file() or not os.path.exists(entry.path):  # a broken link is told when it is opened
                self._add(here, Path(entry.path))
            elif not self.sieve.leaves_out(here):
                self.sieve.special.append("/".join(here))

    def _strip(self, prefix: str) -> None:
        some_path = next(path for path in self.paths if path.startswith(prefix))
        depth = some_path.removeprefix(prefix).count("/")
        self.root = self._sources[some_path].parents[depth]
        super()._strip(prefix)


def read_head(source: Any) -> bytes:
    """The first bytes of a file on disk or in an archive."""
    if isinstance(source, Path):
        with open(source, "rb") as file:
            return file.read(HEAD_BYTES)
    return source.read(HEAD_BYTES)


def top_folders(paths: Iterable[str]) -> set[str]:
    """The folders directly below the root that some paths lead into."""
    return {path.split("/", 1)[0] for path in paths if "/" in path}


def folders_above(path: str) -> list[str]:
    """The folders that a path lies in, without the root: `a` and `a/b` for `a/b/c.png`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _check_loop(folder: str) -> None:
    # Linked class folders are common; a link to a folder above itself would be walked without end.
    if os.path.islink(folder):
        target = os.path.realpath(folder)
        above = os.path.realpath(os.path.dirname(folder))
        if os.path.commonpath([target, above]) == target:
            raise DataError(f"The folder '{folder}' is a link to a folder above itself. Remove the link.")
