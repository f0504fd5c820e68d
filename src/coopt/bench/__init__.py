"""The benchmark: protocols over data sets, methods, shots and seeds, as records that survive a kill."""

from coopt.bench.choice import Choice as Choice
from coopt.bench.choice import Places as Places
from coopt.bench.choice import check_names as check_names
from coopt.bench.choice import check_shots as check_shots
from coopt.bench.choice import choose as choose
from coopt.bench.engines import Engine as Engine
from coopt.bench.engines import InlineEngine as InlineEngine
from coopt.bench.engines import LocalEngine as LocalEngine
from coopt.bench.engines import RayEngine as RayEngine
from coopt.bench.engines import default_workers as default_workers
from coopt.bench.grid import ModelChoice as ModelChoice
from coopt.bench.grid import Run as Run
from coopt.bench.grid import make_runs as make_runs
from coopt.bench.protocols import PROTOCOLS as PROTOCOLS
from coopt.bench.protocols import Protocol as Protocol
from coopt.bench.protocols import find_protocol as find_protocol
from coopt.bench.records import BenchFolder as BenchFolder
from coopt.bench.records import read_failures as read_failures
from coopt.bench.records import read_grid as read_grid
from coopt.bench.records import read_records as read_records
from coopt.bench.run import BenchReporter as BenchReporter
from coopt.bench.run import Outcome as Outcome
from coopt.bench.run import run_bench as run_bench
from coopt.bench.variants import ENSEMBLE as ENSEMBLE
from coopt.bench.variants import Variant as Variant
from coopt.bench.variants import read_variants as read_variants
