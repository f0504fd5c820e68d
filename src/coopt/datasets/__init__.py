"""Benchmark data sets by name: the paper's eleven, ImageNet's variants, an offline suite, and a user's own."""

from coopt.datasets.facts import CERTAINTIES as CERTAINTIES
from coopt.datasets.facts import REMEMBERED as REMEMBERED
from coopt.datasets.facts import BenchmarkFacts as BenchmarkFacts
from coopt.datasets.load import Benchmark as Benchmark
from coopt.datasets.load import load_benchmark as load_benchmark
from coopt.datasets.own import read_data_file as read_data_file
from coopt.datasets.table import BENCHMARKS as BENCHMARKS
from coopt.datasets.table import SHIFTS as SHIFTS
from coopt.datasets.table import SUITES as SUITES
from coopt.datasets.table import find_benchmark as find_benchmark
