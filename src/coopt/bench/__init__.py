"""The benchmark: protocols over data sets, methods, shots and seeds, as records that survive a kill."""

from coopt.bench.choice import Choice, Places, check_shots, choose
from coopt.bench.engines import Engine, InlineEngine, LocalEngine, RayEngine, default_workers
from coopt.bench.grid import ModelChoice, Run, make_runs
from coopt.bench.protocols import PROTOCOLS, Protocol, find_protocol
from coopt.bench.records import BenchFolder, read_failures, read_grid, read_records
from coopt.bench.run import BenchReporter, Outcome, run_bench
from coopt.bench.variants import ENSEMBLE, Variant, read_variants

__all__ = [
    "ENSEMBLE",
    "PROTOCOLS",
    "BenchFolder",
    "BenchReporter",
    "Choice",
    "Engine",
    "InlineEngine",
    "LocalEngine",
    "ModelChoice",
    "Outcome",
    "Places",
    "Protocol",
    "RayEngine",
    "Run",
    "Variant",
    "check_shots",
    "choose",
    "default_workers",
    "find_protocol",
    "make_runs",
    "read_failures",
    "read_grid",
    "read_records",
    "read_variants",
    "run_bench",
]
