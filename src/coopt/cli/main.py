"""`coopt`: the commands, and how errors leave them."""

import json
import sys
from collections.abc import Sequence

import typer
from rich.console import Console

from coopt.cli.bench import bench
from coopt.cli.cache import cache
from coopt.cli.datasets import datasets
from coopt.cli.demo import demo
from coopt.cli.evaluate import evaluate
from coopt.cli.fit import fit
from coopt.cli.lists import models
from coopt.cli.method_lists import methods
from coopt.cli.predict import predict
from coopt.cli.report import report
from coopt.cli.words import words
from coopt.errors import (
    ConfigError,
    CooptError,
    DataError,
    MissingExtraError,
    ModelError,
    RunError,
    TrainingError,
)
from coopt.fit import Interrupted
from coopt.version import __version__

EXIT_CODES: dict[type[Exception], int] = {
    ConfigError: 2,
    DataError: 3,
    ModelError: 4,
    RunError: 5,
    TrainingError: 6,
    MissingExtraError: 7,
}
"""0 is success, 1 a defect of coopt, 130 an interruption; these are mistakes that the message says how to mend."""

EPILOG = (
    "Exit codes: 0 success, 2 a setting, 3 the data, 4 the model, 5 a run folder, 6 training, 7 a missing extra, "
    "8 the disk or a file, 130 interrupted. --debug anywhere shows the traceback of an error."
)

app = typer.Typer(
    name="coopt",
    help="Adapt frozen CLIP-like models to your own classes by learning the prompt from a few labelled images.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for command in (fit, predict, evaluate, words, methods, models, demo, bench, report):
    app.command()(command)
app.add_typer(datasets)
app.add_typer(cache)


def _version(asked: bool | None) -> None:
    if asked:
        print(f"coopt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool | None = typer.Option(None, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Options that every command takes; --debug is read by `main`, which accepts it anywhere."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(arguments, prog_name="coopt")
    except CooptError as error:
        if debug:
            raise
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
        _fail(str(error), type(error).__name__, code, "--json" in arguments)
    except OSError as error:
        if debug:
            raise
        if isinstance(error, BrokenPipeError):  # `coopt ... | head`
            sys.stderr.close()
            sys.exit(0)
        where = f": {error.filename}" if error.filename else ""
        remedy = "Make room or choose another place; an interrupted fit goes on with --resume."
        _fail(f"{error.strerror or error}{where}. {remedy}", "OSError", 8, "--json" in arguments)
    except Interrupted as stop:
        _fail(
            f"Interrupted: {stop}. {stop.remedy}",
            "Interrupted",
            130,
            "--json" in arguments,
        )
    except KeyboardInterrupt:
        _fail("Interrupted.", "Interrupted", 130, "--json" in arguments)


def _fail(message: str, kind: str, code: int, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": message, "kind": kind, "exit_code": code}), file=sys.stderr)
    else:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("[bold red]Error:[/] ", end="")
        console.print(message, markup=False)
    sys.exit(code)
