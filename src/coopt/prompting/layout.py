"""Where the context vectors and the class name sit in each class's token sequence."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coopt.errors import ConfigError, DataError, did_you_mean
from coopt.messages import option
from coopt.models import VLM
from coopt.prompting.equal import refuse_equal_prompts
from coopt.prompting.names import clean_name

POSITIONS = ("end", "middle", "front")
"""Where the class name can stand: after the context, in its middle, before it (paper, section 3.2.1)."""

PLACEHOLDER = 0
"""Token id written where a context vector will sit; its embedding is never used."""


@dataclass(frozen=True)
class PromptLayout:
    """The token sequences of C classes, with holes for M context vectors.

    A sequence is ``[SOS] parts [EOS]`` where the parts are, by `position`,

    - "end": context, name, full stop
    - "middle": first half of the context (rounded down), name, the other half, full stop
    - "front": name, context, full stop

    The full stop is whatever tokens ``name + "."`` has beyond those of the bare name: a name that ends in punctuation
    fuses with it into one token, which then belongs to the name (so do the authors count).

    Attributes:
        sequences: C lists of token ids, start and end token included, not padded.
        ctx_rows: C lists of M row numbers: where the context vectors sit.
        name_lengths: C token counts of the bare names, as they stand in the sequences.
        class_names: the names, as given.
        n_ctx: M.
        pad_id: the token that stands after the end token where sequences are padded.
        places: where vectors are not the same M for each class, in their order: C lists that say which of the M
            vectors sits in each of the class's holes. None where hole m takes vector m.
    """

    sequences: list[list[int]]
    ctx_rows: list[list[int]]
    name_lengths: list[int]
    class_names: list[str]
    n_ctx: int
    pad_id: int
    places: list[list[int]] | None = None

    @classmethod
    def build(
        cls,
        vlm: VLM,
        class_names: Sequence[str],
        n_ctx: int,
        position: str = "end",
        *,
        words: Sequence[int] = (),
        truncate_names: bool = False,
    ) -> "PromptLayout":
        """Tokenise the names and lay out the sequences.

        Args:
            vlm: whose tokenizer and context length hold.
            class_names: C names; underscores become spaces.
            n_ctx: M.
            position: one of `POSITIONS`.
            words: token ids that stay as they are after the context: the rest of a phrase of which only the first
                tokens are learned. `position` then says where in the whole phrase the name stands.
            truncate_names: drop the last tokens of a name whose prompt is too long, instead of raising. One token
                must be left.

        Raises:
            ConfigError: `position` is not one of `POSITIONS`, or `n_ctx` is negative.
            DataError: a name is empty, its prompt is longer than the model's context, or two names have one prompt.
        """
        check_position(position)
        if n_ctx < 0:
            raise ConfigError(f"n_ctx is {n_ctx}; it is a number of context vectors, 0 or more.")
        tokenizer = vlm.tokenizer
        start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        phrase = [PLACEHOLDER] * n_ctx + list(words)
        split = {"end": len(phrase), "middle": len(phrase) // 2, "front": 0}[position]
        sequences, ctx_rows, name_lengths, too_long = [], [], [], []
        for name in class_names:
            text = clean_name(name)
            name_length = len(tokenizer.encode(text))
            body = tokenizer.encode(text + ".")
            if not text or name_length == 0:
                raise DataError(f"A class name must have at least one word; got {name!r}.")
            name_ids, stop = body[:name_length], body[name_length:]
            total = len(start) + len(phrase) + len(body) + 1
            excess = total - vlm.context_length
            if excess > 0 and not (truncate_names and excess < name_length):
                too_long.append((name, name_length, total))
                continue
            if excess > 0:
                name_ids = name_ids[:-excess]
                name_length = len(name_ids)
            sequences.append([*start, *phrase[:split], *name_ids, *phrase[split:], *stop, tokenizer.eos_id])
            ctx_rows.append([len(start) + m + (name_length if m >= split else 0) for m in range(n_ctx)])
            name_lengths.append(name_length)
        if too_long:
            listed = "; ".join(f"{name!r} has {n} tokens, its prompt {total}" for name, n, total in too_long[:5])
            more = f" and {len(too_long) - 5} more" if len(too_long) > 5 else ""
            raise DataError(
                f"{len(too_long)} class name(s) do not fit the model's context of {vlm.context_length} tokens with "
                f"n_ctx={n_ctx}: {listed}{more}. Shorten them "
                f"({option('--class-names FILE', 'class_names=...')} gives other words), "
                f"have their last tokens cut ({option('--truncate-names', 'the setting truncate_names')}), or "
                "lower n_ctx."
            )
        refuse_equal_prompts([tuple(sequence) for sequence in sequences], class_names, truncate_names)
        return cls(sequences, ctx_rows, name_lengths, list(class_names), n_ctx, tokenizer.pad_id)

    @classmethod
    def of_vectors(
        cls, vlm: VLM, class_names: Sequence[str], places: Sequence[Sequence[int]], n: int
    ) -> "PromptLayout":
        """Sequences ``[SOS] vectors . [EOS]`` without a word; `places` say which of `n` vectors each class has.

        Raises:
            DataError: a sequence is longer than the model's context.
        """
        tokenizer = vlm.tokenizer
        start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        end = [*tokenizer.encode("."), tokenizer.eos_id]
        longest = max(len(own) for own in places) + len(start) + len(end)
        if longest > vlm.context_length:
            raise DataError(
                f"The longest prompt has {longest} tokens, the model's context {vlm.context_length}: take fewer "
                "vectors (n_ctx), or shorter words."
            )
        sequences = [[*start, *(PLACEHOLDER for _ in own), *end] for own in places]
        rows = [[len(start) + number for number in range(len(own))] for own in places]
        own_places = [list(own) for own in places]
        return cls(sequences, rows, [0] * len(rows), list(class_names), n, tokenizer.pad_id, own_places)

    def padded(self, pad_id: int, length: int | None = None) -> tuple[Tensor, Tensor]:
        """Token ids (C, L) int64, padded after the end token, and the end token's rows (C,).

        L is `length`, or the longest sequence.
        """
        longest = max(len(ids) for ids in self.sequences)
        length = longest if length is None else length
        ids = torch.full((len(self.sequences), length), pad_id, dtype=torch.int64)
        for row, sequence in enumerate(self.sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence)
        ends = torch.tensor([len(sequence) - 1 for sequence in self.sequences])
        return ids, ends


def check_position(position: str) -> None:
    """Refuse a position that is none of `POSITIONS`.

    Raises:
        ConfigError: see above.
    """
    if position not in POSITIONS:
        raise ConfigError(
            f"position is {position!r}; allowed are {', '.join(map(repr, POSITIONS))}."
            + did_you_mean(position, POSITIONS)
        )
