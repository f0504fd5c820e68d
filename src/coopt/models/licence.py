"""Under which licence a model's weights are, as far as this machine knows: nothing is asked of the network."""

from pathlib import Path

from coopt.models.catalogue import KNOWN
from coopt.models.hub import cached_file
from coopt.models.load import HUB_ID
from coopt.models.openai_weights import PUBLISHED

CARD = "README.md"


def model_licence(name: str) -> str | None:
    """The licence that a model's card states, in the hub's short form ("mit"); None where none is known.

    The card is that of a local folder, or of the hub's cache; the built-in model and OpenAI's files are MIT.
    """
    if name == "builtin" or name in PUBLISHED:
        return "mit"
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _stated(folder / CARD)
    repository = KNOWN["open_clip"].get(name, {}).get("repository", name)
    card = cached_file(repository, [CARD]) if HUB_ID.fullmatch(repository) and not folder.exists() else None
    return None if card is None else _stated(card)


def _stated(card: Path) -> str | None:
    if not card.is_file():
        return None
    from huggingface_hub import RepoCard

    try:
        data = RepoCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.to_dict()
    except Exception:  # a README that is no card states nothing
        return None
    stated = data.get("license_name") if data.get("license") == "other" else data.get("license")
    return str(stated) if stated else None
