"""The tokenizer of OpenAI's CLIP: byte pair encoding over cleaned lower-case text, 49408 tokens."""

import gzip
import html
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

import ftfy
from tokenizers import Regex, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split

N_MERGES = 49152 - 256 - 2  # the published list is longer; the models were trained with its first part
START, END = "<|startoftext|>", "<|endoftext|>"
WORD = r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)"


class OpenAITokenizer:
    """Broken Unicode is mended, HTML unescaped twice, white space collapsed, the case lowered; the text is split into
    words, and each word's bytes are merged.
    """

    pad_id = 0
    """Zero, as in the published code; what follows the end token never matters to a causal tower."""

    def __init__(self) -> None:
        self._vocabulary, merges = _read_vocabulary()
        self._tokens = {index: token for token, index in self._vocabulary.items()}
        self._bpe = BPE(self._vocabulary, merges, end_of_word_suffix="</w>")
        self._split = Split(Regex(WORD), behavior="removed", invert=True)
        self._spelling, self._bytes = ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
        self.bos_id: int | None = self._vocabulary[START]
        self.eos_id = self._vocabulary[END]
        self.vocab_size = len(self._vocabulary)

    def encode(self, text: str) -> list[int]:
        """The ids of only `text`: no start, end or padding token, never cut."""
        ids: list[int] = []
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        for word, _ in self._split.pre_tokenize_str(" ".join(text.split()).lower()):
            if word in (START, END):  # written out in a text, they are the special tokens
                ids.append(self._vocabulary[word])
            else:
                [(spelled, _)] = self._spelling.pre_tokenize_str(word)  # a printable character for each byte
                ids.extend(token.id for token in self._bpe.tokenize(spelled))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, up to the first end token (the padding after it would read as exclamation marks)."""
        ids = list(ids)
        ids = ids[: ids.index(self.eos_id)] if self.eos_id in ids else ids
        spelled = "".join(self._tokens[index] for index in ids if index != self.bos_id)
        return " ".join(self._bytes.decode([word]) for word in spelled.split("</w>")).strip()


@lru_cache(maxsize=1)
def openai_tokenizer() -> OpenAITokenizer:
    """The one instance: building it takes a moment, and it has no state."""
    return OpenAITokenizer()


def _read_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    packed = (files("coopt.models") / "data" / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")[1 : N_MERGES + 1]  # the first line is a version
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    characters = sorted(ByteLevel.alphabet())  # printable bytes first, which stand for themselves
    tokens = [*characters, *(character + "</w>" for character in characters)]
    tokens += [left + right for left, right in merges]
    tokens += [START, END]
    return {token: index for index, token in enumerate(tokens)}, merges
