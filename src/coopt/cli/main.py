"""`coopt`: the commands, and how a call of them ends."""

import importlib
import keyword
import sys
from collections.abc import Sequence
from typing import Any

import typer
import typer.core
import typer.rich_utils

from coopt.cli.failure import EPILOG, UsageError, explain, tell_failure
from coopt.cli.streams import interruptible, open_streams, silence
from coopt.messages import command_line, shown
from coopt.version import __version__

COMMANDS = {
    "fit": "Learn a classifier from a few labelled images and save it as a run folder.",
    "predict": "Class and probability for each image.",
    "evaluate": "Accuracy with its 95% interval, per class, macro F1, confusion matrix and calibration error.",
    "import": "Take over a checkpoint of another project's trainer as a run folder.",
    "words": "Nearest vocabulary words of each learned context vector, by Euclidean distance.",
    "push": "Share a run folder on the Hugging Face hub.",
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
    """Lists the commands without importing them: each is `coopt.cli.NAME.NAME`, imported when it is called.

    A name that is a keyword of Python has an underscore after it there.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, and the arguments after its name."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command: messages name its options, and typer does not end the process with exit codes of its own."""
        try:
            with command_line():
                return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise Ended from error


class Ended(Exception):  # noqa: N818
    """A command was ended from outside, by its cause."""


def load_command(name: str) -> Any:
    """The command itself, with its options."""
    name = f"{name}_" if keyword.iskeyword(name) else name
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
    debug, as_json = "--debug" in arguments, "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    open_streams()
    with interruptible():
        try:
            code = app(arguments, prog_name="coopt", standalone_mode=False) or 0
            sys.stdout.flush()
        except SystemExit as stop:
            if not isinstance(stop.__context__, BrokenPipeError):
                raise
            code = end(stop.__context__, as_json)  # rich, which prints the help, ends with 1 there
        except (Exception, KeyboardInterrupt) as error:
            if debug and not isinstance(error, UsageError | Ended):
                raise
            code = end(error.__cause__ if isinstance(error, Ended) and error.__cause__ else error, as_json)
    sys.exit(code)


def end(error: BaseException, as_json: bool) -> int:
    """Say what happened; the exit code."""
    if isinstance(error, BrokenPipeError):  # `coopt ... | head`: whoever reads has enough
        silence(sys.stdout)
        return 0
    failure = explain(error)
    if isinstance(error, UsageError) and not as_json:
        error.message = shown(error.message)
        typer.rich_utils.rich_format_error(error)
    else:
        tell_failure(failure, as_json)
    try:
        sys.stdout.flush()
    except OSError:  # a full disk: it was told
        silence(sys.stdout)
    return failure.code
