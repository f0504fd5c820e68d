"""IVLP against golden numbers of the authors' code: both towers, unequal depths and numbers, language alone."""

import pytest
import torch

from coopt.errors import ConfigError, ModelError
from coopt.methods import IVLP, build_method
from coopt.methods.settings import find_preset
from tests.goldens.golden import assert_close, golden_cases, golden_vlm
from tests.methods.pixel_goldens import assert_steps_match, fill

CASES = golden_cases("ivlp")


def build(meta: dict) -> IVLP:
    cfg = meta["cfg"]
    method = IVLP(
        golden_vlm(meta["model"]),
        meta["classnames"],
        n_ctx=cfg["N_CTX_TEXT"],
        n_ctx_vision=cfg["N_CTX_VISION"],
        prompt_depth=cfg["PROMPT_DEPTH_TEXT"],
        prompt_depth_vision=cfg["PROMPT_DEPTH_VISION"],
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
    assert_steps_match(method, meta, golden, lr=0.0035, after=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_tokens_are_the_authors(name: str) -> None:
    """The phrase stays whole; where a vector is learned, the token behind it is not looked at."""
    meta, golden = CASES[name]
    layout = build(meta).encoder.layout
    ids, ends = layout.padded(0, 77)
    tokens = torch.from_numpy(golden["token_ids"]).long()
    written = torch.ones_like(ids, dtype=torch.bool).scatter(1, torch.tensor(layout.ctx_rows), False)
    assert torch.equal(ends, tokens.argmax(-1))
    assert torch.equal(ids[written], tokens[written])


def test_language_alone_needs_features_only_and_any_image_tower() -> None:
    vlm = golden_vlm("rn_a")
    method = build_method("ivlp", vlm, ["tea", "owl"], find_preset("ivlp", "language-only").settings)
    assert method.inputs.kind == "features"
    assert {name: tuple(p.shape) for name, p in method.named_parameters()} == {"ctx": (4, 64), "deep": (2, 4, 64)}
    features = torch.randn(5, vlm.embed_dim)
    classifier = method.predictor().linear
    assert classifier is not None
    with torch.no_grad():
        assert torch.allclose(classifier(features), method(features), atol=1e-4)


def test_parameters_follow_numbers_depths_and_widths() -> None:
    method = IVLP(
        golden_vlm("vit_a"), ["a", "b"], n_ctx=5, n_ctx_vision=7, prompt_depth=2, prompt_depth_vision=12, ctx_init=None
    )
    assert {name: tuple(p.shape) for name, p in method.named_parameters()} == {
        "ctx": (5, 128),
        "deep": (1, 5, 128),
        "ctx_visual": (7, 64),
        "deep_visual": (2, 7, 64),
    }


def test_what_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match="n_ctx is 0; allowed is a whole number from 1"):
        IVLP(vlm, ["a", "b"], n_ctx=0)
    with pytest.raises(ConfigError, match="n_ctx_vision is -1; allowed is a whole number from 0"):
        IVLP(vlm, ["a", "b"], n_ctx_vision=-1)
    with pytest.raises(ConfigError, match="prompt_depth_vision is 0; allowed is a whole number from 1"):
        IVLP(vlm, ["a", "b"], prompt_depth_vision=0)
    with pytest.raises(ModelError, match="is a ResNet"):
        IVLP(golden_vlm("rn_a"), ["a", "b"])
