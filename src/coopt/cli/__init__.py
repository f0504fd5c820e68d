"""The command line."""

from coopt.cli.main import main

__all__ = ["main"]
