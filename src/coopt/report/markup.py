"""Tables as Markdown, LaTeX and CSV; whatever comes from the records is escaped for each."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Container, Iterable

from coopt.report.tables import Entry, Table

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#])")
_LATEX_WORDS = "backslash asciicircum asciitilde less greater bar"
_LATEX = {character: f"\\{character}" for character in "{}$&#%_"}
_LATEX |= {name: rf"\text{word}{{}}" for name, word in zip("\\^~<>|", _LATEX_WORDS.split(), strict=True)}
_LATEX |= {"−": "$-$", "±": r"$\pm$", "–": "--"}


def plain(text: str) -> str:
    """On one line: line breaks and control characters become spaces."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text).strip()


def file_names(keys: Iterable[str]) -> dict[str, str]:
    """A file name of letters, digits and dashes for each key; keys that give the same one get a mark of their own."""
    names = {key: re.sub(r"[^A-Za-z0-9._=-]+", "-", key).strip("-.")[:90] for key in keys}
    taken = Counter(name.lower() for name in names.values())  # some file systems know no capitals
    return {
        key: name if taken[name.lower()] == 1 else f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        for key, name in names.items()
    }


def markdown_text(text: str) -> str:
    """`text` as GitHub's Markdown shows it literally, also inside a table."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", text)


def shared_notes(tables: Iterable[Table]) -> tuple[str, ...]:
    """The notes of more than one table: a page says them once, not below each."""
    counts = Counter(note for table in tables for note in dict.fromkeys(table.notes))
    return tuple(note for note, n in counts.items() if n > 1)


def notes_of(table: Table, elsewhere: Container[str] = ()) -> tuple[str, ...]:
    """The notes below a table, without those that a page has `elsewhere`."""
    return (*(note for note in table.notes if note not in elsewhere), *table.own_notes)


def to_markdown(table: Table, elsewhere: Container[str] = ()) -> str:
    """Heading, table and notes, without those that the page has `elsewhere`."""
    lines = [f"## {markdown_text(table.title)}", ""]
    lines.append("| " + " | ".join(markdown_text(heading) for heading in table.columns) + " |")
    numbers = [table.is_number(j) for j in range(len(table.columns))]
    lines.append("|" + "|".join(" ---: " if number else " --- " for number in numbers) + "|")
    for row in table.rows:
        lines.append("| " + " | ".join(_markdown_entry(entry) for entry in row) + " |")
    for note in notes_of(table, elsewhere):
        lines += ["", markdown_text(note)]
    return "\n".join(lines) + "\n"


def _markdown_entry(entry: Entry) -> str:
    text = markdown_text(entry.text)
    text = f"**{text}**" if entry.best else text
    return f"{text}<br>{markdown_text(entry.detail)}" if entry.detail else text


def latex_text(text: str) -> str:
    """`text` as LaTeX prints it literally."""
    return "".join(_LATEX.get(character, character) for character in plain(text))


def to_latex(table: Table) -> str:
    r"""A `table` environment for `\input`; it needs the packages booktabs and (for the narrow print) graphicx."""
    columns = "".join("r" if table.is_number(j) else "l" for j in range(len(table.columns)))
    lines = [
        r"% Needs \usepackage{booktabs} and \usepackage{graphicx}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(table.title)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(latex_text(heading) for heading in table.columns) + r" \\",
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        if i in table.breaks:
            lines.append(r"\midrule")
        texts = [latex_text(entry.text) for entry in row]
        texts = [rf"\textbf{{{t}}}" if entry.best else t for t, entry in zip(texts, row, strict=True)]
        lines.append(_latex_row(texts))
        if any(entry.detail for entry in row):
            small = [rf"{{\scriptsize {latex_text(e.detail)}}}" if e.detail else "" for e in row]
            lines.append(_latex_row(small))
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\smallskip{{\footnotesize {latex_text(note)}\par}}" for note in notes_of(table)]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def _latex_row(texts: list[str]) -> str:
    # A line that begins with [ would be read as an option of the \\ before it.
    texts = [f"{{}}{text}" if text.startswith("[") else text for text in texts]
    return " & ".join(texts) + r" \\"


def to_csv(table: Table) -> str:
    """One value per line where the table has such; numbers in full precision, missing ones empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if table.flat_columns:
        writer.writerow(table.flat_columns)
        for line in table.flat_rows:
            writer.writerow([csv_value(value) for value in line])
    else:
        writer.writerow([csv_value(heading) for heading in table.columns])
        for row in table.rows:
            writer.writerow([csv_value(f"{e.text} {e.detail}".strip()) for e in row])
    return out.getvalue()


def csv_value(value: str | int | float | None) -> str:
    """Text without line breaks that no spreadsheet takes for a formula; numbers to six decimals."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, int):
        return str(value)
    text = plain(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
