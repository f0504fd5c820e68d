"""Models that are known by name, for `coopt models` and for nearest-name hints; any other hub id loads too."""

import json
from dataclasses import dataclass
from pathlib import Path

from coopt.models.hub import HUB_WEIGHTS, OPEN_CLIP_WEIGHTS, cached_file
from coopt.models.openai_weights import PUBLISHED, cached_path


@dataclass(frozen=True)
class ModelInfo:
    """One line of the list."""

    name: str
    source: str
    """Which loader reads it: "builtin", "openai", "transformers", "open_clip"."""
    download_mb: int
    """Megabytes (1e6 bytes) of the weight file, from the number of parameters and their stored precision."""
    image_size: int
    embed_dim: int
    on_this_machine: bool = False


KNOWN = json.loads((Path(__file__).parent / "data" / "catalogue.json").read_text(encoding="utf-8"))
"""Facts by source and name; "repository" is where open_clip downloads a model from."""


def list_models() -> list[ModelInfo]:
    """Every known name with its facts, and whether its weights lie on this machine."""
    builtin = json.loads((Path(__file__).parent / "builtin" / "config.json").read_text(encoding="utf-8"))
    image_size, embed_dim = builtin["vision_config"]["image_size"], builtin["projection_dim"]
    models = [ModelInfo("builtin", "builtin", 0, image_size, embed_dim, on_this_machine=True)]
    for name, published in PUBLISHED.items():
        facts = (published.download_mb, published.image_size, published.embed_dim)
        models.append(ModelInfo(name, "openai", *facts, on_this_machine=cached_path(name).is_file()))
    for source, weights in (("transformers", HUB_WEIGHTS), ("open_clip", OPEN_CLIP_WEIGHTS)):
        for name, known in KNOWN[source].items():
            facts = (known["download_mb"], known["image_size"], known["embed_dim"])
            here = cached_file(known.get("repository", name), weights) is not None
            models.append(ModelInfo(name, source, *facts, on_this_machine=here))
    return models


def known_names() -> list[str]:
    """The names only, without a look at the disk."""
    return ["builtin", *PUBLISHED, *KNOWN["transformers"], *KNOWN["open_clip"]]
