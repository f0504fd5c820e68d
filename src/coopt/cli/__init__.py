"""The command line."""

from coopt.cli.main import main as main
