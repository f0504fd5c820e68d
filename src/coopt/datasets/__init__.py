"""Benchmark data sets by name: the paper's eleven, ImageNet's variants, an offline suite, and a user's own."""

from coopt.datasets.facts import CERTAINTIES, BenchmarkFacts
from coopt.datasets.load import Benchmark, load_benchmark
from coopt.datasets.own import read_data_file
from coopt.datasets.table import BENCHMARKS, SHIFTS, SUITES, find_benchmark

__all__ = [
    "BENCHMARKS",
    "CERTAINTIES",
    "SHIFTS",
    "SUITES",
    "Benchmark",
    "BenchmarkFacts",
    "find_benchmark",
    "load_benchmark",
    "read_data_file",
]
