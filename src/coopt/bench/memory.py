"""Peak memory of a run."""

import re
import sys
from pathlib import Path
from typing import Any

import torch


def on_cuda(device: str | None) -> bool:
    """Whether a device, as a user names it, is a GPU: "cuda", "cuda:1"; None is the CPU."""
    return device is not None and device.startswith("cuda")


class PeakMemory:
    """The highest memory of this process within a `with` block, in megabytes (of 10**6 bytes).

    For a run on CUDA (`device`, whatever else the machine has) it is what PyTorch had allocated there. Otherwise it is
    the resident memory of the whole worker process, with the libraries, the model and what it keeps for later runs.
    Linux can reset this peak before each run; other systems give the highest since the process began.
    """

    def __init__(self, device: str | None = None) -> None:
        self.device = torch.device(device) if device is not None and on_cuda(device) else None
        self.peak_mb: float | None = None

    def __enter__(self) -> "PeakMemory":
        try:
            Path("/proc/self/clear_refs").write_text("5")  # man 5 proc: resets the peak resident set size
            self.was_reset = True
        except OSError:
            self.was_reset = False
        if self.device is not None:
            torch.cuda.init()
            torch.cuda.reset_peak_memory_stats(self.device)
        return self

    def __exit__(self, *error: Any) -> None:
        if self.device is not None:
            self.peak_mb = torch.cuda.max_memory_allocated(self.device) / 1e6
            return
        found = None
        if self.was_reset:
            found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), flags=re.M)
        if found:
            peak = int(found[1]) * 1024
        elif sys.platform == "win32":
            return  # Windows tells no peak without a further library
        else:
            import resource  # not on Windows

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.peak_mb = round(peak / 1e6, 1)
