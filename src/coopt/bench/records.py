"""The bench folder: one file of records per run, one file per failed run, and what was asked for.

runs/<run id>.jsonl     a line per evaluation; written once, atomically
failed/<run id>.json    the run and why it failed; removed when it succeeds
locks/                  claims of running processes
grid.json               every cell that was asked for, so that a report knows which are missing
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from coopt.bench.protocols import PROTOCOLS
from coopt.errors import RunError
from coopt.evaluate.record import FORMAT, Failure, GridRow, Record, read_fields
from coopt.files import write_json, write_text
from coopt.version import __version__

GRID = "grid.json"


class BenchFolder:
    """The folder of a benchmark's records.

    Raises:
        RunError: the folder holds something else, or was written by another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"'{self.path}' is a file; --out takes a folder.")
        self._check()

    def prepare(self) -> None:
        """Make the folders that a benchmark writes into."""
        for name in ("runs", "failed", "locks"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def record_file(self, run: str) -> Path:
        """The file of a run's records."""
        return self.path / "runs" / f"{run}.jsonl"

    def failure_file(self, run: str) -> Path:
        """The file that says why a run failed."""
        return self.path / "failed" / f"{run}.json"

    def write_records(self, run: str, records: Iterable[Record]) -> None:
        """Write all evaluations of a run at once; its earlier failure is removed."""
        lines = (json.dumps(record.as_dict(), ensure_ascii=False, allow_nan=False) + "\n" for record in records)
        write_text(self.record_file(run), "".join(lines))
        self.failure_file(run).unlink(missing_ok=True)

    def write_failure(self, failure: Failure) -> None:
        """Write why a run failed."""
        write_json(self.failure_file(failure.run), asdict(failure))

    def covered(self, key: str) -> set[tuple[str, str, str]]:
        """What the runs of one training were tested on: data set, subset, and the digest of its test images."""
        paths = sorted((self.path / "runs").glob(f"{key}-*.jsonl"))
        return {(r.dataset, r.subset, r.versions.get("test_data", "")) for path in paths for r in read_run(path)}

    def claim(self, key: str) -> FileLock | None:
        """A hold on the training `key`, or None where another process has it; it ends with the process that has it.

        The lock's file stays: removing it would let two processes hold two files of one name.
        """
        # Released by whichever thread ends the run; a lock that belongs to a thread could not be.
        lock = FileLock(self.path / "locks" / f"{key}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def add_to_grid(self, rows: Iterable[GridRow]) -> None:
        """Join what is asked for now to what was asked for before."""
        self.prepare()
        with FileLock(self.path / "locks" / "grid.lock"):
            self._check()
            old = read_grid(self.path) if (self.path / GRID).is_file() else []
            merged = merge_rows([*old, *rows])
            if merged != old or not (self.path / GRID).is_file():
                self._write_grid(merged)

    def drop_from_grid(self, goes: Callable[[GridRow], bool]) -> None:
        """Ask no longer for some rows."""
        self.prepare()
        with FileLock(self.path / "locks" / "grid.lock"):
            self._write_grid([row for row in read_grid(self.path) if not goes(row)])

    def _write_grid(self, rows: Sequence[GridRow]) -> None:
        facts = {"format": FORMAT, "version": __version__, "rows": [asdict(row) for row in rows]}
        write_json(self.path / GRID, facts)

    def _check(self) -> None:
        """Refuse what another program or version wrote."""
        if (self.path / GRID).is_file():
            grid = _object(_text(self.path / GRID), str(self.path / GRID))
            majors = [str(version).split(".")[0] for version in (grid.get("version"), __version__)]
            if grid.get("format") != FORMAT or majors[0] != majors[1]:
                raise RunError(
                    f"'{self.path}' was written by coopt {grid.get('version')} in format {grid.get('format')}; this is "
                    f"coopt {__version__} with format {FORMAT}, and their records would not compare. Choose a new "
                    "folder with --out, or use that version."
                )
        elif self.path.is_dir():
            names = sorted({path.name for path in self.path.iterdir()} - {"locks", "runs", "failed"})
            others = [name for name in names if not name.startswith(f".{GRID}.")]  # these are left by a kill
            if others or any((self.path / "runs").glob("*")):
                raise RunError(
                    f"'{self.path}' is not empty and is no bench folder (it has {', '.join(others[:3]) or 'runs'}, and "
                    f"no {GRID}). Choose a new folder with --out."
                )


def read_records(folder: Path | str) -> list[Record]:
    """Every evaluation in a bench folder, ordered by run; a RunError where a line is not as the benchmark writes it."""
    return [record for path in sorted((Path(folder) / "runs").glob("*.jsonl")) for record in read_run(path)]


def read_run(path: Path) -> list[Record]:
    """The evaluations in one file; a RunError where a line is not as the benchmark writes it."""
    records = []
    # Not splitlines(): a line of JSON may hold U+2028 and others that end a line there.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            record = Record.from_dict(_object(line, where), where)
            if record.protocol not in PROTOCOLS:
                raise RunError(f"{where}: protocol is {record.protocol!r}; allowed is {', '.join(PROTOCOLS)}.")
            records.append(record)
    return records


def read_failures(folder: Path | str) -> list[Failure]:
    """Every failed run with its reason, ordered by run; a RunError where a file is damaged."""
    paths = sorted((Path(folder) / "failed").glob("*.json"))
    return [Failure(**read_fields(Failure, _object(_text(path), str(path)), str(path))) for path in paths]


def read_grid(folder: Path | str) -> list[GridRow]:
    """What was asked for; a RunError where there is no such file or where it is damaged."""
    path = Path(folder) / GRID
    rows = _object(_text(path), str(path)).get("rows")
    if not isinstance(rows, list):
        raise RunError(f"{path} has no list of rows; remove it and type the bench command again.")
    return [GridRow(**read_fields(GridRow, row, f"{path}, row {n}")) for n, row in enumerate(rows, start=1)]


def merge_rows(rows: Iterable[GridRow]) -> list[GridRow]:
    """Rows of the same kind as one, with all their seeds and tests."""
    merged: dict[GridRow, GridRow] = {}
    for row in rows:
        kind = replace(row, seeds=(), tests=())
        kept = merged.get(kind, kind)
        seeds, tests = sorted({*kept.seeds, *row.seeds}), sorted({*kept.tests, *row.tests})
        merged[kind] = replace(row, seeds=tuple(seeds), tests=tuple(tests))
    return list(merged.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path} is not there; `coopt bench` writes it.") from None
    except UnicodeDecodeError as error:
        raise RunError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); remove or restore it."
        ) from error


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{where} is no JSON ({error}); remove the file and run the benchmark again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{where} holds {type(value).__name__} in place of an object; remove the file.")
    return value
