"""What a tokenizer does, and laying token ids out as the text tower expects them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from coopt.errors import DataError, ModelError
from coopt.messages import option


@runtime_checkable  # type hints are checked when tests run
class Tokenizer(Protocol):
    """Text to token ids and back, without the special tokens (the prompt layout places those itself)."""

    bos_id: int | None
    """The start token, or None where the model has none (SigLIP)."""
    eos_id: int
    pad_id: int
    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """The ids of only `text`: no start, end or padding token, never cut."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`."""
        ...


def split_template(bare: list[int], full: list[int], where: str) -> tuple[int | None, int]:
    """The token before and the token after a text, from one text's ids without (`bare`) and with (`full`) them.

    Raises:
        ModelError: more or other special tokens than a start and an end.
    """
    for n_before in (0, 1):
        if full[n_before : n_before + len(bare)] == bare and len(full) == n_before + len(bare) + 1:
            return (full[0] if n_before else None), full[-1]
    raise ModelError(
        f"the tokenizer of '{where}' turns a text of tokens {bare} into {full}; coopt needs models whose texts have "
        "exactly one end token and at most one start token."
    )


def layout(
    tokenizer: Tokenizer, texts: Sequence[str], context_length: int, *, truncate: bool = False
) -> Int[Tensor, "C L"]:
    """Token ids with start and end token, padded on the right to the context length.

    `truncate` cuts longer texts (the end token is kept) instead of raising.

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
                    f"{context_length}. Shorten it, or have it cut ({option('--truncate-names', 'truncate=True')})."
                )
            ids = [*ids[: context_length - 1], tokenizer.eos_id]
        row[: len(ids)] = torch.tensor(ids)
    return rows
