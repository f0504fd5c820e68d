"""How a class name stands in a prompt."""


def clean_name(name: str) -> str:
    """Underscores become spaces, as in the authors' code; outer white space goes."""
    return name.replace("_", " ").strip()
