r"""Docstrings (Sphinx style) as Markdown that GitHub renders.

GitHub reads Markdown before mathematics, so a backslash before punctuation is lost in a formula: ``\,`` becomes a
comma. Every such command is written by its other name here.
"""

import re
from collections.abc import Sequence

NAMES = {
    r"\,": r"\thinspace ",
    r"\;": r"\thickspace ",
    r"\:": r"\medspace ",
    r"\!": r"\negthinspace ",
    r"\{": r"\lbrace ",
    r"\}": r"\rbrace ",
    r"\|": r"\Vert ",
    r"\_": r"\text{-}",
    r"\\": r"\cr ",
}
"""TeX commands of one punctuation mark, and words that mean the same; a place left free is a dash."""


def markdown(text: str) -> str:
    """Formulas as ``$$`` and ``$``, code in single backticks, lists and paragraphs as they are.

    Raises:
        ValueError: a formula has a command of one punctuation mark that is not in `NAMES`.
    """
    blocks: list[str] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.strip() != ".. math::":
            blocks.append(inline(line))
            continue
        formula = []
        while lines and (lines[0].startswith("    ") or not lines[0].strip()):
            formula.append(lines.pop(0).strip())
        blocks += ["$$", tex("\n".join(formula).strip()), "$$", ""]
    return "\n".join(blocks).strip()


def inline(line: str) -> str:
    """One line of prose."""
    line = re.sub(r":math:`([^`]+)`", lambda found: f"${tex(found[1])}$", line)
    return re.sub(r"``([^`]+)``", r"`\1`", line)


def tex(formula: str) -> str:
    """The formula with words for all commands that Markdown would take apart."""

    def word(found: re.Match[str]) -> str:
        if found[0] not in NAMES:
            raise ValueError(f"The formula {formula!r} has {found[0]!r}, which Markdown would spoil; add it to NAMES.")
        return NAMES[found[0]]

    return re.sub(r"\\[^A-Za-z\s]", word, formula)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar or a line break within a cell does not end it."""
    lines = [list(heads), ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in line) + " |" for line in lines
    )
