"""The report of a benchmark: tables and figures from its records, and from nothing else."""

from coopt.report.records import Bench, collect, read_bench
from coopt.report.statistics import Summary, harmonic_mean, summarise
from coopt.report.write import Report, build_report, write_report

__all__ = [
    "Bench",
    "Report",
    "Summary",
    "build_report",
    "collect",
    "harmonic_mean",
    "read_bench",
    "summarise",
    "write_report",
]
