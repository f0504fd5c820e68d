"""Run folders of earlier versions: what their configurations mean now."""

from typing import Any


class EarlierRunWarning(UserWarning):
    """A run was written by an earlier version and can be checked less than those of this one."""


FORMAT = 3
"""Of the configurations that this version writes."""
READABLE = (1, 2, 3)
"""Formats that it reads."""
BINDING = 3
"""From this format on a configuration holds digests of the files beside it."""
WORDS_DECIDED = ("coop", "cocoop", "kgcoop", "tpt")
"""Methods in whose runs of format 1 `n_ctx` was ignored where `ctx_init` had words: all tokens were learned."""


def upgrade(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as the present format has it; only what a format changed is touched."""
    if config["format"] > 1:
        return config
    settings = config.get("settings")
    if config["method"] in WORDS_DECIDED and isinstance(settings, dict) and settings.get("ctx_init") is not None:
        settings = {**settings, "n_ctx": None}
    return {**config, "settings": settings, "task": {"name": "classification", "settings": {}}}
