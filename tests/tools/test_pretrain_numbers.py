"""Icons that show a digit are named after it, and numbers of variants are not mistaken for it."""

import json

import pytest
import torch

from tools.pretrain import align, corpus, numbers, tokenizer
from tools.pretrain.captions import KINDS

STYLE = r"-(outline|filled|fill|24)$"


@pytest.mark.parametrize(
    ("name", "digit"),
    [
        ("numeric-3-box-outline", 3),
        ("number-circle-three-fill", 3),
        ("number-circle-0-24-filled", 0),
        ("square-rounded-number-9-filled", 9),
        ("keycap-5", 5),
        ("7", 7),
        ("2-circle", 2),
        ("cat-2", None),
        ("number-12", None),
        ("clock-time-three", None),
        ("stone", None),
        ("settings-4-fill", None),
    ],
)
def test_digits_in_names(name, digit):
    assert numbers.shown_digit(name, STYLE) == digit


def test_icons_of_digits_are_called_so_and_drawn_more_often(work):
    """In the small training set the icons are called "0" to "12" and "0" to "15"."""
    before, after = corpus.load(work / "corpus"), align.load_corpus(work, 4.0)
    texts = json.loads((work / "captions" / "tags.json").read_text())
    known = tokenizer.load(work / "tokenizer")
    spoken = {
        text: after.tag_ids[len(texts) :].tolist().index(ids + [-1] * (corpus.TAG_LENGTH - len(ids))) + len(texts)
        for text, ids in ((text, known(text, add_special_tokens=False).input_ids) for text in ("number nine", "9"))
    }
    names = after.tags[:, after.kind_columns["names"]]
    for text, tag in spoken.items():
        assert (names == tag).any(1).nonzero()[:, 0].tolist() == [9, 13 + 9], text
    changed = (before.tags != after.tags).any(1)
    assert changed.nonzero()[:, 0].tolist() == [*range(10), *range(13, 23)]
    assert torch.equal(after.weight, before.weight * torch.where(changed, 4.0, 1.0))
    for kind in KINDS[1:]:
        columns = after.kind_columns[kind]
        assert torch.equal(before.tags[:, columns], after.tags[:, columns])


def test_names_that_do_not_belong_to_the_training_set_are_refused(work):
    packed = corpus.load(work / "corpus")
    with pytest.raises(ValueError, match="3 names were given for 29 icons; draw and pack the sets again"):
        numbers.name_digits(packed, [], [("3", "$^")] * 3, None)
