"""VPT against golden numbers of the CLIP form's code, shallow and deep."""

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError, ModelError
from coopt.methods import VPT, ZeroShot
from tests.goldens.golden import assert_close, golden_cases, golden_vlm
from tests.methods.pixel_goldens import assert_steps_match, fill

CASES = golden_cases("vpt")


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    method = VPT(
        golden_vlm(meta["model"]),
        meta["classnames"],
        n_ctx=meta["cfg"]["N_CTX_VISION"],
        prompt_depth=meta["cfg"]["PROMPT_DEPTH_VISION"],
    )
    fill(method, meta)
    expected = F.normalize(torch.from_numpy(golden["fixed_text_features"]), dim=-1)  # stored before normalising
    assert_close(method.class_features(), expected.numpy(), 1e-5)
    assert_steps_match(method, meta, golden, lr=0.0035, after=2e-6)


def test_shallow_and_deep_are_among_the_cases() -> None:
    assert {meta["cfg"]["PROMPT_DEPTH_VISION"] for meta, _ in CASES.values()} >= {1, 3, 4}


def test_parameters_are_prompts_of_the_towers_width_in_as_many_blocks_as_there_are() -> None:
    vlm = golden_vlm("vit_b")  # 4 blocks of width 128
    shapes = {n: tuple(p.shape) for n, p in VPT(vlm, ["a", "b"], n_ctx=3, prompt_depth=12).named_parameters()}
    assert shapes == {"ctx_visual": (3, 128), "deep_visual": (3, 3, 128)}
    shapes = {n: tuple(p.shape) for n, p in VPT(vlm, ["a", "b"], n_ctx=3, prompt_depth=1).named_parameters()}
    assert shapes == {"ctx_visual": (3, 128)}


def test_the_start_is_the_papers_distribution() -> None:
    method = VPT(golden_vlm("vit_std"), ["a", "b"], n_ctx=31, prompt_depth=2)
    values = torch.cat([method.ctx_visual[None], method.deep_visual])
    assert abs(values.mean().item()) < 3e-4
    assert values.std().item() == pytest.approx(0.02, rel=0.02)


def test_the_text_side_is_the_hand_written_prompt() -> None:
    vlm, names = golden_vlm("vit_b"), ["tea", "barn_owl"]
    templates = ["a sketch of a {}.", "{} texture."]
    expected = ZeroShot(vlm, names, templates=templates).class_features()
    assert torch.equal(VPT(vlm, names, templates=templates).class_features(), expected)


def test_what_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="n_ctx is 0; allowed is a whole number from 1"):
        VPT(golden_vlm("vit_b"), ["a", "b"], n_ctx=0)
    with pytest.raises(ConfigError, match="prompt_depth is 0; allowed"):
        VPT(golden_vlm("vit_b"), ["a", "b"], prompt_depth=0)
    with pytest.raises(ModelError, match=r"image tower of '.*rn_a.*' is a ResNet\. Choose .*'ViT-B/16'.*such as coop"):
        VPT(golden_vlm("rn_a"), ["a", "b"])
