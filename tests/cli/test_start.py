"""What a command loads before it works: the help, the list of methods and the package itself are there at once."""

import json
import subprocess
import sys

import pytest

from coopt.bench import PROTOCOLS
from coopt.cli.bench import PROTOCOL_HELP
from coopt.cli.main import COMMANDS
from coopt.cli.method_facts import listed
from coopt.cli.methods_steps import facts
from coopt.methods import METHODS

HEAVY = ("PIL", "jaxtyping", "numpy", "pyarrow", "scipy", "sklearn", "tokenizers", "torch", "transformers")


def loaded(program: str, *arguments: str) -> list[str]:
    """Those of `HEAVY` that a new process has loaded at the end of a program."""
    ask = f"import sys, atexit; atexit.register(lambda: print('loaded', *[m for m in {HEAVY} if m in sys.modules]))\n"
    run = [sys.executable, "-c", ask + program, *arguments]
    last = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    assert last.startswith("loaded")
    return last.split()[1:]


@pytest.mark.parametrize(
    "words",
    [
        ["methods"],
        ["methods", "--json"],
        ["--help"],
        ["datasets", "fetch", "--help"],
        *([name, "--help"] for name in COMMANDS if name != "demo"),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded_to_tell_what_there_is(words: list[str]) -> None:
    assert loaded("from coopt.cli import main; main()", *words) == []


def test_the_package_and_its_errors_load_nothing_heavy() -> None:
    assert loaded("import coopt, coopt.errors, coopt.messages; coopt.__version__") == []


def test_the_list_of_methods_is_what_the_classes_say() -> None:
    """It is made from them and kept in a file."""
    told = json.loads(json.dumps([facts(key, method) for key, method in METHODS.items()]))
    assert listed() == told, "run: python -m tools.method_pages"


def test_the_help_of_bench_names_all_protocols() -> None:
    assert f"One of {', '.join(PROTOCOLS)} " in PROTOCOL_HELP
