"""What is left out of a tree of files, and how much of it there was.

Systems, NAS boxes and notebooks leave files and folders among images (`@eaDir`, `$RECYCLE.BIN`, `Thumbs.db`); hidden
files begin with a dot; a user may name more by patterns; run folders of coopt are no classes. Everything is counted.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from coopt.data.unicode import one_form
from coopt.data.wording import count, some

LITTER = frozenset(
    (
        "__macosx", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "network trash folder",
        "temporary items", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "#recycle", "#snapshot",
        "$recycle.bin", "system volume information", "lost+found", "__pycache__",
    )
)  # fmt: skip
"""Names of files and folders that systems add by themselves, in lower case."""

HIDDEN = "hidden"
RUN_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""A folder with these is a run folder, whatever it is called."""
LOCK = ".lock"
"""How the hidden file ends that keeps the place of a run while it is made."""
CHECKPOINT = "checkpoint.safetensors"
"""A folder `*.partial` with this is a run that is not finished."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a system adds by itself."""
    return name.startswith(".") or name.lower() in LITTER or (name.endswith("~") and len(name) > 1)


class Sieve:
    """Says of each path whether it is left out, and counts.

    Args:
        ignore: patterns such as `*_mask.png` or `old/*`, for a name or for the path below the root.
    """

    def __init__(self, ignore: Sequence[str] = ()) -> None:
        self.patterns = list(dict.fromkeys(one_form(pattern).rstrip("/") for pattern in ignore))
        self.hidden = 0
        """Hidden files, and files in hidden folders."""
        self.litter: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.emptied: set[str] = set()
        """Folders with files that a pattern left out, and where coopt is about to write a run: where nothing remains,
        they are no empty classes."""
        self.special: list[str] = []
        """Pipes, sockets and devices: reading one may wait for ever."""
        self.runs: list[str] = []
        self._folders: dict[tuple[str, ...], tuple[str, str] | None] = {(): None}

    def leaves_out(self, parts: tuple[str, ...], *, is_folder: bool = False) -> bool:
        """Whether the file or folder of this path is left out; files are counted."""
        reason = self._reason(parts) if is_folder else self._reason(parts[:-1]) or self._own(parts)
        if reason is None:
            return False
        if not is_folder:
            kind, what = reason
            if kind == HIDDEN and what.endswith(LOCK):
                self.emptied.add(one_form("/".join(parts[:-1])))  # it goes when the run is written, and is not counted
            elif kind == HIDDEN:
                self.hidden += 1
            elif kind == "litter":
                self.litter[what] += 1
            else:
                self.ignored[what] += 1
                self.emptied.add(one_form("/".join(parts[:-1])))
        return True

    def _reason(self, folder: tuple[str, ...]) -> tuple[str, str] | None:
        if folder not in self._folders:
            self._folders[folder] = self._reason(folder[:-1]) or self._own(folder)
        return self._folders[folder]

    def _own(self, parts: tuple[str, ...]) -> tuple[str, str] | None:
        name = parts[-1]
        if name.lower() in LITTER or (name.endswith("~") and len(name) > 1):
            return "litter", name.rstrip("\r") if name.lower() in LITTER else "*~"
        if name.startswith("."):
            return HIDDEN, name
        path = one_form("/".join(parts))
        for pattern in self.patterns:
            if fnmatchcase(one_form(name), pattern) or fnmatchcase(path, pattern):
                return "ignored", pattern
        return None

    def notes(self) -> list[str]:
        """What was left out, in sentences."""
        notes = []
        if self.litter:
            n = count(self.litter.total(), "file", "files")
            notes.append(f"left out: {n} that a system or a program made, in or called {some(sorted(self.litter))}")
        for pattern in self.patterns:
            n = count(self.ignored[pattern], "file", "files")
            notes.append(f"left out: {n} by the ignore pattern {pattern!r}")
        if self.special:
            n = count(len(self.special), "pipe, socket or device", "pipes, sockets or devices")
            notes.append(f"left out: {n} ({some(self.special, 3)})")
        if self.runs:
            notes.append(f"left out: {some(self.runs)}, where coopt wrote runs")
        return notes


def run_folders(paths: Iterable[str]) -> set[str]:
    """The folders among `paths` that coopt wrote runs to, told by what they hold."""
    files: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name in RUN_FILES or name == CHECKPOINT:
            files.setdefault(folder, set()).add(name)
    return {
        folder
        for folder, names in files.items()
        if folder and (names >= set(RUN_FILES) or (CHECKPOINT in names and folder.endswith(".partial")))
    }
