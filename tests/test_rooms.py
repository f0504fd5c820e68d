"""The order of the rooms (CONTRIBUTING.md): a file imports only from rooms below its own, and nothing in a circle."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "coopt"
ORDER = [
    {"cli", "app"},
    {"report"},
    {"estimator", "bench"},
    {"fit", "artifacts", "export", "evaluate"},
    {"methods"},
    {"prompting", "features"},
    {"models", "data"},
    {"errors", "files", "version"},
]
FLOOR = {room: len(ORDER) - i for i, rooms in enumerate(ORDER) for room in rooms}


def imports(path: Path) -> set[str]:
    """Rooms that a file imports from, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "coopt":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("coopt.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
    return found


def test_every_room_is_known() -> None:
    rooms = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert rooms - {"__init__"} <= set(FLOOR)


def test_imports_only_go_down() -> None:
    wrong = []
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for other in imports(path) - {room}:
            if FLOOR[other] >= FLOOR[room]:
                wrong.append(f"{path.relative_to(SOURCE)} imports coopt.{other}")
    assert not wrong
