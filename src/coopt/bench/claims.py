"""Claims on runs: who holds one works on it; the system takes it back when that process dies."""

from pathlib import Path

from filelock import FileLock, Timeout


def claim(folder: Path, key: str) -> FileLock | None:
    """An exclusive hold on the training `key` until it is released, or None where another process has it.

    No clock is involved, so nothing can go stale. The lock's file stays: removing it would let two processes hold two
    files of one name.
    """
    # Released by whichever thread ends the run; a lock that belongs to a thread could not be.
    lock = FileLock(folder / "locks" / f"{key}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock
