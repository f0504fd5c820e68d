"""Worker processes on this machine."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any
from unittest.mock import patch

import psutil
import torch

from coopt.bench.engines.engine import WorkerDied
from coopt.bench.execute import Failed, Result, attempt
from coopt.bench.grid import Run
from coopt.bench.memory import on_cuda
from coopt.bench.shared import Shared
from coopt.fit.signals import HANG_UP

WORKER_MEMORY = 2e9
"""Bytes of free memory that each worker should have: the libraries, a backbone and the features of a few data sets."""
DIED = "its process was killed, ran out of memory or crashed"
_shared: Shared | None = None


class LocalEngine:
    """One pool of a single process per worker, so that a killed worker takes down only the run it was doing.

    Processes are spawned, not forked: a fork of a process with threads may hang.

    Args:
        n_workers: how many; None takes one per GPU for a device "cuda", since several would share its memory, and
            otherwise as many as there are cores and free memory for.
        n_threads: threads of each.
        device: of the runs. With "cuda" the workers take turns with the GPUs: each sees one of them only.
    """

    def __init__(self, n_workers: int | None, n_threads: int = 1, device: str | None = None) -> None:
        self.n_gpus = torch.cuda.device_count() if device == "cuda" else 0
        usual = max(self.n_gpus, 1) if on_cuda(device) else default_workers() // n_threads
        self.n_workers = n_workers or max(1, usual)
        self.n_threads = n_threads
        self.pools: list[ProcessPoolExecutor | None] = [None] * self.n_workers
        self.pids: list[Future[int] | None] = [None] * self.n_workers

    def submit(self, worker: int, run: Run) -> "Future[Any]":
        """Begin a run; a worker's process starts with its first."""
        outcome: Future[Any] = Future()

        def pass_on(inner: "Future[Any]") -> None:
            if inner.cancelled() or isinstance(inner.exception(), BrokenProcessPool):
                outcome.set_exception(WorkerDied(DIED))
            elif (error := inner.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(inner.result())

        try:
            self._pool(worker).submit(_execute, run).add_done_callback(pass_on)
        except BrokenProcessPool:  # killed while it was idle
            outcome.set_exception(WorkerDied(DIED))
        return outcome

    def replace(self, worker: int) -> None:
        """End what is left of it; the next run starts a new process."""
        pool, self.pools[worker], self.pids[worker] = self.pools[worker], None, None
        if pool is None:
            return
        # Killed here, also while it imports the libraries: the pool itself would wait for the end of its run.
        for process in list((pool._processes or {}).values()):
            process.kill()
        # A pool whose thread is alive when Python exits may print an OSError of its closed pipe.
        pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Kill the processes of all workers."""
        for worker in range(self.n_workers):
            self.replace(worker)

    def _pool(self, worker: int) -> ProcessPoolExecutor:
        pool = self.pools[worker]
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(self.n_threads,))
            # Read by the libraries as they load in the child; too late inside it. Idle threads of one would spin.
            with patch.dict(os.environ, self._environment(worker)):
                self.pids[worker] = pool.submit(os.getpid)
            self.pools[worker] = pool
        return pool

    def _environment(self, worker: int) -> dict[str, str]:
        found = {"OMP_NUM_THREADS": str(self.n_threads)}
        if self.n_gpus:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            gpu = worker % self.n_gpus
            found["CUDA_VISIBLE_DEVICES"] = visible[gpu] if gpu < len(visible) and visible[gpu] else str(gpu)
        return found


def default_workers() -> int:
    """How many: one per core of this process, and no more than fit into the free memory."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(n_cores, int(psutil.virtual_memory().available / WORKER_MEMORY)))


def _start(n_threads: int) -> None:
    """Prepare a worker process, before its first run."""
    global _shared
    for number in (signal.SIGINT, HANG_UP):  # these reach the whole group; the parent ends its workers
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(n_threads)
    _shared = Shared()


def _die_with_parent() -> None:
    """A killed parent cannot write what this process computes, and another one may do the run already."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _execute(run: Run) -> Result | Failed:
    assert _shared is not None  # the initializer ran
    return attempt(run, _shared)
