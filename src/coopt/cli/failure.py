"""How an error leaves a command: one line that says what to do, and the exit code. Every command's errors come here."""

import errno
import json
import pickle
import tarfile
import zipfile
from typing import Any, NamedTuple

import typer

from coopt.cli.console import err
from coopt.errors import (
    ConfigError,
    CooptError,
    DataError,
    Interrupted,
    MissingExtraError,
    ModelError,
    RunError,
    TrainingError,
    first_line,
)

EXIT_CODES: dict[type[Exception], int] = {
    ConfigError: 2,
    DataError: 3,
    ModelError: 4,
    RunError: 5,
    TrainingError: 6,
    MissingExtraError: 7,
}
"""0 is success, 1 a defect of coopt, 130 an interruption; these are mistakes that the message says how to mend."""
USAGE, FILE, MEMORY, STOPPED = 2, 8, 9, 130

EPILOG = (
    "Exit codes: 0 success, 1 a defect of coopt, 2 a setting, 3 the data, 4 the model, 5 a run folder, 6 training, "
    "7 a missing extra, 8 the disk or a file, 9 too little memory, 130 interrupted. --debug anywhere shows the "
    "traceback of an error."
)

UsageError: Any = next(kind for kind in typer.BadParameter.mro() if kind.__name__ == "ClickException")
"""What typer raises for a wrong command line, whichever click it brings."""
DAMAGED = (
    json.JSONDecodeError,
    UnicodeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    RecursionError,
)
"""What reading a file raises that is not what its name says."""
NO_MEMORY = ("cannot allocate memory", "can't allocate memory", "out of memory", "failed to map segment")


class Failure(NamedTuple):
    """What a user is told of an error."""

    message: str
    kind: str
    code: int


def explain(error: BaseException) -> Failure:
    """The message, the kind and the exit code of an error."""
    kind = type(error).__name__
    if isinstance(error, CooptError):
        return Failure(str(error), kind, next((code for k, code in EXIT_CODES.items() if isinstance(error, k)), 1))
    if isinstance(error, Interrupted):
        return Failure(f"Interrupted: {error}. {error.remedy}", "Interrupted", STOPPED)
    if isinstance(error, KeyboardInterrupt):
        return Failure("Interrupted.", "Interrupted", STOPPED)
    if isinstance(error, typer.Abort):
        return Failure("A question got no answer; nothing was done.", kind, 1)
    if isinstance(error, UsageError):
        return Failure(error.format_message(), "UsageError", error.exit_code)
    what = f"{kind}: {first_line(error)}" if str(error).strip() else kind
    if is_memory(error):
        remedy = "Take a smaller --batch-size or a smaller model, fewer --workers, or a machine with more memory."
        return Failure(f"There is too little memory ({what}). {remedy}", "MemoryError", MEMORY)
    if isinstance(error, DAMAGED):
        fault = "nested too deeply" if isinstance(error, RecursionError) else "not in the format that it should have"
        remedy = "Check the files that the command names; --debug shows which one was being read."
        return Failure(f"A file is {fault} ({what}). {remedy}", kind, FILE)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        remedy = "Make room or choose another place; an interrupted fit goes on with --resume."
        return Failure(f"{error.strerror or error}{where}. {remedy}", "OSError", FILE)
    remedy = "This is a defect of coopt or of a library; the same command with --debug shows where."
    return Failure(f"{what}. {remedy}", kind, 1)


def is_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; libraries have their own ways of saying so."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    text = str(error).lower()
    by_text = isinstance(error, RuntimeError | ImportError | OSError) and any(words in text for words in NO_MEMORY)
    return isinstance(error, MemoryError) or by_text


def tell_failure(failure: Failure, as_json: bool) -> None:
    """Print it on standard error: a line for people, or a JSON object."""
    if as_json:
        told = {"error": failure.message, "kind": failure.kind, "exit_code": failure.code}
        err.print(json.dumps(told))
    else:
        err.print("Error: ", style="bold red", end="")
        err.print(failure.message)
