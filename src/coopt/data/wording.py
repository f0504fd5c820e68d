"""Small pieces of messages: counts and lists of names."""

from collections.abc import Sequence


def count(n: int, one: str, many: str) -> str:
    """`"1 image"`, `"2,000 images"`."""
    return f"{n:,} {one if n == 1 else many}"


def some(words: Sequence[str], most: int = 10) -> str:
    """The first words, quoted, and how many more there are."""
    text = ", ".join(repr(word) for word in words[:most])
    return text if len(words) <= most else f"{text} and {len(words) - most} more"
