"""`coopt bench` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coopt.bench import read_failures, read_grid, read_records
from coopt.cli import main
from tests.bench.compare import comparable

QUICK = [
    "--methods",
    "zero-shot; linear-probe; coop n_ctx=3, epochs=2",
    "--shots",
    "1,2",
    "--seeds",
    "2",
    "--workers",
    "0",
]


def call(*arguments: str) -> int:
    """The exit code of `coopt bench`, run in this process."""
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    return int(stop.value.code or 0)


def said(capsys: pytest.CaptureFixture) -> tuple[str, str]:
    """Standard output and error as one line each."""
    captured = capsys.readouterr()
    return " ".join(captured.out.split()), " ".join(captured.err.split())


@pytest.fixture
def sets(data_file: Path) -> list[str]:
    return ["--data-file", str(data_file)]


def test_the_grid_is_done_and_the_same_command_finds_it_done(
    sets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["fewshot", "--datasets", "shapes,signs", *sets, "--out", str(tmp_path / "bench"), *QUICK]
    assert call(*command) == 0
    output, errors = said(capsys)
    assert "18 of 18 runs done now" in output
    assert "coopt report" in output
    assert "[18/18] signs coop n_ctx=3, epochs=2 2 shots seed 2: signs all" in errors
    records = read_records(tmp_path / "bench")
    assert len(records) == 18
    assert {r.variant for r in records} == {"zero-shot", "linear-probe", "coop n_ctx=3, epochs=2"}
    assert len(read_grid(tmp_path / "bench")) == 2 * (1 + 2 + 2)
    assert call(*command, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["runs"], facts["done_before"], facts["done"], facts["failed"]) == (18, 18, 0, [])
    assert comparable(read_records(tmp_path / "bench")) == comparable(records)


def test_what_fails_is_listed_at_the_end_and_the_rest_is_done(
    sets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    methods = ["--methods", "coop n_ctx=80, epochs=1; zero-shot", "--shots", "1", "--seeds", "1", "--workers", "0"]
    command = ["base-to-new", "--datasets", "signs", *sets, "--out", str(tmp_path / "bench"), *methods]
    assert call(*command) == 5
    output, errors = said(capsys)
    assert "1 of 2 runs done now" in output
    assert "1 of 2 runs failed" in errors
    assert "signs coop n_ctx=80, epochs=1 1 shot seed 1: DataError" in errors
    assert "The same command tries them again." in errors
    assert len(read_records(tmp_path / "bench")) == 2
    assert len(read_failures(tmp_path / "bench")) == 1
    assert call(*command, "--json") == 5  # tried again, failed again
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["failed"]) == 1
    assert json.loads(captured.err)["kind"] == "RunError"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["fewshots", "--datasets", "signs"], 2, "Did you mean 'fewshot'"),
        (["fewshot", "--datasets", "sings"], 3, "Did you mean 'signs'"),
        (["fewshot", "--datasets", "signs", "--methods", "cop"], 2, "Did you mean 'coop'"),
        (["fewshot", "--suite", "papers"], 2, "Did you mean 'paper'"),
        (["fewshot", "--datasets", "dtd", "--root", "nowhere"], 3, "coopt datasets fetch dtd --root"),
        (["fewshot", "--datasets", "signs", "--shots", "16"], 3, "at most 5 training images in a class; 16 shots"),
        (["fewshot", "--datasets", "signs", "--shots", "two"], 2, "--shots is 'two'"),
        (["zero-shot", "--datasets", "signs", "--shots", "1"], 2, "zero-shot learns nothing"),
        (["zero-shot", "--datasets", "signs", "--methods", "coop"], 2, "leave out coop"),
        (["fewshot", "--datasets", "signs", "--engine", "rai"], 2, "Did you mean 'ray'"),
        (["fewshot", "--datasets", "signs", "--address", "auto"], 2, "add --engine ray"),
        (["fewshot", "--datasets", "signs", "--engine", "ray", "--workers", "0"], 2, "at least 1 worker"),
        (["fewshot", "--datasets", "signs", "--set", "n_ctxx=2"], 2, "no method of --methods has such a setting"),
        (["fewshot", "--datasets", "signs", "--shots", "1", "--model", "no/such"], 4, "no/such"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, says: str, sets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert call(*arguments, *sets, "--out", str(tmp_path / "bench")) == code
    output, errors = said(capsys)
    assert says in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "bench").exists()  # nothing is begun


def test_a_suite_may_hold_sets_for_testing_alone(
    sets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(
        __import__("coopt.bench.choice", fromlist=["SUITES"]).SUITES, "drawn", ["shapes", "chalk", "signs"]
    )
    command = ["--suite", "drawn", *sets, "--out", str(tmp_path / "bench"), "--methods", "zero-shot", "--workers", "0"]
    assert call("fewshot", *command) == 0
    assert "left out: chalk" in said(capsys)[1]
    assert call("cross-dataset", *command, "--shots", "1") == 0
    errors = said(capsys)[1]
    assert "left to the protocol shift: chalk" in errors
    assert "learning from shapes; --source names another" in errors
    assert call("zero-shot", *command) == 0
    assert sorted(r.dataset for r in read_records(tmp_path / "bench") if r.protocol == "zero-shot") == [
        "chalk",
        "shapes",
        "signs",
    ]


def test_ctrl_c_ends_it_cleanly_and_the_same_command_goes_on(sets: list[str], tmp_path: Path) -> None:
    out = tmp_path / "bench"
    words = [
        "fewshot",
        "--datasets",
        "signs",
        *sets,
        "--out",
        str(out),
        "--shots",
        "1",
        "--seeds",
        "2",
        "--workers",
        "1",
    ]
    words += ["--methods", "zero-shot; coop n_ctx=3, epochs=3; coop n_ctx=2, epochs=20000"]
    code = f"from coopt.cli import main; main({['bench', *words]!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 200
    while time.monotonic() < end and len(list((out / "runs").glob("*.jsonl"))) < 3:
        time.sleep(0.02)
    time.sleep(0.5)  # into the work on the fourth
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
    try:
        errors = process.communicate(timeout=240)[1]
    finally:
        if process.poll() is None:  # nothing of it shall trouble other tests
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert "Interrupted: 3 of 5 runs are done. Type the same command to go on." in errors, errors
    assert "Traceback" not in errors
    assert len(read_records(out)) == 3
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        for _ in range(200):
            os.killpg(process.pid, 0)
            time.sleep(0.05)
