"""The model's own byte-pair tokenizer, trained on the captions, in the format of CLIPTokenizer."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase

VOCABULARY_SIZE = 4096
CONTEXT_LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own split: words, single digits, runs of other signs.
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train(texts: list[str], target: Path, size: int = VOCABULARY_SIZE) -> None:
    """Learn `size` pieces from `texts` and write the tokenizer's two files into `target`."""
    from tokenizers import Regex

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size - 2 - len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _finish(tokenizer, alphabet, size, target)


def _finish(tokenizer: Tokenizer, alphabet: list[str], size: int, target: Path) -> None:
    learned = json.loads(tokenizer.to_str())["model"]
    # CLIP's order: single bytes, the same bytes at the end of a word (so no text is unknown), merges, special tokens.
    pieces = alphabet + [letter + "</w>" for letter in alphabet]
    merges = []
    for pair in learned["merges"]:
        left, right = pair if isinstance(pair, list) else pair.split(" ")
        if len(pieces) == size - 2:
            break
        merges.append((left, right))
        if left + right not in pieces:
            pieces.append(left + right)
    pieces += [f"<|unused{number}|>" for number in range(size - 2 - len(pieces))] + [START, END]
    from transformers import CLIPTokenizer

    finished = CLIPTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=CONTEXT_LENGTH,
    )
    target.mkdir(parents=True, exist_ok=True)
    finished.save_pretrained(target)


def load(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer as transformers loads it from a model's folder."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)
