"""The authors' way of computing a step, from their papers' descriptions: the side that coopt is compared with.

Every image goes through the image encoder in every step, and all classes through all positions of the text encoder
(77 tokens), forward and backward, by the model's own forward.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from coopt.models import VLM
from coopt.prompting import PromptLayout


class WholeSequences:
    """CoOp's text side: C sequences of 77 tokens, the context written into each."""

    def __init__(self, vlm: VLM, layout: PromptLayout) -> None:
        self.vlm = vlm
        ids, _ = layout.padded(vlm.tokenizer.pad_id, vlm.context_length)
        self.ids = ids.to(vlm.device)  # (C, 77)
        first = 1 + layout.n_ctx
        with torch.no_grad():
            tokens = vlm.text.token_embedding(self.ids)
        self.start, self.rest = tokens[:, :1], tokens[:, first:]  # the context stands behind the start token

    def __call__(self, ctx: Float[Tensor, "M D"]) -> Float[Tensor, "C E"]:
        """Features, not normalised."""
        vectors = ctx.to(self.rest.dtype).expand(len(self.ids), -1, -1)
        prompts = torch.cat([self.start, vectors, self.rest], dim=1)  # (C, 77, D)
        hook = self.vlm.text.token_embedding.register_forward_hook(lambda module, ids, tokens: prompts)
        try:
            return self.vlm.encode_text(self.ids)
        finally:
            hook.remove()


def step_loss(
    vlm: VLM,
    text: WholeSequences,
    ctx: Float[Tensor, "M D"],
    pixels: Float[Tensor, "B 3 H W"],
    labels: Int[Tensor, " B"],
) -> Tensor:
    """CoOp's loss of one batch of images."""
    images = F.normalize(vlm.encode_image(pixels).float(), dim=-1)  # nothing in the image encoder is learned
    classes = F.normalize(text(ctx).float(), dim=-1)
    return F.cross_entropy(vlm.logit_scale * images @ classes.T, labels)


def conditional(text: WholeSequences, ctx: Float[Tensor, "B M D"]) -> Float[Tensor, "B C E"]:
    """CoCoOp's text side: one context per image, image after image."""
    return torch.stack([text(one) for one in ctx])
