"""What a protocol or a data set is like is asked of its table: no other file compares its name."""

import ast
from pathlib import Path

import pytest

from coopt.bench import PROTOCOLS
from coopt.datasets import BENCHMARKS

SOURCE = Path(__file__).parents[1] / "src" / "coopt"
NAMES = {*PROTOCOLS, *BENCHMARKS}
TABLES = {"bench/protocols.py", "prompting/templates.py"}


def compared(tree: ast.AST) -> list[tuple[int, str]]:
    """Names that a comparison, a `startswith` or a `match` asks for: line and name."""
    asked: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.MatchValue):
            asked.append(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asked += node.args if node.func.attr in ("startswith", "endswith") else []
    found = []
    for node in asked:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and part.value in NAMES:
                found.append((part.lineno, part.value))
    return found


def lists_of_names(tree: ast.AST) -> list[tuple[int, str]]:
    """Constants of a file that are names, or begin with one: `SINGLE = ("fewshot", "zero-shot")`."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(
            node.value, ast.Tuple | ast.List | ast.Set | ast.Dict
        ):
            parts = node.value.keys if isinstance(node.value, ast.Dict) else node.value.elts
            names = [p.value for p in parts if isinstance(p, ast.Constant) and p.value in NAMES]
            found += [(node.lineno, name) for name in names]
    return found


def test_no_file_asks_for_the_name_of_a_protocol_or_a_data_set() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name in TABLES or name.split("/")[0] in ("data", "datasets"):
            continue
        tree = ast.parse(path.read_text())
        wrong += [f"{name}, line {line}: {found}" for line, found in [*compared(tree), *lists_of_names(tree)]]
    # The names of a method (hand-written prompts) and of a task, which they share with a protocol.
    wrong = [text for text in wrong if not text.startswith(("methods/", "tasks/"))]
    assert not wrong


@pytest.mark.parametrize(
    "code",
    [
        "if run.protocol == 'shift': pass",
        "x = protocol in ('fewshot', 'zero-shot')",
        "x = dataset.startswith('imagenet')",
        "SINGLE = ('fewshot', 'zero-shot')",
        "AVERAGES = {'fewshot': 11}",
    ],
)
def test_the_check_finds_what_it_is_for(code: str) -> None:
    tree = ast.parse(code)
    assert compared(tree) or lists_of_names(tree)
