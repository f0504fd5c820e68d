"""Side by side timing: what is compared alternates, so that a busy moment of the machine meets both."""

import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
import transformers

from coopt.prompting.frozen import prefers_onednn, product

GEMM_SHAPES = [
    (4096, 512, 2048),
    (4096, 2048, 512),
    (2048, 2048, 2048),
    (4096, 512, 512),
    (400, 512, 2048),
    (400, 2048, 512),
]
"""(rows, in, out) of the products whose best rate is the machine's: large ones, and the towers' own."""


CLOCK = {"now": time.perf_counter}


def use_processor_time() -> None:
    """For a machine that others use too: with one thread this is what the wall-clock of a quiet machine would show."""
    CLOCK["now"] = time.process_time


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock of one call, by CUDA events on a GPU; processor time of all threads after `use_processor_time`."""
    if device.type != "cuda":
        started = CLOCK["now"]()
        work()
        return CLOCK["now"]() - started
    before, behind = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    before.record()
    work()
    behind.record()
    torch.cuda.synchronize()
    return before.elapsed_time(behind) / 1000


class Rate:
    """The best rate of bare matrix products seen in this run, in operations per second."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.best = 0.0
        self.pairs = [
            (torch.randn(rows, wide, device=device, dtype=dtype), torch.randn(out, wide, device=device, dtype=dtype))
            for rows, wide, out in GEMM_SHAPES
        ]

    def measure(self) -> None:
        """One round over all shapes: by PyTorch's own choice of library, and by the one that coopt chooses."""
        for x, weight in self.pairs:
            operations = 2 * x.shape[0] * weight.numel()
            for work in self._works(x, weight):
                self.best = max(self.best, operations / seconds(work, self.device))

    def _works(self, x: torch.Tensor, weight: torch.Tensor) -> list[Callable[[], object]]:
        works: list[Callable[[], object]] = [lambda: F.linear(x, weight)]
        if x.device.type == "cpu" and x.dtype == torch.float32:
            works.append(lambda: product(x, weight))
        return works


def alternate(
    works: dict[str, Callable[[], object]],
    repetitions: int,
    device: torch.device,
    between: Callable[[], object],
    slow_repetitions: int | None = None,
) -> dict[str, list[float]]:
    """Seconds of each work in each round, after one round that warms up and is not counted.

    Args:
        works: what to compare, the slowest first.
        repetitions: rounds.
        device: where it runs.
        between: called in each round, for the machine's rate.
        slow_repetitions: rounds in which the first takes part, where fewer.
    """
    first = next(iter(works))
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for number in range(repetitions):
        between()
        for name, work in works.items():
            if name == first and slow_repetitions is not None and number >= slow_repetitions:
                continue
            times[name].append(seconds(work, device))
    return times


def summary(times: list[float]) -> dict[str, float | int]:
    """Median and spread."""
    return {"median": statistics.median(times), "low": min(times), "high": max(times), "n": len(times)}


def machine(device: torch.device) -> dict[str, object]:
    """What the figures depend on."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    facts: dict[str, object] = {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": str(device),
        "onednn": prefers_onednn(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts
