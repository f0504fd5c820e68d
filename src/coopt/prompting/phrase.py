"""Where prompts start that stand in both towers or in many blocks: the first words of a phrase, or noise."""

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError
from coopt.models import VLM

STD = 0.02
"""Standard deviation of a random start, in the whole family."""


def noise(*shape: int, vlm: VLM) -> Float[Tensor, "..."]:
    """Random vectors to start from, in float32 on the model's device; the device does not change the draw."""
    return (STD * torch.randn(*shape)).to(vlm.device)


@torch.no_grad()
def phrase_start(vlm: VLM, phrase: str | None, n_ctx: int) -> tuple[Float[Tensor, "M D"], list[int]]:
    """Context vectors from the first `n_ctx` tokens of a phrase, and the ids of its other tokens, which stay.

    A phrase with fewer tokens than `n_ctx` is not used, as in the authors' code of MaPLe; noise then is the start.
    """
    ids = vlm.tokenizer.encode(phrase.replace("_", " ").strip()) if phrase else []
    if len(ids) < n_ctx:
        return noise(n_ctx, vlm.text.width, vlm=vlm), []
    return vlm.text.token_embedding(torch.tensor(ids[:n_ctx], device=vlm.device)).float(), ids[n_ctx:]


def check_size(name: str, value: int, least: int = 1) -> None:
    """Refuse a number of prompts or a depth below `least`.

    Raises:
        ConfigError: naming the setting.
    """
    if value < least:
        raise ConfigError(f"{name} is {value}; allowed is a whole number from {least}.")
