"""docs/deploy.md, on checkpoints of other projects and on sharing: its commands and examples run as written.

Only the model's name is another one (the built-in for ViT-B/16), and the hub is a fake on this machine.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from coopt.artifacts import load_run
from coopt.cli import main
from coopt.models import load_model
from tests.artifacts.foreign import buffers, save_checkpoint
from tests.hub import TOKEN, Hub, hub_server
from tests.pictures import shapes_folder

PAGE = (Path(__file__).parents[1] / "docs" / "deploy.md").read_text(encoding="utf-8").replace("ViT-B/16", "builtin")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.S | re.M))


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], flags=re.S)


def run_commands(section: str) -> int:
    commands = [shlex.split(line) for line in "\n".join(blocks(section, "sh")).splitlines() if line.strip()]
    for command in commands:
        assert command[0] == "coopt"
        with pytest.raises(SystemExit) as stop:
            main(command[1:])
        assert stop.value.code in (0, None), command
    return len(commands)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    names = sorted(folder.name for folder in (shapes_folder(tmp_path / "photos") / "test").iterdir())
    vlm, ctx = load_model("builtin"), torch.randn(4, load_model("builtin").text.width) * 0.02
    state = {"ctx": ctx, **buffers(vlm, "X X X X", names, 4)}
    save_checkpoint(tmp_path / "old" / "prompt_learner" / "model.pth.tar-50", state)
    (tmp_path / "classes.txt").write_text("\n".join(names))
    with hub_server(monkeypatch, tmp_path / "cache") as server:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def test_every_command_and_example_runs(hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_commands("Checkpoints of other projects") == 3
    assert "the test part of photos" in capsys.readouterr().out
    for name in ("old", "old-again"):
        assert load_run(tmp_path / "runs" / name).config["imported"]["epoch"] == 50
    (example,) = blocks("Checkpoints of other projects", "python")
    exec(example, {"class_names": (tmp_path / "classes.txt").read_text().splitlines()})
    assert load_run(tmp_path / "runs" / "from-python").config["method"] == "coop"
    assert run_commands("Sharing a run") == 4
    (example,) = blocks("Sharing a run", "python")
    exec(example, {})
    shared = [load_run(place) for place in ("runs/copy", "your-name/photos", "your-name/photos-copy")]
    assert all(torch.equal(run.tensors["ctx"], shared[0].tensors["ctx"]) for run in shared)
    assert shared[2].config["imported"] == shared[0].config["imported"]


def test_the_table_names_every_method_that_is_imported() -> None:
    from coopt.artifacts.translate import IMPORTED

    table = SECTIONS["Checkpoints of other projects"].lower().replace("tip-adapter-f", "tip-adapter-f")
    assert [method for method in IMPORTED if method not in table] == []
