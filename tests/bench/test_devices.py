"""Which device a run measures and which one a worker sees; the machine of the tests has no GPU."""

import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import torch

from coopt.bench import LocalEngine
from coopt.bench.execute import execute
from coopt.bench.memory import PeakMemory
from coopt.bench.shared import Shared
from tests.bench.conftest import Plan


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """A machine with two GPUs that notes what is asked of them."""
    found: list[tuple[str, Any]] = []

    def note(name: str, answer: Any) -> None:
        monkeypatch.setattr(torch.cuda, name, lambda *given: found.append((name, *given)) or answer)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    note("init", None)
    note("reset_peak_memory_stats", None)
    note("max_memory_allocated", 7e6)
    note("get_rng_state", torch.get_rng_state())
    note("set_rng_state", None)
    return found


@pytest.mark.parametrize("awake", [False, True])
def test_a_run_on_the_cpu_measures_the_process_and_wakes_no_gpu(
    awake: bool, plan: Plan, shared: Shared, calls: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: awake)
    (run,) = plan("fewshot", "shapes", "zero-shot")
    assert run.model.device is None
    (record,) = execute(run, shared).records
    assert record.peak_memory_mb is not None and 50 < record.peak_memory_mb < 20_000
    # Only the streams of GPUs that something else woke are kept.
    assert [call[0] for call in calls if "rng" in call[0]].count("get_rng_state") == (
        6 if awake else 0
    )  # 2, around run, fit, test
    assert not [call for call in calls if "rng" not in call[0]]


def test_a_run_on_a_gpu_measures_its_own_one(calls: list) -> None:
    with PeakMemory("cuda:1") as memory:
        pass
    device = torch.device("cuda:1")
    assert memory.peak_mb == 7.0
    assert calls == [("init",), ("reset_peak_memory_stats", device), ("max_memory_allocated", device)]


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("cuda", None, ["0", "1", "0"]),
        ("cuda", "3,5", ["3", "5", "3"]),
        ("cuda:1", "3,5", ["3,5", "3,5", "3,5"]),
        (None, None, [None, None, None]),
    ],
)
def test_each_worker_sees_a_gpu_of_its_own(
    device: str | None, visible: str | None, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str | None, str | None]] = []

    class Pool(ProcessPoolExecutor):
        """Notes the environment in which its process would start."""

        _processes: Any = {}

        def __init__(self, *arguments: Any, **options: Any) -> None:
            pass

        def submit(self, *task: Any) -> None:
            seen.append((os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"]))

        def shutdown(self, **options: Any) -> None:
            pass

    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("coopt.bench.engines.local.ProcessPoolExecutor", Pool)
    before = dict(os.environ)
    engine = LocalEngine(3, 2, device)
    for worker in range(3):
        engine._pool(worker)
    assert seen == [(gpu, "2") for gpu in expected]
    assert dict(os.environ) == before
    engine.close()


def test_the_environment_reaches_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    engine = LocalEngine(1, 1)
    engine.n_gpus = 2
    try:
        assert engine._pool(0).submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(timeout=100) == "3"
    finally:
        engine.close()


def test_there_is_a_worker_per_gpu_or_as_many_as_the_machine_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 5)
    monkeypatch.setattr("coopt.bench.engines.local.default_workers", lambda: 14)
    devices = {"cuda": 5, "cuda:1": 1, "cpu": 7, None: 7}
    assert {device: LocalEngine(None, 2, device).n_workers for device in devices} == devices
    assert LocalEngine(3, 2, "cuda").n_workers == 3
