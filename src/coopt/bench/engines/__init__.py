"""Where runs are worked on: in this process, in a pool of processes, on a Ray cluster."""

from coopt.bench.engines.engine import Engine, InlineEngine, WorkerDied
from coopt.bench.engines.local import LocalEngine, default_workers
from coopt.bench.engines.ray import RayEngine

__all__ = ["Engine", "InlineEngine", "LocalEngine", "RayEngine", "WorkerDied", "default_workers"]
