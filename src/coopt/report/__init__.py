"""The report of a benchmark: tables and figures from its records, and from nothing else."""

from coopt.report.records import read_bench as read_bench
from coopt.report.write import build_report as build_report
from coopt.report.write import write_report as write_report
