"""Print the attribution of every set that the built-in model was trained on, for NOTICE and the model card.

python -m tools.pretrain.notice
"""

import json
from collections import defaultdict
from pathlib import Path

from .sources import KEYWORD_PACKAGES, SOURCES


def attribution(work: Path) -> str:
    """Sets by licence, each with its author, version and number of icons, as the sets' own facts state them."""
    versions = json.loads((work / "npm" / "versions.json").read_text())
    by_licence = defaultdict(list)
    for source in SOURCES:
        facts = json.loads((work / "raster" / f"{source.prefix}.json").read_text())
        version = versions[f"@iconify-json/{source.prefix}"]
        by_licence[facts["licence"]].append(
            f"{facts['name']} by {facts['author']['name']} ({source.prefix} {version}, {facts['icons']} icons)"
        )
    lines = []
    for licence in sorted(by_licence):
        lines += [f"{licence}:", *(f"  - {line}" for line in sorted(by_licence[licence], key=str.lower))]
    lines += ["MIT (keywords, labels and groups of emoji):"]
    lines += [f"  - {package} {versions[package]}" for package in KEYWORD_PACKAGES]
    return "\n".join(lines)


if __name__ == "__main__":
    print(attribution(Path("work/pretrain")))
