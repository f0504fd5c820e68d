"""`coopt`: the commands, and how errors leave them."""

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import typer
import typer.core
from rich.console import Console

from coopt.errors import (
    ConfigError,
    CooptError,
    DataError,
    Interrupted,
    MissingExtraError,
    ModelError,
    RunError,
    TrainingError,
)
from coopt.messages import command_line
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

COMMANDS = {
    "fit": "Learn a classifier from a few labelled images and save it as a run folder.",
    "predict": "Class and probability for each image.",
    "evaluate": "Accuracy with its 95% interval, per class, macro F1, confusion matrix and calibration error.",
    "words": "Nearest vocabulary words of each learned context vector, by Euclidean distance.",
    "methods": "List the methods and what each learns, or describe one: its settings, recipe, presets and source.",
    "models": "List known model names, with size, image size, embedding width, and whether each is on this machine.",
    "demo": "Hand-written against learned prompts on two sets of real images, offline.",
    "bench": "Compare methods by a protocol; every run becomes a record in --out, and the same command goes on "
    "where it ended.",
    "report": "One HTML page, and the same tables as Markdown, CSV and LaTeX, from the records of a benchmark.",
    "datasets": "The benchmark data sets: list, describe, check and fetch them.",
    "cache": "The image features that were kept, so that no image is encoded twice.",
}
"""What each command is for, as its own help begins (a test compares them)."""


class Commands(typer.core.TyperGroup):
    """Lists the commands without importing them: each is `coopt.cli.NAME.NAME`, imported when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, and the arguments after its name."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; messages name its options."""
        with command_line():
            return super().invoke(ctx)


def load_command(name: str) -> Any:
    """The command itself, with its options."""
    command = getattr(importlib.import_module(f"coopt.cli.{name}"), name)
    if not isinstance(command, typer.Typer):
        part = typer.Typer(add_completion=False, rich_markup_mode="rich")
        part.command(name)(command)
        command = part
    return typer.main.get_command(command)


app = typer.Typer(
    name="coopt",
    cls=Commands,
    help="Adapt frozen CLIP-like models to your own classes by learning the prompt from a few labelled images.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for command, purpose in COMMANDS.items():
    app.command(command, help=purpose)(lambda: None)


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
        _fail(f"Interrupted: {stop}. {stop.remedy}", "Interrupted", 130, "--json" in arguments)
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
