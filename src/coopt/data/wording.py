"""Small pieces of messages: counts, lists of names, rows of tables."""

from collections.abc import Sequence


def count(n: int, one: str, many: str) -> str:
    """`"1 image"`, `"2,000 images"`."""
    return f"{n:,} {one if n == 1 else many}"


def some(words: Sequence[str], most: int = 10) -> str:
    """The first words, quoted, and how many more there are."""
    text = ", ".join(repr(word) for word in words[:most])
    return text if len(words) <= most else f"{text} and {len(words) - most} more"


def table_rows(indices: Sequence[int]) -> str:
    """The first rows by their number, counted from 1, and how many more there are."""
    numbers = ", ".join(str(index + 1) for index in indices[:5])
    more = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    return f"Row(s) {numbers}{more} (counted below the header)"
