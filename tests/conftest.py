"""Settings that every test needs: one thread for reproducible sums, no network, a cache folder of its own."""

import itertools
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["COOPT_CACHE"] = "off"  # for fixtures of modules; every test has a folder of its own
os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in one order; the two cores run two test processes
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest  # noqa: E402
import torch  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    # One that tests shared would hide faults: what one test had encoded, the next would not encode again.
    monkeypatch.setenv("COOPT_CACHE", str(tmp_path_factory.getbasetemp() / "coopt-cache" / str(next(_numbers))))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
