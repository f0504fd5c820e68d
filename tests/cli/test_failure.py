"""How errors leave a command: one line, the documented exit code, the same for all commands."""

import errno
import json
import pickle
import re
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from coopt.cli import main
from coopt.cli.failure import EPILOG, EXIT_CODES, explain
from coopt.errors import DataError, Interrupted, RunError


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("No images."), 3, "No images."),
        (RunError("No run."), 5, "No run."),
        (Interrupted("2 of 3 epochs"), 130, "Interrupted: 2 of 3 epochs. Type the same command with --resume"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 8, "No space left on device: runs/a. Make room"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 9, "too little memory"),
        (MemoryError(), 9, "There is too little memory (MemoryError). Take a smaller"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 9, "too little memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), 9, "too little memory"),
        (RecursionError("maximum recursion depth exceeded"), 8, "nested too deeply"),
        (json.JSONDecodeError("Expecting value", "x", 0), 8, "not in the format that it should have"),
        (pickle.UnpicklingError("invalid load key"), 8, "invalid load key"),
        (zipfile.BadZipFile("Bad magic number"), 8, "Bad magic number"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 8, "invalid start byte"),
        (KeyError("n_ctx"), 1, "KeyError: 'n_ctx'. This is a defect"),
        (RuntimeError(""), 1, "RuntimeError. This is a defect"),
    ],
)
def test_an_error_is_a_line_and_a_code(error: BaseException, code: int, says: str) -> None:
    found = explain(error)
    assert found.code == code and says in found.message and "\n" not in found.message


def test_every_code_is_documented() -> None:
    told = {int(number) for number in re.findall(r"\b(\d+) ", EPILOG)}
    assert told == {0, 1, 8, 9, 130, *EXIT_CODES.values()}


@pytest.mark.parametrize("command", ["fit", "predict", "evaluate", "bench", "words"])
@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError(), 9), (RecursionError("deep"), 8), (ValueError("odd"), 1), (KeyError("a"), 1)]
)
def test_no_command_ends_in_a_traceback(
    command: str, error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise error

    for place in ("coopt.artifacts.load_run", "coopt.cli.fit_steps.read_all", "coopt.cli.bench_steps.read_protocol"):
        monkeypatch.setattr(place, fails)
    words = {"fit": ["data"], "words": ["run"], "bench": ["fewshot"]}.get(command, ["run", "data"])
    assert ended(command, *words) == code
    assert "Traceback" not in capsys.readouterr().err
    assert ended(command, *words, "--json") == code
    assert json.loads(capsys.readouterr().err)["exit_code"] == code
    with pytest.raises(type(error)):
        main([command, *words, "--debug"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit"], "Missing argument"),
        (["fit", "d", "--nope"], "No such option: --nope"),
        (["fit", "d", "--seed", "two"], "Invalid value for '--seed'"),
        (["words", "a", "b"], "unexpected extra argument"),
        (["fitt"], "No such command 'fitt'"),
        (["--nope"], "No such option: --nope"),
        (["cache", "nope"], "No such command 'nope'"),
        (["fit", "d", "--shots", "none"], "--shots is 'none'"),
    ],
)
def test_a_wrong_command_line_is_json_for_programs(words: list[str], says: str, capsys: pytest.CaptureFixture) -> None:
    assert ended(*words, "--json") == 2
    out, err = capsys.readouterr()
    told = json.loads(err)
    assert out == "" and says in told["error"] and told["exit_code"] == 2
    assert ended(*words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_wrong_word_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture) -> None:
    assert ended("words", "a", "\x1b]0;b\x07") == 2
    assert "\x1b]" not in (err := capsys.readouterr().err) and "\x07" not in err


@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_ctrl_c_during_start_up_ends_without_a_traceback(seconds: float) -> None:
    """The libraries that a command needs take seconds to load."""
    program = "print(1, flush=True); from coopt.cli import main; main()"
    command = [sys.executable, "-c", program, "models"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        code = process.wait(60)
    # As a shell shows it: a signal at Python's very end, where it has given its handlers back, ends the process itself.
    assert (128 - code if code < 0 else code) in (0, 130)  # 0: it was faster
    assert "Traceback" not in told
