"""Processes and actors: the same records whoever computes them, also when one is killed in its work."""

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from coopt.bench import (
    BenchFolder,
    BenchReporter,
    InlineEngine,
    LocalEngine,
    Run,
    default_workers,
    read_records,
    run_bench,
)
from coopt.bench.engines import Engine, WorkerDied
from coopt.bench.engines.local import WORKER_MEMORY
from coopt.errors import MissingExtraError
from coopt.evaluate.record import Record
from tests.bench.compare import accuracy_table, comparable
from tests.bench.conftest import Plan

GRID = "zero-shot; linear-probe; coop n_ctx=3, epochs=4"


class Killer(BenchReporter):
    """Kills the process of a worker while it is in its second run."""

    def __init__(self, kill: "Kill") -> None:
        self.kill = kill
        self.retries: list[str] = []
        self.ended = 0

    def finished(self, run: Run, lines: Sequence[Record]) -> None:
        self.ended += 1
        if self.ended == 1:
            threading.Thread(target=self.kill).start()

    def retried(self, run: Run, reason: str) -> None:
        self.retries.append(reason)


class Kill:
    """SIGKILL to a worker that is busy."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.pid = 0

    def __call__(self) -> None:
        future = self.engine.pids[0]
        assert future is not None
        self.pid = future.result()
        os.kill(self.pid, signal.SIGKILL)


def written(folder: Path, runs: list[Run], engine: Engine, reporter: BenchReporter | None = None) -> list[Record]:
    try:
        assert run_bench(runs, BenchFolder(folder), engine, reporter).failed == []
    finally:
        engine.close()
    return read_records(folder)


def test_a_killed_worker_is_replaced_and_the_records_are_the_same(plan: Plan, tmp_path: Path) -> None:
    runs = plan("base-to-new", "shapes,signs", GRID)
    engine = LocalEngine(1)
    killer = Killer(Kill(engine))
    pooled = written(tmp_path / "pool", runs, engine, killer)
    assert killer.retries == ["its process was killed, ran out of memory or crashed"]
    inline = written(tmp_path / "inline", runs, InlineEngine())
    assert comparable(pooled) == comparable(inline)
    assert accuracy_table(pooled) == accuracy_table(inline)
    assert not is_alive(killer.kill.pid)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_closing_ends_a_worker_that_is_only_starting_and_leaves_no_thread(plan: Plan) -> None:
    """The pool would wait for its run; its thread, alive while Python exits, may print an OSError."""
    before = set(threading.enumerate())
    engine = LocalEngine(1)
    future = engine.submit(0, plan("fewshot", "shapes", "coop n_ctx=3, epochs=100000")[0])
    (process,) = set(multiprocessing.active_children())
    engine.close()
    assert isinstance(future.exception(timeout=1), WorkerDied)
    assert not process.is_alive()
    assert set(threading.enumerate()) <= before


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    """A parent that is killed leaves no process behind that computes what nobody will write."""
    code = (
        "import os, time, sys\n"
        "from coopt.bench.engines.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        "    engine = LocalEngine(1)\n"
        "    engine._pool(0).submit(time.sleep, 60)\n"
        "    print(engine.pids[0].result(), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=120)
    pid = int(done.stdout)
    end = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_the_pool_fits_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)), raising=False)
    for free, expected in ((100 * WORKER_MEMORY, 7), (3.5 * WORKER_MEMORY, 3), (0.1 * WORKER_MEMORY, 1)):
        monkeypatch.setattr("psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free))
        assert default_workers() == expected


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from coopt.bench import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'coopt\[ray\]'"):
        RayEngine(2)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install 'coopt[ray]')")
def test_a_local_ray_cluster_gives_the_same_records_though_a_worker_is_killed(
    plan: Plan, data_file: Path, tmp_path: Path
) -> None:
    """In a process of its own: Ray keeps threads, and warns of what is not ours."""
    script = Path(__file__).with_name("ray_script.py")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    done = subprocess.run(
        [sys.executable, str(script), str(data_file), str(tmp_path / "ray")],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "retried 1 failed 0", done.stdout
    inline = written(tmp_path / "inline", plan("base-to-new", "shapes", GRID, n_seeds=3), InlineEngine())
    remote = read_records(tmp_path / "ray")
    assert comparable(remote) == comparable(inline)
    assert accuracy_table(remote) == accuracy_table(inline)
