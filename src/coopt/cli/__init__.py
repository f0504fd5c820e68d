"""The command line."""

from coopt.cli.streams import interruptible

with interruptible():
    from coopt.cli.main import main as main
