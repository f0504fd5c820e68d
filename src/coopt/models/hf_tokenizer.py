"""Tokenizers of hub models: a folder's `tokenizer.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from coopt.errors import ModelError
from coopt.models.tokens import split_template


@dataclass(eq=False)
class HubTokenizer:
    """A `tokenizer.json`, with the special tokens that the folder's own template puts around a text."""

    backend: tokenizers.Tokenizer
    bos_id: int | None
    eos_id: int
    pad_id: int
    vocab_size: int
    lowercase: bool
    """Lower the text first, for folders that say so in their configuration but not in the pipeline."""
    suffix: str
    """The marker at the end of a word that the backend's decoder leaves in the text (CLIP's "</w>")."""

    def encode(self, text: str) -> list[int]:
        """The ids of only `text`: no start, end or padding token, never cut."""
        return self.backend.encode(text.lower() if self.lowercase else text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        text = self.backend.decode(list(ids), skip_special_tokens=True)
        return text.replace(self.suffix, " ").strip() if self.suffix else text


def read_tokenizer(folder: Path) -> HubTokenizer:
    """The tokenizer of a hub model's folder.

    Raises:
        ModelError: the folder has no tokenizer, it cannot be read, or it ends texts with no token.
    """
    path = folder / "tokenizer.json"
    config_path = folder / "tokenizer_config.json"
    config = json.loads(config_path.read_text(encoding="utf-8")) if config_path.is_file() else {}
    try:
        backend = tokenizers.Tokenizer.from_file(str(path)) if path.is_file() else _converted(folder)
    except Exception as error:  # the Rust library raises bare Exception
        raise ModelError(
            f"the tokenizer in '{folder}' cannot be read ({error}). The folder needs tokenizer.json (or vocab.json and "
            "merges.txt); download the model again, or save its tokenizer there with tokenizer.save_pretrained()."
        ) from error
    backend.no_padding()
    backend.no_truncation()
    bare = backend.encode("a", add_special_tokens=False).ids
    bos_id, eos_id = split_template(bare, backend.encode("a", add_special_tokens=True).ids, str(folder))
    pad_token = config.get("pad_token")
    if isinstance(pad_token, Mapping):  # older files write a token as an object
        pad_token = pad_token.get("content")
    pad_id = None if pad_token is None else backend.token_to_id(pad_token)
    return HubTokenizer(
        backend,
        bos_id=bos_id,
        eos_id=eos_id,
        pad_id=eos_id if pad_id is None else pad_id,
        vocab_size=backend.get_vocab_size(),
        # SigLIP 2 was trained on lower-case text, which its configuration says and its older pipelines do not do.
        lowercase=bool(config.get("do_lower_case")) and backend.encode("A", add_special_tokens=False).ids != bare,
        suffix=getattr(backend.model, "end_of_word_suffix", None) or "",
    )


def _converted(folder: Path) -> tokenizers.Tokenizer:
    # Without any vocabulary file the library would make up an empty tokenizer instead of failing.
    if not any((folder / name).is_file() for name in ("vocab.json", "spiece.model")):
        raise FileNotFoundError("no tokenizer.json, vocab.json or spiece.model")
    from transformers import AutoTokenizer  # slow import, needed only for folders without tokenizer.json

    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise TypeError(f"{type(loaded).__name__} has no form that the tokenizers library can run")
    return backend
