"""Workers on a Ray cluster: the user's own, or one on this machine for the time of the call."""

import logging
import os
from concurrent.futures import Future
from typing import Any

from coopt.bench.engines.engine import WorkerDied
from coopt.bench.execute import Failed, Result, attempt
from coopt.bench.grid import Run
from coopt.bench.shared import Shared
from coopt.errors import ConfigError, require_extra


class RayWorker:
    """A Ray actor: one process on a machine of the cluster."""

    def __init__(self) -> None:
        self.shared = Shared()

    def execute(self, run: Run) -> Result | Failed:
        """Do a run in this actor's process."""
        return attempt(run, self.shared)

    def process_id(self) -> int:
        """The number of the actor's process on its machine."""
        return os.getpid()


class RayEngine:
    """One actor per worker, with a core of its own.

    The machines of a cluster need this package and the data sets under the same paths; records are written by the
    process that called, so only its machine needs the bench folder.

    Args:
        n_workers: actors; None takes one per core of the cluster.
        address: of a running cluster ("auto", "10.0.0.1:6379", "ray://..."); None starts one here.
        n_threads: cores per actor.
        n_gpus: GPUs per actor.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: there is no cluster at the address.
    """

    def __init__(
        self, n_workers: int | None, address: str | None = None, n_threads: int = 1, n_gpus: float = 0
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to a server
        self.ray = require_extra("ray", "ray", "--engine ray")
        options: dict[str, Any] = {"address": address or "local", "logging_level": logging.ERROR}
        if not address:
            options |= {"include_dashboard": False, "num_cpus": n_workers and n_workers * n_threads}
        try:
            self.ray.init(log_to_driver=False, **options)
        except (ConnectionError, ValueError, TimeoutError) as error:
            raise ConfigError(f"There is no Ray cluster at --address {address!r}: {error}") from error
        self.n_workers = n_workers or max(1, int(self.ray.cluster_resources().get("CPU", 1)) // n_threads)
        self.kind = self.ray.remote(num_cpus=n_threads, num_gpus=n_gpus, max_restarts=0)(RayWorker)
        self.actors: list[Any] = [None] * self.n_workers

    def submit(self, worker: int, run: Run) -> "Future[Any]":
        """Begin a run on an actor, which starts with its first."""
        if self.actors[worker] is None:
            self.actors[worker] = self.kind.remote()
        outcome: Future[Any] = Future()

        def pass_on(inner: "Future[Any]") -> None:
            error = inner.exception()
            if error is None:
                outcome.set_result(inner.result())
            elif isinstance(error, self.ray.exceptions.RayActorError | self.ray.exceptions.WorkerCrashedError):
                outcome.set_exception(WorkerDied(f"its Ray worker ended: {str(error).strip().splitlines()[0]}"))
            else:
                outcome.set_exception(error)

        self.actors[worker].execute.remote(run).future().add_done_callback(pass_on)
        return outcome

    def replace(self, worker: int) -> None:
        """The next run starts a new actor."""
        self.actors[worker] = None

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in self.actors:
            if actor is not None:
                self.ray.kill(actor)
        self.ray.shutdown()
