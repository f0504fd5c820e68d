"""What reaches a terminal: names of any kind are shown, never obeyed; an encoding that lacks a sign ends nothing."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coopt.artifacts import load_run
from coopt.cli import console, main, tables
from coopt.cli.console import SafeConsole, json_line
from coopt.files import readable, write_json, write_text
from coopt.messages import shown
from tests.pictures import shapes_folder

COOPT = [sys.executable, "-c", "from coopt.cli import main; main()"]
QUICK = ["--set", "n_ctx=2", "--epochs", "2", "--shots", "2"]
EVIL = "\x1b]0;t\x07\x9b31m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain [bold] {} %s", "plain [bold] {} %s"),
        ("猫 😀 قط é", "猫 😀 قط é"),
        ("a\x1b[31mred\x07", r"a\x1b[31mred\x07"),
        ("two\nlines\tand\rmore", r"two\nlines\tand\rmore"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("caf\udce9.png", r"caf\xe9.png"),
        ("lone \ud800", r"lone \ud800"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_names_are_shown(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(f"{text}\nnext", lines=True).splitlines()[-1] == "next"


def screen(**options: object) -> tuple[SafeConsole, io.StringIO]:
    file = io.StringIO()
    return SafeConsole(file=file, force_terminal=True, color_system="standard", width=60, **options), file


def test_whatever_is_printed_is_shown() -> None:
    """Also in the middle of other things: texts of rich, columns of tables, titles."""
    from rich.panel import Panel
    from rich.text import Text

    terminal, file = screen()
    terminal.print(f"name {EVIL}", style="bold")
    terminal.print(Text(EVIL), Panel(EVIL, title=Text(EVIL)))
    terminal.print("[red]:cat:[/red]")
    text = file.getvalue()
    assert "\x1b]0" not in text and "\x07" not in text and "\x9b" not in text
    assert text.count(r"\x1b]0;t") == 4 and text.count(r"\x9b31m") == 4
    assert "\x1b[1m" in text  # its own style is still there
    assert "[red]:cat:[/red]" in text


def test_cells_of_tables_are_one_line_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = screen()
    monkeypatch.setattr(tables, "out", terminal)
    tables.print_table(["image", "class"], [["a\nb.png", EVIL], [f"{EVIL}/x", "[b]"]], title=EVIL)
    text = file.getvalue()
    assert r"a\nb.png" in text and r"\x1b]0;t\x07\x9b31m/x" in text and "[b]" in text and "\x07" not in text


def test_progress_that_nobody_can_see_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(console, "err", SafeConsole(stderr=True, file=Gone()))
    lines = console.Lines()
    lines.note("one")
    lines.note("two")
    assert lines.notes == ["one", "two"]
    with pytest.raises(BrokenPipeError):  # results are another matter: `main` ends
        SafeConsole(file=Gone()).print("result")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "latin-1", None])
@pytest.mark.parametrize("name", ["猫", "é", EVIL, "caf\udce9", "\u202e", "a\nb"])
def test_json_says_the_same_in_every_encoding(name: str, encoding: str | None) -> None:
    line = json_line({"class": name}, encoding)
    assert json.loads(line.encode(encoding or "utf-8").decode(encoding or "utf-8")) == {"class": name}
    assert "\x1b" not in line and "\x9b" not in line and "\u202e" not in line and line.count("\n") == 1


def test_files_escape_what_they_cannot_hold(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "caf\udce9 猫"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "caf\udce9 猫"}
    write_text(tmp_path / "a.csv", "caf\udce9,猫\n")
    assert (tmp_path / "a.csv").read_bytes() == r"caf\udce9,猫".encode() + b"\n"


def test_a_name_in_another_encoding_is_read() -> None:
    assert readable("café 猫") == "café 猫"
    assert readable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "café"
    assert readable("猫".encode().decode("ascii", "surrogateescape")) == "猫"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes and files whose names a terminal obeys, and names that are no UTF-8."""
    folder = shapes_folder(tmp_path_factory.mktemp("foreign") / "d", n_train=3, n_test=2)
    for part in ("train", "test"):
        os.rename(folder / part / "circle", os.fsencode(folder / part) + b"/caf\xe9")
        os.rename(folder / part / "square", folder / part / "猫\x1b[31m")
    os.rename(folder / "test" / "triangle" / "0.png", folder / "test" / "triangle" / f"{EVIL}.png")
    return folder


@pytest.fixture(scope="module")
def run(foreign: Path) -> Path:
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(foreign), "--out", str(foreign.parent / "run"), *QUICK])
    assert not stop.value.code
    return foreign.parent / "run"


def test_what_was_learned_of_such_names_is_kept(run: Path) -> None:
    loaded = load_run(run)
    assert loaded.class_names == ["café", "triangle", "猫 [31m"]
    assert loaded.task.class_labels == ["caf\udce9", "triangle", "猫\x1b[31m"]


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (["evaluate", "RUN", "DATA"], "ascii"),
        (["predict", "RUN", "DATA"], "cp1252"),
        (["predict", "RUN", "DATA", "--json"], "ascii"),
        (["words", "RUN"], "ascii"),
    ],
)
def test_commands_end_well_on_every_console(run: Path, foreign: Path, words: list[str], encoding: str) -> None:
    places = {"RUN": str(run), "DATA": str(foreign)}
    command = [*COOPT, *(places.get(word, word) for word in words)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, done.stderr):
        assert not any(sign in text for sign in (b"\x1b", b"\x07", b"\xc2\x9b"))


def test_a_locale_without_text_reads_the_same_classes(foreign: Path, tmp_path: Path) -> None:
    """Python then holds every byte above 127 of a file name as a surrogate."""
    plain = {**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [*COOPT, "fit", str(foreign), "--out", str(tmp_path / "run"), *QUICK]
    done = subprocess.run(command, capture_output=True, env=plain)
    assert done.returncode == 0, done.stderr
    assert set(load_run(tmp_path / "run").class_names) == {"café", "triangle", "猫 [31m"}


@pytest.mark.parametrize("words", [["words", "RUN", "--json"], ["methods"], ["--help"]])
def test_a_closed_or_full_standard_output(run: Path, words: list[str]) -> None:
    command = [*COOPT, *(str(run) if word == "RUN" else word for word in words)]
    closed = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "-", *command], stderr=subprocess.PIPE, text=True, timeout=100
    )
    assert (closed.returncode, closed.stderr) == (0, "")
    reader, writer = os.pipe()
    os.close(reader)  # whoever reads has gone: `| head -0`
    gone = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=100)
    os.close(writer)
    assert (gone.returncode, gone.stderr) == (0, "")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
        assert done.returncode == 8 and "No space left" in done.stderr and "Traceback" not in done.stderr
