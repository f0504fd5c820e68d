"""open_clip's tokenizers (its own byte pair encoding, or one of transformers) as coopt's `Tokenizer`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coopt.errors import ModelError
from coopt.models.tokens import Tokenizer, split_template


@dataclass(eq=False)
class OpenClipTokenizer:
    """A tokenizer of open_clip: its special tokens, and how it reads and writes a text without them."""

    bos_id: int | None
    eos_id: int
    pad_id: int
    vocab_size: int
    to_ids: Callable[[str], list[int]]
    to_text: Callable[[list[int]], str]

    def encode(self, text: str) -> list[int]:
        """The ids of only `text`: no start, end or padding token, never cut."""
        return self.to_ids(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, up to the first end token."""
        ids = list(ids)
        ids = ids[: ids.index(self.eos_id)] if self.eos_id in ids else ids
        return self.to_text([index for index in ids if index != self.bos_id]).strip()


def adapt_tokenizer(tokenizer: Any, name: str) -> Tokenizer:
    """The tokenizer of the model `name`.

    Raises:
        ModelError: it is neither open_clip's own nor one of transformers.
    """
    if hasattr(tokenizer, "sot_token_id"):
        start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
        return OpenClipTokenizer(start, end, 0, tokenizer.vocab_size, tokenizer.encode, tokenizer.decode)
    if not hasattr(tokenizer, "tokenizer") or not hasattr(tokenizer, "clean_fn"):
        raise ModelError(
            f"the tokenizer of '{name}' ({type(tokenizer).__name__}) is of a kind that coopt does not know."
        )
    inner, clean = tokenizer.tokenizer, tokenizer.clean_fn
    bare, full = (inner("a", add_special_tokens=special).input_ids for special in (False, True))
    start, end = split_template(bare, full, name)
    return OpenClipTokenizer(
        bos_id=start,
        eos_id=end,
        pad_id=end if inner.pad_token_id is None else inner.pad_token_id,
        vocab_size=len(inner),
        to_ids=lambda text: inner(clean(text), add_special_tokens=False, truncation=False, verbose=False).input_ids,
        to_text=lambda ids: inner.decode(ids, skip_special_tokens=True),
    )
