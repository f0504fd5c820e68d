"""The order of the rooms (CONTRIBUTING.md): a file imports only from rooms below its own, and no import is circular."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "coopt"
ORDER = [
    {"cli", "studio", "serve"},
    {"report"},
    {"regressor"},
    {"estimator", "bench"},
    {"fit"},
    {"artifacts", "export", "evaluate"},
    {"methods"},
    {"prompting", "features", "tasks"},
    {"datasets"},
    {"models", "data", "outside"},
    {"errors", "files", "version", "download", "messages"},
]
FLOOR = {room: len(ORDER) - i for i, rooms in enumerate(ORDER) for room in rooms}


def rooms() -> set[str]:
    """The packages and single files directly below `src/coopt`."""
    found = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    return found - {"__init__"}


def module(path: Path, source: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, modules: set[str], *, functions: bool) -> set[str]:
    """Modules of coopt that a file imports; without `functions` only those that importing the file imports."""
    found = set()
    for node in walk(tree, functions):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            if (node.module or "").split(".")[0] == "coopt":
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                inner = names & modules
                found |= inner if inner == names else inner | {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "coopt"}
    return found


def walk(node: ast.AST, functions: bool) -> Iterator[ast.AST]:
    """All nodes; without `functions` neither the bodies of functions nor what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if functions or not (typing_only or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield child
            yield from walk(child, functions)


def upward(source: Path) -> list[str]:
    """Imports, wherever in a file, that do not go down."""
    files = {module(path, source): path for path in source.rglob("*.py")}
    wrong = []
    for name, path in sorted(files.items()):
        if name == "coopt":
            continue
        room = name.split(".")[1]
        for other in sorted(imports(ast.parse(path.read_text()), set(files), functions=True)):
            # `from coopt import load_model` comes from the top, and so goes up from everywhere.
            target = (other + ".").split(".")[1]
            if target != room and FLOOR.get(target, len(ORDER) + 1) >= FLOOR[room]:
                wrong.append(f"{name} imports {other}")
    return wrong


def circle(source: Path) -> list[str]:
    """A circle of imports on module level, or nothing. A package is imported before what lies in it."""
    files = {module(path, source): path for path in source.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        found = imports(ast.parse(path.read_text()), set(files), functions=False)
        parents = {".".join(other.split(".")[:n]) for other in found for n in range(2, other.count(".") + 1)}
        graph[name] = found | {parent for parent in parents if not f"{name}.".startswith(f"{parent}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_room_is_known() -> None:
    assert rooms() <= set(FLOOR)


def test_contributing_has_the_same_order_and_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    order = re.search(r"^    (cli, .*(?:\n    .+)*)", text, re.MULTILINE)[1]
    assert [set(re.findall(r"\w+", rooms)) for rooms in order.split("->")] == ORDER
    table = {room for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for room in re.findall(r"`(\w+)", row)}
    assert rooms() <= table <= set(FLOOR)


def test_imports_only_go_down() -> None:
    assert not upward(SOURCE)


def test_no_imports_in_a_circle() -> None:
    assert not circle(SOURCE)


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({"data/x.py": "from coopt.methods import METHODS"}, ["coopt.data.x imports coopt.methods"]),
        ({"data/x.py": "def f():\n    import coopt.fit.loop"}, ["coopt.data.x imports coopt.fit.loop"]),
        ({"methods/x.py": "from coopt import load_model"}, ["coopt.methods.x imports coopt"]),
        ({"methods/x.py": "from coopt import fit", "fit/__init__.py": ""}, ["coopt.methods.x imports coopt.fit"]),
        ({"models/x.py": "from coopt.data import load_dataset"}, ["coopt.models.x imports coopt.data"]),
        ({"methods/x.py": "from coopt.data import load_dataset"}, []),
    ],
)
def test_an_import_that_does_not_go_down_is_found(files: dict[str, str], wrong: list[str], tmp_path: Path) -> None:
    assert upward(write(files, tmp_path)) == wrong


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"data/a.py": "from coopt.data.b import x", "data/b.py": "import coopt.data.a"}, True),
        ({"data/a.py": "from coopt.data import b", "data/b.py": "from coopt.data.a import x"}, True),
        ({"data/a.py": "def f():\n    from coopt.data.b import x", "data/b.py": "import coopt.data.a"}, False),
        ({"data/__init__.py": "from coopt.data.a import x", "data/a.py": "from coopt.data import x"}, True),
        (
            {"data/__init__.py": "from coopt.data.a import x", "data/a.py": "import coopt.data.b", "data/b.py": ""},
            False,
        ),
    ],
)
def test_a_circle_is_found(files: dict[str, str], found: bool, tmp_path: Path) -> None:
    assert bool(circle(write(files, tmp_path))) == found


def write(files: dict[str, str], folder: Path) -> Path:
    """A small package called coopt."""
    for name, text in {"__init__.py": "", "data/__init__.py": "", **files}.items():
        path = folder / "coopt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "coopt"
