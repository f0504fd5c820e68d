"""From context vectors to class features: the one door through which methods reach the text tower."""

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError
from coopt.models import VLM
from coopt.prompting.dense import encode_dense
from coopt.prompting.layout import PromptLayout


class PromptEncoder:
    """Encodes a layout's prompts with given context vectors.

    A causal tower that pools at the end token never sees what follows it, so sequences are cut behind the longest
    prompt; other towers (SigLIP) get their full fixed length, padded.
    """

    def __init__(self, vlm: VLM, layout: PromptLayout) -> None:
        self.layout = layout
        self.tower = vlm.text
        cut = self.tower.causal and self.tower.pooling == "eos"
        ids, ends = layout.padded(vlm.tokenizer.pad_id, None if cut else vlm.context_length)
        with torch.no_grad():
            self.tokens = self.tower.token_embedding(ids.to(vlm.device))  # (C, L, d_t)
        self.ends = ends.to(vlm.device)
        self.rows = torch.tensor(layout.ctx_rows, device=vlm.device, dtype=torch.int64)  # (C, M)

    def __call__(self, ctx: Float[Tensor, "*C M D"]) -> Float[Tensor, "C E"]:
        """Class features, not normalised.

        Args:
            ctx: context vectors shared by all classes (M, D), or one set per class (C, M, D).

        Raises:
            ConfigError: the shape of `ctx` does not fit the layout.
        """
        n_classes, n_ctx = self.rows.shape[0], self.layout.n_ctx
        width = self.tower.width
        if ctx.shape not in ((n_ctx, width), (n_classes, n_ctx, width)):
            raise ConfigError(
                f"The context has shape {tuple(ctx.shape)}; this layout takes {(n_ctx, width)} (shared) or "
                f"{(n_classes, n_ctx, width)} (one set per class)."
            )
        return encode_dense(self.tower, self.embed(ctx), self.ends)

    def embed(self, ctx: Float[Tensor, "*C M D"]) -> Float[Tensor, "C L D"]:
        """The token embeddings with the context vectors in their rows, without positions."""
        n_classes, n_ctx = self.rows.shape
        if n_ctx == 0:
            return self.tokens
        classes = torch.arange(n_classes, device=self.rows.device)[:, None]  # (C, 1)
        vectors = ctx.to(self.tokens.dtype).expand(n_classes, n_ctx, -1)  # (C, M, d_t)
        return self.tokens.index_put((classes, self.rows), vectors)
