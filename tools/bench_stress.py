"""Kill the benchmark at random moments, again and again, and compare what it ends with to an undisturbed run.

    python tools/bench_stress.py --kills 50 --out /tmp/stress

Draws two small data sets, runs `coopt bench fewshot` with the built-in model once in peace, and once with SIGKILL to
its whole process group at random moments. A bench that got to its end before enough kills loses a random half of its
records and goes on. At the end the records, without seconds and memory, must be equal and the accuracy tables the same
bytes.

Each start takes the next number of --workers in turn: 0 computes in the process itself, 2 in two processes. Starts are
forks of this process, which has the libraries loaded, so that a kill meets the work more often than the imports.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from coopt.bench import read_failures, read_records
from coopt.cli import main as coopt

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.bench.compare import accuracy_table, comparable  # noqa: E402
from tests.bench.pictures import write_data  # noqa: E402

METHODS = "zero-shot; zero-shot templates=imagenet-7 + own; linear-probe; coop n_ctx=3, epochs=20"


def command(data: Path, out: Path, workers: int, shots: str, seeds: int) -> list[str]:
    """The arguments of `coopt`."""
    words = f"bench fewshot --datasets shapes,signs --shots {shots} --seeds {seeds} --workers {workers}".split()
    return [*words, "--methods", METHODS, "--data-file", str(data), "--out", str(out)]


def start(arguments: list[str], log: Path) -> int:
    """The process id of a `coopt` in a process group of its own, its output in `log`."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        coopt(arguments)
    except SystemExit as stop:
        sys.stdout.flush()
        os._exit(int(stop.code or 0))
    finally:
        os._exit(1)


def wait(pid: int, out: Path, n_new: int, seconds: float) -> int | None:
    """Wait for so many new records and then for so long; the exit code of the process if it ended, else None."""
    before, end = n_records(out), None
    while end is None or time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if end is None and n_records(out) >= before + n_new:
            end = time.monotonic() + seconds
        time.sleep(0.005)
    return None


def n_records(out: Path) -> int:
    """How many runs are written."""
    return len(list((out / "runs").glob("*.jsonl")))


def kill_group(pid: int) -> None:
    """SIGKILL to all of it; workers that a pool started in the same group die with it."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def peaceful(arguments: list[str], log: Path) -> None:
    """Run to the end.

    Raises:
        SystemExit: it failed; the log says why.
    """
    _, status = os.waitpid(start(arguments, log), 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"coopt ended with {os.waitstatus_to_exitcode(status)}; see {log}")


def forget(out: Path, chance: random.Random) -> None:
    """Take away a random half of the records, so that there is work again."""
    files = sorted((out / "runs").glob("*.jsonl"))
    for file in chance.sample(files, len(files) // 2):
        file.unlink()


def disturb(
    commands: dict[int, list[str]], turns: Sequence[int], out: Path, log: Path, kills: int, chance: random.Random
) -> list[int]:
    """Start and kill; how many records there were at each kill."""
    done: list[int] = []
    starts = 0
    while len(done) < kills:
        workers = turns[starts % len(turns)]
        starts += 1
        pid = start(commands[workers], log)
        # A moment by records and then by time, so that a busy machine is killed in its work too, not in imports.
        code = wait(pid, out, chance.randrange(6), chance.uniform(0.0, 1.5))
        if code is None:
            kill_group(pid)
            done.append(n_records(out))
            print(f"kill {len(done)} with --workers {workers}: {done[-1]} records", flush=True)
        elif code:
            sys.exit(f"coopt ended with {code}; see {log}")
        else:
            forget(out, chance)
    return done


def main(arguments: Sequence[str] | None = None) -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True, help="a folder for data and both benches; emptied first")
    parser.add_argument("--workers", default="0,0,0,2", help="taken in turn, start by start")
    parser.add_argument("--shots", default="1,2,4")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    options = parser.parse_args(arguments)
    turns = [int(workers) for workers in options.workers.split(",")]
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    data = write_data(options.out / "data")
    log = options.out / "log.txt"
    peace, war = options.out / "undisturbed", options.out / "killed"
    peaceful(command(data, peace, 0, options.shots, options.seeds), log)
    commands = {workers: command(data, war, workers, options.shots, options.seeds) for workers in turns}
    began = time.monotonic()
    done = disturb(commands, turns, war, log, options.kills, random.Random(options.seed))
    peaceful(commands[turns[0]], log)
    print(f"{len(done)} kills in {time.monotonic() - began:.0f} s, at {len(set(done))} different numbers of records")
    compare(peace, war)


def compare(peace: Path, war: Path) -> None:
    """Say whether both benches hold the same.

    Raises:
        SystemExit: they do not.
    """
    one, other = read_records(peace), read_records(war)
    (peace / "accuracy.tsv").write_text(accuracy_table(one))
    (war / "accuracy.tsv").write_text(accuracy_table(other))
    same = [
        comparable(one) == comparable(other),
        (peace / "accuracy.tsv").read_bytes() == (war / "accuracy.tsv").read_bytes(),
        (peace / "grid.json").read_bytes() == (war / "grid.json").read_bytes(),
        sorted(p.name for p in (peace / "runs").glob("*.jsonl"))
        == sorted(p.name for p in (war / "runs").glob("*.jsonl")),
        not read_failures(peace) and not read_failures(war),
    ]
    print(
        f"{len(other)} records; equal: {same[0]}; tables the same bytes: {same[1]}; grid: {same[2]}; files: {same[3]}"
    )
    if not all(same):
        sys.exit("The killed benchmark did not end as the undisturbed one.")


if __name__ == "__main__":
    main()
