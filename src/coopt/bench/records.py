"""The bench folder: one file of records per run, one file per failed run, and what was asked for.

runs/<run id>.jsonl     a line per evaluation; written once, atomically
failed/<run id>.json    the run and why it failed; removed when it succeeds
locks/                  claims of running processes
grid.json               every cell that was asked for, so that a report knows which are missing
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from coopt.errors import RunError
from coopt.files import write_json, write_text
from coopt.version import __version__

FORMAT = 1
GRID = "grid.json"
ROW = ("protocol", "model", "method", "variant", "preset", "source", "shots")
"""What a row of the grid is; its seeds and tests are lists."""
VARYING = ("seconds", "peak_memory_mb")
"""Fields of a record that differ between two runs of the same thing; all others are the same on the same machine."""


class BenchFolder:
    """Where a benchmark's records lie.

    Raises:
        RunError: the folder holds something else, or was written by another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"'{self.path}' is a file; --out takes a folder.")
        self._check()

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("runs", "failed", "locks"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def record_file(self, run: str) -> Path:
        """Where the records of a run are."""
        return self.path / "runs" / f"{run}.jsonl"

    def failure_file(self, run: str) -> Path:
        """Where a failed run is described."""
        return self.path / "failed" / f"{run}.json"

    def is_done(self, run: str) -> bool:
        """Whether its records are there."""
        return self.record_file(run).is_file()

    def write_records(self, run: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """All evaluations of a run at once, and its earlier failure forgotten."""
        text = "".join(json.dumps(dict(line), ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
        write_text(self.record_file(run), text)
        self.failure_file(run).unlink(missing_ok=True)

    def write_failure(self, run: str, facts: Mapping[str, Any]) -> None:
        """Why a run failed."""
        write_json(self.failure_file(run), {"run": run, **facts})

    def covered(self, key: str) -> dict[tuple[str, str, str], str]:
        """What the runs of one training were tested on: (data set, subset, its digest) to the run's id."""
        found = {}
        for path in sorted((self.path / "runs").glob(f"{key}-*.jsonl")):
            for line in read_lines(path):
                found[line["dataset"], line["subset"], line["versions"]["test_data"]] = line["run"]
        return found

    def add_to_grid(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Join what is asked for now to what was asked for before."""
        self.prepare()
        with FileLock(self.path / "locks" / "grid.lock"):
            self._check()
            old = read_grid(self.path) if (self.path / GRID).is_file() else []
            merged = merge_rows([*old, *rows])
            if merged != old or not (self.path / GRID).is_file():
                write_json(self.path / GRID, {"format": FORMAT, "version": __version__, "rows": merged})

    def _check(self) -> None:
        """Refuse what another program or version wrote."""
        if (self.path / GRID).is_file():
            grid = _read_object(self.path / GRID)
            if grid.get("format") != FORMAT or _major(str(grid.get("version"))) != _major(__version__):
                raise RunError(
                    f"'{self.path}' was written by coopt {grid.get('version')} in format {grid.get('format')}; this is "
                    f"coopt {__version__} with format {FORMAT}, and their records would not compare. Choose a new "
                    "folder with --out, or use that version."
                )
        elif self.path.is_dir():
            others = sorted(path.name for path in self.path.iterdir() if path.name not in ("locks", "runs", "failed"))
            # Temporary files of a grid.json that a kill cut off are ours.
            others = [name for name in others if not name.startswith(f".{GRID}.")]
            if others or any((self.path / "runs").glob("*")):
                raise RunError(
                    f"'{self.path}' is not empty and is no bench folder (it has {', '.join(others[:3]) or 'runs'}, and "
                    f"no {GRID}). Choose a new folder with --out."
                )


def read_records(folder: Path | str) -> list[dict[str, Any]]:
    """Every evaluation in a bench folder, ordered by run; a run whose file is not there is not in the list.

    Raises:
        RunError: a file is damaged.
    """
    return [line for path in sorted((Path(folder) / "runs").glob("*.jsonl")) for line in read_lines(path)]


def read_failures(folder: Path | str) -> list[dict[str, Any]]:
    """Every failed run with its reason, ordered by run.

    Raises:
        RunError: a file is damaged.
    """
    return [_read_object(path) for path in sorted((Path(folder) / "failed").glob("*.json"))]


def read_grid(folder: Path | str) -> list[dict[str, Any]]:
    """What was asked for: rows with `ROW`, "seeds": [1, 2, 3] and "tests": [[data set, subset], ...].

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    rows = _read_object(Path(folder) / GRID).get("rows")
    if not isinstance(rows, list):
        raise RunError(f"'{Path(folder) / GRID}' has no list of rows; remove it and type the bench command again.")
    return rows


def merge_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the same kind as one, with all their seeds and tests."""
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        kept = merged.setdefault(
            json.dumps([row[name] for name in ROW]), {**{name: row[name] for name in ROW}, "seeds": [], "tests": []}
        )
        kept["seeds"] = sorted({*kept["seeds"], *row["seeds"]})
        kept["tests"] += [test for test in map(list, row["tests"]) if test not in kept["tests"]]
    return list(merged.values())


def comparable(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Records as text without what varies from run to run, in order: equal for equal work."""
    return sorted(
        json.dumps({name: value for name, value in record.items() if name not in VARYING}, sort_keys=True)
        for record in records
    )


def accuracy_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Every accuracy, a line each, with all digits."""
    columns = ("protocol", "model", "variant", "source", "dataset", "subset", "shots", "seed")
    lines = sorted(
        "\t".join(str(record[name]) for name in columns) + f"\t{record['metrics']['accuracy']!r}" for record in records
    )
    return "\n".join(["\t".join([*columns, "accuracy"]), *lines]) + "\n"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The evaluations of one run.

    Raises:
        RunError: the file is damaged.
    """
    try:
        # Not splitlines(): a line of JSON may hold U+2028 and its like.
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"'{path}' is damaged ({error}). Remove it and run the benchmark again.") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"'{path}' is not there; `coopt bench` writes it.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"'{path}' is damaged ({error}). Remove it and run the benchmark again.") from error
    if not isinstance(value, dict):
        raise RunError(f"'{path}' holds no object. Remove it and run the benchmark again.")
    return value


def _major(version: str) -> str:
    return version.split(".")[0]
