"""Running again: a finished run, and two fits into one folder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coopt.cli.run_place import held
from coopt.errors import RunError
from tests.cli.test_commands import call, call_json, refused
from tests.pictures import shapes_folder

QUICK = ["--set", "n_ctx=2", "--epochs", "2", "--shots", "3"]
HOLD = """
import sys, time
from pathlib import Path
from coopt.cli.run_place import held
with held(Path(sys.argv[1]), False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_folder(tmp_path_factory.mktemp("data") / "shapes", 4, 2)


def test_resume_on_a_finished_run_says_so(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = ["fit", str(shapes), "--out", str(tmp_path / "run")]
    assert call(*out, *QUICK) == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    capsys.readouterr()
    assert call(*out, *QUICK, "--resume") == 0
    assert "is finished: there is nothing to resume" in capsys.readouterr().out
    found = call_json(capsys, *out, *QUICK, "--resume")
    assert found["finished"] is True and found["run"] == str(tmp_path / "run")
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before
    other = {
        "shots: 3 there, 2 now": ["--shots", "2"],
        "recipe.lr: 0.002 there, 0.1 now": ["--lr", "0.1"],
        "n_ctx: 2 there, 1 now": ["--set", "n_ctx=1"],
        "seed: 1 there, 4 now": ["--seed", "4"],
        "method: 'coop' there, 'kgcoop' now": ["--method", "kgcoop"],
    }
    for says, options in other.items():
        assert says in refused(capsys, 5, *out, *QUICK, *options, "--resume")
    assert "already holds a run" in refused(capsys, 5, *out, *QUICK)


def test_a_place_is_held_by_one_process(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "new" / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            message = refused(capsys, 5, "fit", str(shapes), "--out", str(folder), *QUICK)
            assert "is being written by another process" in message and "choose another --out" in message
            assert call("fit", str(shapes), "--out", str(tmp_path / "new" / "other"), *QUICK) == 0
        finally:
            os.kill(other.pid, signal.SIGKILL)
    assert (tmp_path / "new" / ".run.lock").exists()  # left by the dead process; nobody holds it
    assert call("fit", str(shapes), "--out", str(folder), *QUICK) == 0
    assert sorted(os.listdir(tmp_path / "new")) == ["other", "run"]


def test_a_place_is_free_again_whatever_happened(tmp_path: Path) -> None:
    with pytest.raises(KeyError), held(tmp_path / "a" / "b" / "run", False):
        with pytest.raises(RunError, match="is being written"), held(tmp_path / "a" / "b" / "run", False):
            pass
        raise KeyError
    assert os.listdir(tmp_path) == []
    with held(tmp_path / "a" / "run", False):
        (tmp_path / "a" / "run").mkdir()
    assert os.listdir(tmp_path / "a") == ["run"]


def test_a_run_that_was_finished_while_another_waited_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "adapter_config.json").write_text(json.dumps({}))
    with pytest.raises(RunError, match="already holds a run"), held(tmp_path / "run", False):
        pass
    assert os.listdir(tmp_path) == ["run"]
