"""The report of a benchmark: tables and figures from its records, and from nothing else."""

from coopt.report.read import read_bench
from coopt.report.records import Asked, Bench, Evaluation, Failure, collect
from coopt.report.statistics import Summary, harmonic_mean, summarise
from coopt.report.write import Report, build_report, write_report

__all__ = [
    "Asked",
    "Bench",
    "Evaluation",
    "Failure",
    "Report",
    "Summary",
    "build_report",
    "collect",
    "harmonic_mean",
    "read_bench",
    "summarise",
    "write_report",
]
