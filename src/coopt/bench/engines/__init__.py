"""Where runs are worked on: in this process, in a pool of processes, on a Ray cluster."""

from coopt.bench.engines.engine import Engine as Engine
from coopt.bench.engines.engine import InlineEngine as InlineEngine
from coopt.bench.engines.engine import WorkerDied as WorkerDied
from coopt.bench.engines.local import LocalEngine as LocalEngine
from coopt.bench.engines.local import default_workers as default_workers
from coopt.bench.engines.ray import RayEngine as RayEngine
