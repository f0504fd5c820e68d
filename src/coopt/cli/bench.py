"""`coopt bench`: the protocols of the field over data sets, methods, shots and seeds."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from coopt.bench import (
    ENSEMBLE,
    PROTOCOLS,
    BenchFolder,
    Choice,
    Engine,
    InlineEngine,
    LocalEngine,
    ModelChoice,
    Outcome,
    Places,
    Protocol,
    RayEngine,
    Run,
    Variant,
    check_names,
    check_shots,
    choose,
    default_workers,
    find_protocol,
    make_runs,
    read_variants,
    run_bench,
)
from coopt.bench.memory import on_cuda
from coopt.cli.bench_console import BenchConsole
from coopt.cli.console import out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import AllowDuplicates, Device, Dtype, Json, Model, Revision, read_shot_list
from coopt.errors import ConfigError, RunError, did_you_mean
from coopt.fit import Interrupted
from coopt.methods import METHODS
from coopt.models import load_model

ENGINES = ("local", "ray")
SHOWN_FAILURES = 20


def bench(
    protocol: Annotated[str, typer.Argument(help=f"One of {', '.join(PROTOCOLS)} (docs/bench.md).")],
    datasets: Annotated[str | None, typer.Option(help="Names of `coopt datasets list`, comma-separated.")] = None,
    suite: Annotated[str | None, typer.Option(help="A list of data sets by name: offline, paper, ...")] = None,
    source: Annotated[str | None, typer.Option(help="Sources of cross-dataset and shift, comma-separated.")] = None,
    root: Annotated[Path, typer.Option(help="The folder with the data sets' folders.")] = Path("data"),
    data_file: Annotated[Path | None, typer.Option(help="A YAML file of your own data sets.")] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help="'zero-shot,coop', 'all', or with settings 'coop; coop n_ctx=4, position=middle'."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, for methods with that setting.")] = None,
    presets: Annotated[
        bool, typer.Option("--presets/--no-presets", help="Use a method's own preset for the protocol.")
    ] = True,
    shots: Annotated[
        str | None, typer.Option(help="Comma-separated; by default 1,2,4,8,16 or 16, by protocol; of ordinal up to 64.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many: 1, 2, ...; by default 3, of ordinal 5.")] = None,
    model: Model = "builtin",
    out_folder: Annotated[Path, typer.Option("--out", help="The bench folder, new or to go on with.")] = Path("bench"),
    engine: Annotated[str, typer.Option(help="local: processes on this machine; ray: a Ray cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster; by default one starts here.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Runs at a time; by default the machine's cores; 0: in this process.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    decoders: Annotated[int, typer.Option(min=0, help="Processes that decode images, for each worker.")] = 0,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    allow_duplicates: AllowDuplicates = False,
    as_json: Json = False,
) -> None:
    """Compare methods by a protocol; every run becomes a record in --out, and the same command goes on where it ended.

    Example: coopt bench fewshot --suite offline --root data --methods zero-shot,linear-probe,coop
    """
    kind = find_protocol(protocol)
    check_engine(engine, address, workers)
    variants = read_methods(methods, kind, set_ or [])
    shot_list = read_shot_list(shots) if shots is not None else list(kind.shots)
    if shots is not None and not kind.shots:
        raise ConfigError(f"--shots goes with protocols that learn; {kind.name} learns nothing.")
    folder = BenchFolder(out_folder)
    own = None if data_file is None else str(data_file.absolute())
    places = Places(str(root.absolute()), own, allow_duplicates)
    asked, notes = choose(Choice(split(datasets), suite, split(source)), kind, places)
    if any(variant.uses_shots for variant in variants):
        notes += check_shots(asked.benchmarks, asked.sources, shot_list)
    with download_bar(as_json) as progress:
        vlm = load_model(model, device=device, dtype=dtype, revision=revision, progress=progress)
    check_names(asked.benchmarks, vlm)
    runs = make_runs(
        kind,
        asked,
        variants,
        shots=sorted(set(shot_list)),
        n_seeds=seeds or kind.n_seeds,
        model=ModelChoice(model, vlm.fingerprint, device, dtype, revision),
        places=places,
        use_presets=presets,
        n_threads=threads,
        n_decoders=decoders,
    )
    with BenchConsole(quiet=as_json) as console:
        for note in notes:
            console.note(note)
        outcome = work(runs, folder, console, make_engine(engine, address, workers, threads, device))
    finish(outcome, folder, console, as_json)


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
        out.print(f"{', '.join(parts)}; records in {show_path(folder.path)}", markup=False)
    if failed:
        first = f"{len(failed)} of {outcome.n_runs} runs failed (details in {show_path(folder.path / 'failed')}):"
        n_more = len(failed) - SHOWN_FAILURES
        more = [f"... and {n_more} more"] if n_more > 0 else []
        listed = "\n  ".join([first, *failed[:SHOWN_FAILURES], *more])
        raise RunError(f"{listed}\nThe same command tries them again.")
    if not as_json:
        out.print(f"Next: coopt report {show_path(folder.path)}", markup=False)


class BenchInterrupted(Interrupted):
    """Ctrl-C; not KeyboardInterrupt itself, which typer would end without a word."""

    remedy = "Type the same command to go on."
