"""What `coopt bench` does: read what is asked for, do the runs, say what was done."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from coopt.bench import (
    ENSEMBLE,
    PROTOCOLS,
    BenchFolder,
    Engine,
    InlineEngine,
    LocalEngine,
    Outcome,
    Protocol,
    RayEngine,
    Run,
    Variant,
    default_workers,
    find_protocol,
    forget,
    read_variants,
    run_bench,
)
from coopt.bench.memory import on_cuda
from coopt.cli.bench_console import BenchConsole
from coopt.cli.console import out, print_json, show_path
from coopt.cli.options import read_shot_list
from coopt.data.wording import count
from coopt.errors import ConfigError, RunError, did_you_mean
from coopt.fit import Interrupted
from coopt.methods import METHODS

ENGINES = ("local", "ray")
SHOWN_FAILURES = 20


def read_protocol(name: str | None) -> Protocol:
    """The protocol that was asked for.

    Raises:
        ConfigError: none was, or there is no such protocol.
    """
    if name is None:
        raise ConfigError(f"Name a protocol: coopt bench PROTOCOL, with one of {', '.join(PROTOCOLS)}.")
    return find_protocol(name)


def read_shots(text: str | None, protocol: Protocol) -> list[int]:
    """The numbers of shots of `--shots`; by default the protocol's.

    Raises:
        ConfigError: the protocol learns nothing, or the text names no numbers.
    """
    if text is None:
        return list(protocol.shots)
    if not protocol.shots:
        raise ConfigError(f"--shots goes with protocols that learn; {protocol.name} learns nothing.")
    return read_shot_list(text)


def forget_rows(
    rows: Sequence[str], folder: BenchFolder, protocol: str | None, refused: Mapping[str, Any], as_json: bool
) -> None:
    """Take rows out of a bench folder, and say what went.

    Raises:
        ConfigError: options that say what to run, or a row that the folder does not have.
    """
    given = [option for option, value in refused.items() if value]
    if given:
        raise ConfigError(f"--forget takes rows out of --out and runs nothing; leave out {' and '.join(given)}.")
    found = forget(folder, rows, None if protocol is None else find_protocol(protocol).name)
    if as_json:
        print_json({"folder": str(folder.path), **found._asdict()})
        return
    went = f"{count(found.n_runs, 'run', 'runs')} and {count(found.n_failed, 'failed run', 'failed runs')}"
    out.print(f"Took out {', '.join(map(repr, found.rows))}: {went}, from {show_path(folder.path)}.")
    out.print(f"Next: coopt report {show_path(folder.path)}")


def check_engine(engine: str, address: str | None, workers: int | None) -> None:
    """Refuse engines that are not there and options that contradict each other."""
    if engine not in ENGINES:
        raise ConfigError(f"--engine is {engine!r}; allowed is local or ray.{did_you_mean(engine, ENGINES)}")
    if address is not None and engine != "ray":
        raise ConfigError("--address is that of a Ray cluster; add --engine ray.")
    if engine == "ray" and workers == 0:
        raise ConfigError("--engine ray needs at least 1 worker; --workers 0 goes with --engine local.")


def read_methods(texts: Sequence[str] | None, protocol: Protocol, common: Sequence[str]) -> list[Variant]:
    """The variants of `--methods`; by default the baselines and CoOp.

    Raises:
        ConfigError: among others, a method that learns, for zero-shot.
    """
    if not texts:
        texts = [protocol.methods] if protocol.learns else [f"zero-shot; {ENSEMBLE}"]
    elif not protocol.learns and list(texts) == ["all"]:
        texts = [name for name, method in METHODS.items() if not method.uses_shots] + [ENSEMBLE]
    variants = read_variants(texts, common)
    wrong = [variant.name for variant in variants if variant.uses_shots and not protocol.learns]
    if wrong:
        others = " or ".join(other.name for other in PROTOCOLS.values() if other.learns)
        raise ConfigError(
            f"{protocol.name} is for methods that learn nothing; leave out {', '.join(wrong)}, or take {others}."
        )
    return variants


def split(text: str | None) -> list[str]:
    """`"a, b"` to `["a", "b"]`."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def make_engine(engine: str, address: str | None, workers: int | None, threads: int, device: str | None) -> Engine:
    """The engine that was asked for."""
    if engine == "ray":
        n_workers = workers if workers is not None or address else default_workers()
        return RayEngine(n_workers, address, threads, int(on_cuda(device)))
    return InlineEngine() if workers == 0 else LocalEngine(workers, threads, device)


def work(runs: list[Run], folder: BenchFolder, console: BenchConsole, engine: Engine) -> Outcome:
    """Do the runs, and end the engine's workers whatever happens."""
    try:
        # Ray prints what happens to its workers; standard output is for results.
        with redirect_stdout(sys.stderr):
            return run_bench(runs, folder, engine, console)
    except (KeyboardInterrupt, Interrupted) as stop:
        raise BenchInterrupted(f"{console.n_done} of {len(runs)} runs are done") from stop
    finally:
        engine.close()


def finish(outcome: Outcome, folder: BenchFolder, console: BenchConsole, as_json: bool) -> None:
    """What was done, what failed and why, and what to type next.

    Raises:
        RunError: a run failed.
    """
    failed = [f"{run.label}: {reason}" for run, reason in outcome.failed]
    if as_json:
        print_json(
            {
                "folder": str(folder.path),
                "runs": outcome.n_runs,
                "done_before": outcome.n_before,
                "done": outcome.n_done,
                "done_elsewhere": outcome.n_elsewhere,
                "failed": [{"run": run.id, "reason": reason} for run, reason in outcome.failed],
                "notes": console.notes,
            }
        )
    else:
        parts = [f"{outcome.n_done} of {outcome.n_runs} runs done now"]
        parts += [f"{outcome.n_before} before"] * bool(outcome.n_before)
        parts += [f"{outcome.n_elsewhere} by another process"] * bool(outcome.n_elsewhere)
        out.print(f"{', '.join(parts)}; records in {show_path(folder.path)}")
    if failed:
        first = f"{len(failed)} of {outcome.n_runs} runs failed (details in {show_path(folder.path / 'failed')}):"
        n_more = len(failed) - SHOWN_FAILURES
        more = [f"... and {n_more} more"] if n_more > 0 else []
        listed = "\n  ".join([first, *failed[:SHOWN_FAILURES], *more])
        raise RunError(f"{listed}\nThe same command tries them again.")
    if not as_json:
        out.print(f"Next: coopt report {show_path(folder.path)}")


class BenchInterrupted(Interrupted):
    """Ctrl-C; not KeyboardInterrupt itself, which typer would end without a word."""

    remedy = "Type the same command to go on."
