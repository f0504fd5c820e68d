"""Which vocabulary words lie nearest to learned context vectors."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.models import VLM


@dataclass(frozen=True)
class NearestWord:
    """A vocabulary entry and its Euclidean distance to a context vector, in units of the token embedding."""

    word: str
    distance: float


@torch.no_grad()
def nearest_words(vlm: VLM, ctx: Float[Tensor, "M D"], k: int = 5) -> list[list[NearestWord]]:
    """The `k` nearest vocabulary entries of each context vector, by Euclidean distance (CoOp, table 4).

    The authors warn that the words are often not meaningful: a learned vector need not lie near any word.
    """
    vocabulary = vlm.text.vocabulary.float()  # (V, d_t)
    distances = torch.cdist(ctx.float().to(vocabulary.device), vocabulary)  # (M, V)
    nearest, ids = distances.topk(min(k, vocabulary.shape[0]), largest=False)  # (M, k)
    return [
        [NearestWord(vlm.tokenizer.decode([int(i)]).strip(), float(d)) for d, i in zip(row, row_ids, strict=True)]
        for row, row_ids in zip(nearest, ids, strict=True)
    ]
