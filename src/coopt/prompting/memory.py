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
    """Memory that this process could still take, in a container within its limit."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available, folder = psutil.virtual_memory().available, Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        return min(available, limit - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no container, or the limit "max"
        return available


def tokens_that_fit(device: torch.device, width: int, n_blocks: int, dtype: torch.dtype) -> int:
    """How many tokens can go through all blocks with their activations kept."""
    per_token = SAVED_WIDTHS * width * n_blocks * dtype.itemsize
    return max(1, int(SHARE * free_bytes(device)) // per_token)
