"""Where learned prompts start: at the embeddings of words, or at random."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError, DataError
from coopt.models import VLM
from coopt.prompting.names import clean_name

STD = 0.02
"""Standard deviation of a random start, in the whole family."""


def noise(*shape: int, vlm: VLM) -> Float[Tensor, "..."]:
    """Random vectors to start from, in float32 on the model's device; the device does not change the draw."""
    return (STD * torch.randn(*shape)).to(vlm.device)


@torch.no_grad()
def start_context(
    vlm: VLM,
    n_ctx: int | None,
    ctx_init: str | None,
    *,
    default: int = 0,
    too_few: Literal["refuse", "random", "zeros"] = "refuse",
    n_sets: int | None = None,
) -> tuple[Float[Tensor, "*C M D"], list[int]]:
    """Context vectors in float32 on the model's device, and the ids of the words that stay fixed after them.

    With words (underscores are spaces) the first M tokens are learned and the others stay; without, M vectors are drawn
    from N(0, 0.02).

    Args:
        vlm: the frozen model, whose token embeddings are taken.
        n_ctx: M; None learns every token of the words, and without words `default` vectors.
        ctx_init: words to start from; None starts at random.
        default: M where nothing else says it; with `too_few="zeros"` also where there are words.
        too_few: what happens to words with fewer than M tokens. They are refused, or not used ("random"), or fill the
            last rows, after zeros ("zeros").
        n_sets: a random start has one set of vectors for each of so many classes.

    Raises:
        ConfigError: `n_ctx` is below 1 or above the number of tokens, or there is no word in `ctx_init`.
        DataError: `n_ctx` is above the length of the model's context.
    """
    if n_ctx is not None:
        check_size("n_ctx", n_ctx)
        if n_ctx > vlm.text.context_length:  # before such a number of vectors is drawn
            raise DataError(f"n_ctx is {n_ctx}; the model's texts have {vlm.text.context_length} tokens at most.")
    ids = vlm.tokenizer.encode(clean_name(ctx_init)) if ctx_init is not None else []
    if not ids and ctx_init is not None and too_few != "random":
        raise ConfigError(f"ctx_init is {ctx_init!r}; give at least one word, or None for a random start.")
    if n_ctx is None:
        n_ctx = len(ids) if ids and too_few != "zeros" else default
    if not ids or (len(ids) < n_ctx and too_few == "random"):
        sets = () if n_sets is None else (n_sets,)
        return noise(*sets, n_ctx, vlm.text.width, vlm=vlm), []
    if len(ids) < n_ctx and too_few == "refuse":
        raise ConfigError(
            f"n_ctx is {n_ctx}, but ctx_init {ctx_init!r} gives {len(ids)} tokens. Leave n_ctx out to learn all of "
            "them, lower it to learn the first ones, or set ctx_init=none for a random start."
        )
    ctx = vlm.text.token_embedding(torch.tensor(ids[:n_ctx], device=vlm.device)).float()
    return F.pad(ctx, (0, 0, n_ctx - len(ctx), 0)), ids[n_ctx:]


def check_size(name: str, value: int, least: int = 1) -> None:
    """Refuse a number of prompts or a depth below `least`.

    Raises:
        ConfigError: naming the setting.
    """
    if value < least:
        raise ConfigError(f"{name} is {value}; allowed is a whole number from {least}.")
