"""Names that do not fit the context: refused by name, or cut where that is asked for."""

import pytest

from coopt.errors import DataError
from coopt.methods import CoOp
from coopt.prompting import PromptLayout
from tests.goldens.golden import golden_vlm

LONG = " ".join(["very"] * 61 + ["long"])  # 62 tokens; with 13 vectors, start, full stop and end 78


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_a_cut_name_fills_the_context_exactly(position: str) -> None:
    vlm = golden_vlm("vit_b")
    layout = PromptLayout.build(vlm, ["tea", LONG], 13, position, truncate_names=True)
    ids, rows = layout.sequences[1], layout.ctx_rows[1]
    assert len(ids) == 77
    assert (ids[0], ids[-1]) == (vlm.tokenizer.bos_id, vlm.tokenizer.eos_id)
    left = [i for row, i in enumerate(ids) if row not in rows]
    assert left[1:-1] == vlm.tokenizer.encode(" ".join(["very"] * 61) + ".")  # "long" is gone, the full stop is not
    assert layout.name_lengths == [1, 61]
    assert layout.sequences[0] == PromptLayout.build(vlm, ["tea"], 13, position).sequences[0]


def test_a_name_that_is_too_long_is_named_with_its_tokens() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(DataError, match=r"13: 'very .* long' has 62 tokens, its prompt 78\. .*truncate_names"):
        PromptLayout.build(vlm, ["tea", LONG], 13)
    assert len(PromptLayout.build(vlm, ["tea", LONG], 12).sequences[1]) == 77


def test_cutting_leaves_at_least_one_token_of_the_name() -> None:
    vlm = golden_vlm("vit_b")
    layout = PromptLayout.build(vlm, ["barn owl", LONG], 73, truncate_names=True)
    assert layout.name_lengths == [1, 1]
    with pytest.raises(DataError, match="'barn owl' has 2 tokens, its prompt 79"):
        PromptLayout.build(vlm, ["barn owl"], 74, truncate_names=True)


def test_coop_passes_the_choice_on() -> None:
    method = CoOp(golden_vlm("vit_b"), ["tea", LONG], n_ctx=13, truncate_names=True)
    assert len(method.encoder.layout.sequences[1]) == 77
