"""MaPLe against golden numbers of the authors' code: coupling, depth, words that stay, other widths than theirs."""

import pytest
import torch

from coopt.errors import ConfigError, ModelError
from coopt.methods import MaPLe
from tests.goldens.golden import assert_close, golden_cases, golden_vlm
from tests.methods.pixel_goldens import assert_steps_match, fill

CASES = golden_cases("maple")


def build(meta: dict) -> MaPLe:
    cfg = meta["cfg"]
    method = MaPLe(
        golden_vlm(meta["model"]),
        meta["classnames"],
        n_ctx=cfg["N_CTX"],
        prompt_depth=cfg["PROMPT_DEPTH"],
        ctx_init=cfg["CTX_INIT"] or None,
    )
    fill(method, meta)
    return method


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    method = build(meta)
    if "init.prompt_learner.ctx" in golden:
        assert_close(method.ctx, golden["init.prompt_learner.ctx"], 1e-6)
    assert_steps_match(method, meta, golden, lr=0.0035, after=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_tokens_are_the_authors(name: str) -> None:
    """The phrase stays whole whatever number of its tokens is learned; more vectors than words ignore it."""
    meta, golden = CASES[name]
    layout = build(meta).encoder.layout
    ids, ends = layout.padded(0, 77)
    tokens = torch.from_numpy(golden["token_ids"]).long()
    written = torch.ones_like(ids, dtype=torch.bool).scatter(1, torch.tensor(layout.ctx_rows), False)
    assert torch.equal(ends, tokens.argmax(-1))
    assert torch.equal(ids[written], tokens[written])


def test_there_are_learned_words_kept_words_and_no_words_among_the_cases() -> None:
    assert {meta["cfg"]["N_CTX"] for meta, _ in CASES.values()} >= {2, 3, 4, 5}
    assert any(not meta["cfg"]["CTX_INIT"] for meta, _ in CASES.values())
    assert {meta["model"] for meta, _ in CASES.values()} == {"vit_a", "vit_b", "vit_std"}


def test_visual_prompts_are_projected_text_prompts() -> None:
    """The coupling, layer by layer and row by row."""
    method = MaPLe(golden_vlm("vit_b"), ["tea", "owl"], n_ctx=3, prompt_depth=9)
    first, deep = method.visual_prompts()
    assert deep is not None
    assert method.deep is not None
    assert deep.shape == (3, 3, 128)  # 4 blocks
    for layer, text, visual in zip(method.coupling, [method.ctx, *method.deep], [first, *deep], strict=True):
        expected = torch.stack([layer.weight @ row + layer.bias for row in text])
        assert torch.allclose(visual, expected, atol=1e-6)


def test_the_deep_couplings_start_as_copies_of_one_layer_and_learn_apart() -> None:
    """`_get_clones` of the authors' trainers/maple.py; the first coupling is a layer of its own."""
    first, *deep = MaPLe(golden_vlm("vit_b"), ["tea", "owl"], n_ctx=3, prompt_depth=4).coupling
    assert len(deep) == 3
    for layer in deep[1:]:
        assert torch.equal(layer.weight, deep[0].weight) and torch.equal(layer.bias, deep[0].bias)
        assert layer.weight is not deep[0].weight
    assert not torch.equal(first.weight, deep[0].weight)
    with torch.no_grad():
        deep[1].weight += 1
    assert not torch.equal(deep[1].weight, deep[0].weight)


def test_a_loss_reaches_the_text_prompts_through_the_image_alone() -> None:
    method = MaPLe(golden_vlm("vit_b"), ["tea", "owl"], prompt_depth=3)
    method.image_encoder(torch.randn(2, 3, 64, 64), *method.visual_prompts()).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in method.parameters())


def test_what_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="n_ctx is 0; allowed is a whole number from 1"):
        MaPLe(golden_vlm("vit_b"), ["a", "b"], n_ctx=0)
    with pytest.raises(ConfigError, match="prompt_depth is -2; allowed is a whole number from 1"):
        MaPLe(golden_vlm("vit_b"), ["a", "b"], prompt_depth=-2)
    with pytest.raises(ModelError, match="is a ResNet"):
        MaPLe(golden_vlm("rn_a"), ["a", "b"])
