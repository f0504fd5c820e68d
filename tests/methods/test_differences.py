"""Each method says once what its authors' code has in half precision, and nothing claims the order of their batches."""

from pathlib import Path

import pytest

from coopt.methods import METHODS
from coopt.methods.docstring import describe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("key", METHODS)
def test_half_precision_is_said_once(key: str) -> None:
    told = describe(METHODS[key])
    differences = " ".join(told.sections["Differences from the official code"].split())
    assert differences.count("In half precision there") == 1
    assert differences.count("half precision") == 1
    assert "float32" in differences
    assert "half precision" not in told.text


def test_the_order_of_the_batches_is_a_difference() -> None:
    differences = " ".join(describe(METHODS["coop"]).sections["Differences from the official code"].split())
    assert "Its own runs have another order" in differences
    assert "have another order" in " ".join((ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split())
    for name in ("README.md", "CHANGELOG.md"):
        assert "splits and batch order" not in (ROOT / name).read_text(encoding="utf-8")
