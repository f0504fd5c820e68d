"""Records as the tables that docs/speed.md shows."""

from typing import Any

CLOCKS = {"wall": "by the clock on the wall", "processor": "in processor time of all threads"}


def tables(results: dict[str, Any]) -> str:
    """Markdown: one table per part that was measured."""
    records = results["records"]
    pieces = [_machine(results)]
    for part, (title, head, row) in TABLES.items():
        chosen = [record for record in records if record["part"] == part]
        if chosen:
            lines = [f"### {title}", "", f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
            pieces.append("\n".join(lines + [f"| {' | '.join(row(record))} |" for record in chosen]))
    return "\n\n".join(pieces)


def _machine(results: dict[str, Any]) -> str:
    m = results["machine"]
    where = m.get("gpu") or f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads, {m['cpu_capability']}"
    return (
        f"{where}; {results['dtype']}; PyTorch {m['torch']}, transformers {m['transformers']}, Python {m['python']}; "
        f"load {m['load_at_start']} at the start. Command: `{results['command']}`. Times are medians (lowest to "
        f"highest) of repetitions that alternate, {CLOCKS[results['clock']]}."
    )


def _time(figures: dict[str, float]) -> str:
    return f"{_unit(figures['median'])} ({_unit(figures['low'])} to {_unit(figures['high'])})"


def _unit(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _case(record: dict[str, Any]) -> list[str]:
    return [record["model"], f"{record['classes']:,}", str(record["n_ctx"])]


def _text(record: dict[str, Any]) -> list[str]:
    slices = record["authors_slices"]
    authors = _time(record["authors"]) + (f", {slices} times a slice" if slices > 1 else "")
    tokens = f"{record['tokens_authors']:,} / {record['tokens_coopt']:,}"
    floor = f"{_unit(record['floor'])}, {record['coopt_over_floor']:.2f}x"
    return [*_case(record), tokens, authors, _time(record["coopt"]), f"**{record['ratio']:.1f}x**", floor]


def _compared(record: dict[str, Any]) -> list[str]:
    return [*_case(record), _time(record["authors"]), _time(record["coopt"]), f"**{record['ratio']:.1f}x**"]


def _per_image(record: dict[str, Any]) -> list[str]:
    return [record["what"], str(record["images"]), *_compared(record)]


def _memory(record: dict[str, Any]) -> list[str]:
    chunk = "" if record["chunk"] is None else f", chunks of {record['chunk']} classes"
    gigabytes = [f"{record[key] / 1e9:.2f} GB" for key in ("loaded", "peak")]
    return [*_case(record), record["way"] + chunk, *gigabytes]


def _training(record: dict[str, Any]) -> list[str]:
    authors = f"{_unit(record['authors_seconds'])} (extrapolated from {record['authors_steps_measured']} steps)"
    measured = "" if record["coopt_steps_measured"] == record["steps"] else " (extrapolated)"
    coopt = f"{_unit(record['coopt_seconds'])}{measured}, {_unit(record['coopt_encode_seconds'])} of it encoding images"
    return [*_case(record), f"{record['steps']:,}", authors, coopt, f"**{record['ratio']:.0f}x**"]


def _profile(record: dict[str, Any]) -> list[str]:
    return [*_case(record), ", ".join(f"`{name}` {100 * share:.0f}%" for name, share in record["shares"].items())]


CASE = ["model", "classes", "M"]
TABLES = {
    "text": (
        "Text side, forward and backward",
        [*CASE, "tokens, authors / coopt", "authors' way", "coopt", "ratio", "floor, coopt above it"],
        _text,
    ),
    "step": ("A whole CoOp step, batch 32", [*CASE, "authors' way", "coopt, cached features", "ratio"], _compared),
    "conditional": ("A context for each of 4 images", [*CASE, "authors' way", "coopt", "ratio"], _compared),
    "cocoop": (
        "CoCoOp, on features",
        ["what", "images", *CASE, "authors' way", "coopt", "ratio"],
        _per_image,
    ),
    "tpt": ("TPT, on features", ["what", "images", *CASE, "authors' way", "coopt", "ratio"], _per_image),
    "memory": ("Peak memory of a step", [*CASE, "way", "model loaded", "peak"], _memory),
    "training": (
        "Training: 16 shots, 200 epochs",
        [*CASE, "steps", "authors' way", "coopt", "ratio"],
        _training,
    ),
    "profile": ("Where coopt's text side spends its time", [*CASE, "operators' own shares"], _profile),
}
