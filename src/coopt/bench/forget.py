"""Taking rows out of a bench folder: what was asked for by mistake would stay in every report as missing."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from coopt.bench.records import BenchFolder, read_failures, read_grid, read_run
from coopt.bench.variants import read_variants
from coopt.errors import ConfigError, CooptError, RunError, did_you_mean


class Forgotten(NamedTuple):
    """What was removed."""

    rows: list[str]
    n_runs: int
    n_failed: int


def forget(folder: BenchFolder, rows: Sequence[str], protocol: str | None = None) -> Forgotten:
    """Remove rows (a method with its settings, as the tables name it) with their records and failures.

    What was asked for goes last: if the call is killed, the same call goes on, and the folder is a valid one at any
    moment.

    Args:
        folder: the bench folder.
        rows: names of rows; another spelling of the same settings is found too.
        protocol: only of this protocol; None takes all.

    Raises:
        ConfigError: the folder has no such row.
        RunError: the folder holds no benchmark, or a process works in it.
    """
    asked = read_grid(folder.path)
    refuse_busy(folder)
    files = {path: read_run(path)[:1] for path in sorted((folder.path / "runs").glob("*.jsonl"))}
    done = {path: (r.protocol, r.variant) for path, records in files.items() for r in records}
    failed = {folder.failure_file(f.run): (f.protocol, f.variant) for f in read_failures(folder.path)}
    held = [*((row.protocol, row.variant) for row in asked), *done.values(), *failed.values()]
    known = {str(variant) for of, variant in held if protocol in (None, of)}
    names = {find_row(row, known, folder, protocol) for row in rows}

    def goes(key: tuple[str | None, str | None]) -> bool:
        return key[1] in names and protocol in (None, key[0])

    n_runs = remove(path for path, key in done.items() if goes(key))
    n_failed = remove(path for path, key in failed.items() if goes(key))
    folder.drop_from_grid(lambda row: goes((row.protocol, row.variant)))
    return Forgotten(sorted(names), n_runs, n_failed)


def find_row(row: str, known: set[str], folder: BenchFolder, protocol: str | None) -> str:
    """The name of a row as the folder has it."""
    if row in known:
        return row
    try:
        written = [variant.name for variant in read_variants([row])]
    except CooptError:  # what was mistyped is no method with settings
        written = []
    if len(written) == 1 and written[0] in known:
        return written[0]
    where = f"'{folder.path}'" + (f" of the protocol {protocol}" if protocol else "")
    raise ConfigError(
        f"--forget is {row!r}; the rows in {where} are {', '.join(map(repr, sorted(known))) or 'none'}."
        f"{did_you_mean(row, known)}"
    )


def refuse_busy(folder: BenchFolder) -> None:
    """Refuse a folder in which a process is at work: it would write what is forgotten."""
    for lock in sorted((folder.path / "locks").glob("*.lock")):
        claim = folder.claim(lock.stem)
        if claim is None:
            raise RunError(f"A benchmark is at work in '{folder.path}'; end it first, or wait until it is done.")
        claim.release()


def remove(paths: Iterable[Path]) -> int:
    """Remove files; how many there were."""
    found = list(paths)
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
