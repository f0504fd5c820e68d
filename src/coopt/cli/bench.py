"""`coopt bench`: the protocols of the field over data sets, methods, shots and seeds."""

from pathlib import Path
from typing import Annotated

import typer

from coopt.cli.downloads import download_bar
from coopt.cli.options import AllowDuplicates, Device, Dtype, Json, Model, Revision

PROTOCOL_HELP = "One of fewshot, base-to-new, cross-dataset, shift, zero-shot, ordinal (docs/bench.md)."


def bench(
    protocol: Annotated[str | None, typer.Argument(help=PROTOCOL_HELP)] = None,
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
    forget: Annotated[
        list[str] | None,
        typer.Option(help="Take this row of the tables, and its records, out of --out; nothing else is done."),
    ] = None,
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
    from coopt.bench import (
        BenchFolder,
        Choice,
        ModelChoice,
        Places,
        check_names,
        check_rows,
        check_shots,
        choose,
        make_runs,
    )
    from coopt.cli import bench_steps as steps
    from coopt.cli.bench_console import BenchConsole
    from coopt.models import load_model

    if forget:
        refused = {"--datasets": datasets, "--suite": suite, "--methods": methods, "--shots": shots, "--set": set_}
        steps.forget_rows(forget, BenchFolder(out_folder), protocol, refused, as_json)
        return
    kind = steps.read_protocol(protocol)
    steps.check_engine(engine, address, workers)
    variants = steps.read_methods(methods, kind, set_ or [])
    shot_list = steps.read_shots(shots, kind)
    folder = BenchFolder(out_folder)
    own = None if data_file is None else str(data_file.absolute())
    places = Places(str(root.absolute()), own, allow_duplicates)
    asked, notes = choose(Choice(steps.split(datasets), suite, steps.split(source)), kind, places)
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
    check_rows(runs, asked, vlm)
    with BenchConsole(quiet=as_json) as console:
        for note in notes:
            console.note(note)
        outcome = steps.work(runs, folder, console, steps.make_engine(engine, address, workers, threads, device))
    steps.finish(outcome, folder, console, as_json)
