"""Names of icons that show a digit.

`captions.clean_name` cuts a number at the end of a name, which mostly counts variants ("cat-2"); of an icon called
"numeric-3" or "square-number-3" it cuts what the picture shows. The last two stages give those icons their names back.
"""

import re

import numpy as np
import torch

from coopt.datasets.makers.scanned import DIGITS

from .captions import LIMITS
from .corpus import TAG_LENGTH, Corpus

_KINDS = "numeric number(?:-circle|-square|-small)? numbers digit keycap counter looks filter box-multiple"
_SHAPES = "circle square box box-multiple diamond hexagon octagon waves key small rounded"
_SHOWN = re.compile(
    rf"(?:(?:[a-z-]+-)?(?:{_KINDS.replace(' ', '|')})-)?"
    rf"({'|'.join(DIGITS)}|\d)(?:-(?:{_SHAPES.replace(' ', '|')}))*(?:-\d\d)?"
)


def shown_digit(name: str, style: str) -> int | None:
    """The digit that the icon called `name` shows; None where its name does not say so.

    Args:
        name: the icon's file name, such as "number-circle-three-fill".
        style: pattern of what names end in that says nothing of the thing.
    """
    previous = None
    while previous != name:
        previous, name = name, re.sub(style, "", name)
    match = _SHOWN.fullmatch(name)
    if not match:
        return None
    return DIGITS.index(match[1]) if match[1] in DIGITS else int(match[1])


def name_digits(corpus: Corpus, tags: list[str], names: list[tuple[str, str]], tokenizer) -> int:
    """Put "number three", "three" and "3" first among the names of icons that show a 3, in place.

    Args:
        corpus: the training set; its `tags` and `tag_ids` are changed.
        tags: the text of each tag, in the order of `corpus.tag_ids`.
        names: file name and style pattern of each icon, in the corpus' order.
        tokenizer: the model's.

    Returns:
        How many icons show a digit.

    Raises:
        ValueError: there are not as many names as icons.
    """
    if len(names) != len(corpus.style):
        raise ValueError(f"{len(names)} names were given for {len(corpus.style)} icons; draw and pack the sets again")
    index = {text: row for row, text in enumerate(tags)}
    columns = corpus.kind_columns["names"]
    found = 0
    for row, (name, style) in enumerate(names):
        digit = shown_digit(name, style)
        if digit is None:
            continue
        found += 1
        own = [index.setdefault(text, len(index)) for text in (f"number {DIGITS[digit]}", DIGITS[digit], str(digit))]
        own += [tag for tag in corpus.tags[row, columns].tolist() if tag >= 0 and tag not in own]
        own = own[: LIMITS["names"]]
        corpus.tags[row, columns] = torch.tensor(own + [-1] * (LIMITS["names"] - len(own)))
    new = list(index)[len(tags) :]
    if new:
        ids = np.full((len(new), TAG_LENGTH), -1)
        for row, tokens in enumerate(tokenizer(new, add_special_tokens=False).input_ids):
            ids[row, : len(tokens)] = tokens[:TAG_LENGTH]
        corpus.tag_ids = torch.cat([corpus.tag_ids, torch.from_numpy(ids)])
    return found
