"""The facts of all methods as they are listed: to tell what there is, is no reason to load what methods compute with.

`methods.json` is made from the classes by `python -m tools.method_pages`; a test holds it to them.
"""

import json
from importlib.resources import files
from typing import Any


def listed() -> list[dict[str, Any]]:
    """What `coopt methods` and its --json tell of each method, in the order of `METHODS`."""
    return json.loads((files("coopt") / "cli" / "methods.json").read_text(encoding="utf-8"))
