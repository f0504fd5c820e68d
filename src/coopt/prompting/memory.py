"""How much memory is free, and how many classes at a time fit into it."""

from pathlib import Path

import psutil
import torch

SHARE = 0.25
"""Part of the free memory that the saved activations of one step may take."""
SAVED_WIDTHS = 22
"""Numbers that one token saves per block for the backward pass, in widths D of the tower: inputs of the two norms (2),
queries, keys and values (3), keys and values beside the prefix's (2), attention (1), residual (1), and the feed-forward
layer of width 4 D around its activation (up to 12)."""


def free_bytes(device: torch.device) -> int:
    """Memory that this process could still take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available, limit = psutil.virtual_memory().available, _cgroup()
    return available if limit is None else min(available, limit)


def _cgroup() -> int | None:
    """What a container's limit leaves."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        return None if limit == "max" else int(limit) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def tokens_that_fit(device: torch.device, width: int, n_blocks: int, dtype: torch.dtype) -> int:
    """How many tokens can go through all blocks with their activations kept."""
    per_token = SAVED_WIDTHS * width * n_blocks * dtype.itemsize
    return max(1, int(SHARE * free_bytes(device)) // per_token)
