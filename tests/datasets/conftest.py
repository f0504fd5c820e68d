"""The fixture that writes small data sets, shared with the tests of `data/`."""

from tests.data.conftest import make_files

__all__ = ["make_files"]
