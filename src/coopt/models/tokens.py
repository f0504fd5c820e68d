"""What a tokenizer does, and laying token ids out as the text tower expects them."""

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Int
from torch import Tensor

from coopt.errors import DataError


class Tokenizer(Protocol):
    """Text to token ids and back, without the special tokens (the prompt layout places those itself)."""

    bos_id: int | None
    """The start token, or None where the model has none (SigLIP)."""
    eos_id: int
    pad_id: int
    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """The ids of `text` alone: no start, end or padding token, never cut."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`."""
        ...


def layout(
    tokenizer: Tokenizer, texts: Sequence[str], context_length: int, *, truncate: bool = False
) -> Int[Tensor, "C L"]:
    """Token ids with start and end token, padded on the right to the context length.

    Args:
        tokenizer: encodes one text.
        texts: what to encode.
        context_length: L.
        truncate: cut longer texts (the end token is kept) instead of raising.

    Raises:
        DataError: a text has more tokens than fit, and `truncate` is false.
    """
    rows = torch.full((len(texts), context_length), tokenizer.pad_id, dtype=torch.int64)
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    for row, text in zip(rows, texts, strict=True):
        ids = [*start, *tokenizer.encode(text), tokenizer.eos_id]
        if len(ids) > context_length:
            if not truncate:
                raise DataError(
                    f"the text {text!r} has {len(ids)} tokens with its start and end; the model takes "
                    f"{context_length}. Shorten it, or allow truncate=True."
                )
            ids = [*ids[: context_length - 1], tokenizer.eos_id]
        row[: len(ids)] = torch.tensor(ids)
    return rows
