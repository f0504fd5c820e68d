"""Bars of downloads: on a terminal, for data sets and for a model's weights."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from coopt.cli import downloads, main
from coopt.models import openai_weights
from coopt.models.openai_weights import PUBLISHED
from tests.serving import CONTENT, serving


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    monkeypatch.setattr(downloads, "err", Console(file=file, force_terminal=True, width=120))
    return file


def test_a_bar_per_file(screen: io.StringIO) -> None:
    with downloads.download_bars(quiet=False) as show:
        show("one.zip", 500_000, 1_000_000)
        show("two.zip", 7, 0)
    assert "one.zip" in screen.getvalue() and "0.5/1.0 MB" in screen.getvalue() and "two.zip" in screen.getvalue()


def test_nothing_is_drawn_for_programs(screen: io.StringIO) -> None:
    with downloads.download_bars(quiet=True) as show:
        show("one.zip", 1, 2)
    assert screen.getvalue() == ""


def test_a_command_shows_the_download_of_its_model(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with serving() as server, pytest.raises(SystemExit) as stop:
        server.files["ViT-B-32.pt"] = b"x" + CONTENT  # another checksum than the published one
        monkeypatch.setattr(openai_weights, "ADDRESS", f"http://127.0.0.1:{server.server_port}")
        main(["demo", "--out", str(tmp_path), "--model", "ViT-B/32"])
    assert stop.value.code == 4 and len(server.requests) == 1 and "ViT-B/32" in PUBLISHED
    assert "downloading the model" in screen.getvalue()
