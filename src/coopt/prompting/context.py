"""Where learned context vectors start: at the embeddings of words, or at random."""

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError
from coopt.models import VLM


def embed_words(vlm: VLM, words: str) -> Float[Tensor, "M D"]:
    """The token embeddings of `words` (underscores are spaces), in float32.

    Raises:
        ConfigError: there is no word in it.
    """
    ids = vlm.tokenizer.encode(words.replace("_", " ").strip())
    if not ids:
        raise ConfigError(f"ctx_init is {words!r}; give at least one word, or None for a random start.")
    with torch.no_grad():
        return vlm.text.token_embedding(torch.tensor(ids, device=vlm.device)).float()


def start_context(vlm: VLM, n_ctx: int, ctx_init: str | None, *, default: int) -> Float[Tensor, "M D"]:
    """Context vectors shared by all classes, in float32 on the model's device.

    Args:
        vlm: whose embeddings and width hold.
        n_ctx: M, for a random start from N(0, 0.02).
        ctx_init: words to start from, which then decide M; None starts at random.
        default: the `n_ctx` that nobody asked for, and that words may overrule.

    Raises:
        ConfigError: no word, `n_ctx` below 1, or an `n_ctx` that contradicts the words.
    """
    if n_ctx < 1:
        raise ConfigError(f"n_ctx is {n_ctx}; at least 1 context vector is learned.")
    if ctx_init is None:
        return (0.02 * torch.randn(n_ctx, vlm.text.width)).to(vlm.device)
    ctx = embed_words(vlm, ctx_init)
    if n_ctx not in (default, len(ctx)):
        raise ConfigError(
            f"n_ctx is {n_ctx}, but ctx_init {ctx_init!r} gives {len(ctx)} vectors. Leave n_ctx out, or set "
            "ctx_init=none for a random start."
        )
    return ctx
