"""Where `coopt fit` writes: a run that is finished already, one that was interrupted, and two at the same time."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from coopt.artifacts import check_target, load_run
from coopt.artifacts.place import CONFIG
from coopt.cli.console import show_path
from coopt.errors import RunError
from coopt.fit import Recipe
from coopt.methods import find_method, jsonable

CHECKPOINT = "checkpoint.safetensors"


def default_name(data: Sequence[str], method: str, n_shots: int | None, seed: int) -> str:
    """`photos-coop-16shot-seed1`; without shots where the method looks at none."""
    names = "+".join(Path(source.rstrip("/")).name or "data" for source in data)
    stem, key = (re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") for text in (names, method))
    shots = "all" if n_shots is None else f"{n_shots}shot"
    return "-".join([stem, key, *[shots] * find_method(method).uses_shots, f"seed{seed}"])


@contextlib.contextmanager
def held(folder: Path, overwrite: bool) -> Iterator[None]:
    """Keep the place of a run for this process, until it ends, however it ends.

    Raises:
        RunError: the place cannot be written to, holds a run already, or another process is writing there.
    """
    check_target(folder, overwrite)
    place = folder.absolute()
    made = [parent for parent in place.parents if not parent.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{show_path(folder)} is being written by another process: a fit with the same --out is running. Wait for "
            "it, or choose another --out."
        ) from None
    try:
        check_target(folder, overwrite)  # the process that had the place may just have ended
        yield
    finally:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody takes the file that goes
        lock.release()
        for parent in made:
            with contextlib.suppress(OSError):  # something was written
                parent.rmdir()


def finished(
    folder: Path, method: str, settings: Mapping[str, Any], recipe: Recipe, n_shots: int | None, seed: int
) -> str | None:
    """What to say where --resume finds the run that was asked for complete; None where there is something to do.

    Raises:
        RunError: the run that is there is another one.
    """
    if not (folder / CONFIG).is_file() or partial_of(folder).is_dir():
        return None
    config = load_run(folder, trust_code=True).config
    asked = {"method": method, "shots": n_shots, "seed": seed, **jsonable(settings)}
    there = {"method": config["method"], "shots": config.get("shots"), "seed": config.get("seed")}
    there |= {name: value for name, value in config["settings"].items() if value is not None}
    kept = {f"recipe.{name}": value for name, value in (config.get("recipe") or {}).items()}
    asked |= {f"recipe.{name}": value for name, value in recipe.resolve(n_shots).as_dict().items()}
    there |= kept
    changed = [
        f"{name}: {there[name]!r} there, {value!r} now"
        for name, value in asked.items()
        if name in there and there[name] != value
    ]
    if changed:
        raise RunError(
            f"{show_path(folder)} holds a finished run with other settings ({'; '.join(changed)}). Choose another "
            "--out, or pass --overwrite without --resume to replace it."
        )
    return f"{show_path(folder)} is finished: there is nothing to resume. --overwrite trains it again."


def partial_of(folder: Path) -> Path:
    """Where a running fit keeps its checkpoints."""
    return folder.with_name(folder.name + ".partial")


def checkpoint_notes(checkpoint: Path, resume: bool) -> list[str]:
    """What a user may not expect of --resume, or of its absence."""
    if resume and not checkpoint.is_file():
        return [f"there is nothing to resume at {show_path(checkpoint)}; the run starts from the beginning"]
    if checkpoint.is_file() and not resume:
        return [f"{show_path(checkpoint)} is of an interrupted run; it is replaced (--resume would go on with it)"]
    return []


def remove_partial(partial: Path) -> None:
    """The run is complete: its checkpoints go."""
    for checkpoint in partial.glob(f"{Path(CHECKPOINT).stem}*"):
        checkpoint.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        partial.rmdir()
