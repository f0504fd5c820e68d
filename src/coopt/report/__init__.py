"""The report of a benchmark: tables and figures from its records, and from nothing else."""

from coopt.report.records import read_bench
from coopt.report.write import build_report, write_report

__all__ = ["build_report", "read_bench", "write_report"]
