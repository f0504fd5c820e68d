"""How sources call the parts of a data set: `train`, `seg_test`, `Training Set`, `images-val`, `train2017`."""

import re

from coopt.data.unicode import one_form

SPLIT_NAMES = {
    "train": "train", "training": "train", "trainval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""How sources call their parts, in lower case, and what they are here."""

_PLAIN = frozenset(
    "set sets data dataset datasets image images img imgs pic pics picture pictures photo photos file files folder dir "
    "split part subset all full final raw cropped resized original".split()
)
"""Words beside the name of a part that say nothing more."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_GLUED = re.compile(rf"({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))})(set|data|dataset|images?|imgs?|dir)?")


def part_of(name: str) -> str | None:
    """The part "train", "val" or "test" that a name has as one of its words; None where it has none, or several."""
    found = {part for part in map(_part_of_word, _words(name)) if part}
    if found == {"train", "val"}:  # `train_val`: the part before the test part
        return "train"
    return found.pop() if len(found) == 1 else None


def is_plain_part(name: str) -> bool:
    """Whether a name is that of a part and says nothing else: `Training_set`, and not `steam_train`."""
    words = _words(name)
    return part_of(name) is not None and all(_part_of_word(w) or w in _PLAIN or w.isdigit() for w in words)


def words_beside_part(name: str) -> tuple[str, ...]:
    """The words of a name without those for the part and without numbers: `seg` for `seg_train` and `seg_test`."""
    return tuple(word for word in _words(name) if not _part_of_word(word) and not word.isdigit())


def is_wrapper(name: str) -> bool:
    """Whether a name says only that there are files: `images`, `all_data`."""
    return bool(_words(name)) and all(word in _PLAIN for word in _words(name))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(one_form(name))]


def _part_of_word(word: str) -> str | None:
    match = _GLUED.fullmatch(word)
    return SPLIT_NAMES[match[1]] if match else None
