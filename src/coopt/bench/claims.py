"""Claims on runs: who holds one works on it; the system takes it back when that process dies."""

from pathlib import Path

from filelock import FileLock, Timeout


class Claim:
    """An exclusive hold on one training, by a locked file; no clock is involved, so nothing can go stale."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()


def claim(folder: Path, key: str) -> Claim | None:
    """Take hold of `key`, or None where another process has it.

    The lock's file stays behind: removing it would let two processes hold two files of one name.
    """
    # Released by whichever thread ends the run; a lock that belongs to a thread could not be.
    lock = FileLock(folder / "locks" / f"{key}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return Claim(lock)
