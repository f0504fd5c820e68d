"""open_clip's tokenizers (its own byte pair encoding, or one of transformers) behind coopt's `Tokenizer`."""

from collections.abc import Sequence
from typing import Any

from coopt.errors import ModelError
from coopt.models.tokens import Tokenizer, split_template


def adapt_tokenizer(tokenizer: Any, name: str) -> Tokenizer:
    """The tokenizer of `name`.

    Raises:
        ModelError: a kind of tokenizer that is neither of the two.
    """
    if hasattr(tokenizer, "sot_token_id"):
        return SimpleTokenizer(tokenizer)
    if hasattr(tokenizer, "tokenizer") and hasattr(tokenizer, "clean_fn"):
        return TransformersTokenizer(tokenizer, name)
    raise ModelError(f"the tokenizer of '{name}' ({type(tokenizer).__name__}) is of a kind that coopt does not know.")


class SimpleTokenizer:
    """open_clip's own tokenizer over CLIP's vocabulary."""

    pad_id = 0

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.bos_id: int | None = tokenizer.sot_token_id
        self.eos_id: int = tokenizer.eot_token_id
        self.vocab_size: int = tokenizer.vocab_size

    def encode(self, text: str) -> list[int]:
        """The ids of only `text`: no start, end or padding token, never cut."""
        return self._tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, up to the first end token."""
        ids = list(ids)
        ids = ids[: ids.index(self.eos_id)] if self.eos_id in ids else ids
        return self._tokenizer.decode([index for index in ids if index != self.bos_id]).strip()


class TransformersTokenizer:
    """A transformers tokenizer with open_clip's cleaning before it."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._inner = tokenizer.tokenizer
        self._clean = tokenizer.clean_fn
        bare = self._inner("a", add_special_tokens=False).input_ids
        full = self._inner("a", add_special_tokens=True).input_ids
        self.bos_id, self.eos_id = split_template(bare, full, name)
        self.pad_id: int = self.eos_id if self._inner.pad_token_id is None else self._inner.pad_token_id
        self.vocab_size = len(self._inner)

    def encode(self, text: str) -> list[int]:
        """The ids of only `text`: no start, end or padding token, never cut."""
        return self._inner(self._clean(text), add_special_tokens=False, truncation=False, verbose=False).input_ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return self._inner.decode(list(ids), skip_special_tokens=True)
