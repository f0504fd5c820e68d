"""The packed path equals the plain one, forward and backward, for every layout, packing, chunk and tower."""

import functools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from coopt.errors import ConfigError
from coopt.models import VLM, load_model
from coopt.prompting import PromptEncoder, PromptLayout, packing
from coopt.prompting import encoder as encoder_module
from coopt.prompting.packed import encode_rows
from coopt.prompting.rows import PackedRows
from tests.goldens.gold_recipe import clip_weights
from tests.goldens.golden import MODELS, golden_vlm
from tests.models.folders import siglip_folder

TOWERS = ["vit_a", "vit_b", "rn_a", "builtin"]
WORDS = ["red", "red fox", "fox", "tea", "red barn owl", "steak-knife", "red fox terrier", "fox (animal)", "Wow!"]
LONG = " ".join(["very"] * 80)  # cut to the longest that fits


@functools.cache
def tower_of(name: str) -> VLM:
    return load_model("builtin") if name == "builtin" else golden_vlm(name)


def half_precision(folder: Path) -> VLM:
    """The golden tower vit_a in bfloat16."""
    weights = {key: torch.from_numpy(value) for key, value in clip_weights(MODELS["vit_a"]).items()}
    save_file(weights, folder / "vit_a.safetensors")
    return load_model(folder / "vit_a.safetensors", dtype="bfloat16")


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    assert actual.shape == expected.shape
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def leaf(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (0.3 * torch.randn(*shape, generator=generator)).requires_grad_()


def assert_same(fast: torch.Tensor, plain: torch.Tensor, leaves: list[torch.Tensor], tolerance: float = 1e-5) -> None:
    """Equal features, and equal gradients of a loss in which every feature has another weight."""
    weights = leaf(*plain.shape, seed=7).detach()
    expected = torch.autograd.grad((plain * weights).sum(), leaves)
    actual = torch.autograd.grad((fast * weights).sum(), leaves)
    assert relative(fast, plain) < tolerance
    for a, e in zip(actual, expected, strict=True):
        assert relative(a, e) < tolerance


prompts = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from([*WORDS, LONG]), min_size=1, max_size=11),
        "n_ctx": st.integers(1, 7),
        "position": st.sampled_from(["end", "middle", "front"]),
        "depth": st.integers(1, 3),
        "chunk": st.integers(1, 12),
    }
)


@pytest.mark.parametrize("name", TOWERS)
@settings(max_examples=14, deadline=None, derandomize=True)
@given(case=prompts, class_specific=st.booleans())
def test_equals_the_plain_path(name: str, case: dict, class_specific: bool) -> None:
    """Also with names twice, names that begin alike, and one name only."""
    vlm = tower_of(name)
    layout = PromptLayout.build(vlm, case["names"], case["n_ctx"], case["position"], truncate_names=True)
    depth = min(case["depth"], len(vlm.text.blocks))
    sets = (len(case["names"]),) if class_specific else ()
    ctx = leaf(*sets, case["n_ctx"], vlm.text.width)
    deep = leaf(depth - 1, case["n_ctx"], vlm.text.width, seed=1) if depth > 1 else None
    leaves = [ctx] if deep is None else [ctx, deep]
    encoder = PromptEncoder(vlm.text, layout, chunk=case["chunk"])
    assert_same(encoder(ctx, deep), encoder.dense(ctx, deep), leaves)


@pytest.mark.parametrize("name", TOWERS)
@settings(max_examples=7, deadline=None, derandomize=True)
@given(case=prompts, batch=st.integers(1, 5))
def test_a_batch_of_contexts_equals_one_after_another(name: str, case: dict, batch: int) -> None:
    vlm = tower_of(name)
    layout = PromptLayout.build(vlm, case["names"], case["n_ctx"], case["position"], truncate_names=True)
    depth = min(case["depth"], len(vlm.text.blocks))
    ctx = leaf(batch, case["n_ctx"], vlm.text.width)
    deep = leaf(depth - 1, case["n_ctx"], vlm.text.width, seed=1) if depth > 1 else None
    leaves = [ctx] if deep is None else [ctx, deep]
    encoder = PromptEncoder(vlm.text, layout, chunk=case["chunk"])
    assert_same(encoder.encode_batch(ctx, deep), torch.stack([encoder.dense(one, deep) for one in ctx]), leaves)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("n_bins", [1, 2, 7, 15])
@pytest.mark.parametrize("with_trunk", [True, False])
def test_every_packing_gives_the_same(position: str, n_bins: int, with_trunk: bool) -> None:
    """Few large bins, many small ones, the shared prefix in front of them or inside."""
    vlm = golden_vlm("vit_a")
    names = [f"{first} {second}" for first in ("red", "blue", "old") for second in WORDS[:5]]
    layout = PromptLayout.build(vlm, names, 3, position)
    ctx = leaf(2, 3, vlm.text.width)
    encoder = PromptEncoder(vlm.text, layout)
    keys = encoder._keys(False)
    n_prefix = packing.shared_prefix(keys) if with_trunk else 0
    groups = [[c for c in range(15) if c % n_bins == number] for number in range(n_bins)]
    packed = packing._fill(keys, groups, n_prefix)
    rows = PackedRows.build(vlm.text, packed, with_prefix=True)
    assert_same(encode_rows(vlm.text, rows, ctx, None, None), torch.stack([encoder.dense(one) for one in ctx]), [ctx])


def test_the_longest_name_that_fits() -> None:
    """Start, 5 vectors, 69 name tokens, full stop, end: all 77 positions."""
    vlm = golden_vlm("vit_a")
    layout = PromptLayout.build(vlm, ["tea", " ".join(["very"] * 69)], 5)
    assert [len(ids) for ids in layout.sequences] == [9, 77]
    ctx = leaf(5, vlm.text.width)
    encoder = PromptEncoder(vlm.text, layout)
    assert_same(encoder(ctx), encoder.dense(ctx), [ctx])


def test_each_distinct_token_goes_through_the_tower_once() -> None:
    """By hand: start and 4 vectors; "red" once for two classes; then "fox . end", "barn owl . end", "tea . end"."""
    vlm = golden_vlm("vit_b")
    layout = PromptLayout.build(vlm, ["red fox", "red barn owl", "tea"], 4)
    encoder = PromptEncoder(vlm.text, layout)
    assert packing.pack(encoder._keys(False), vlm.text.width).n_tokens == 5 + 1 + 3 + 4 + 3
    assert packing.pack(encoder._keys(True), vlm.text.width).n_tokens == 1 + (4 + 4) + (4 + 5) + (4 + 3)
    (rows,) = encoder._prompts(False, 1).chunks
    assert len(rows.tokens.embeddings) == 16


@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=1, max_size=13),
    n_shared=st.integers(1, 3),
    width=st.sampled_from([8, 64, 512]),
)
def test_each_token_attends_to_its_own_prompt(names: list[list[int]], n_shared: int, width: int) -> None:
    """What a prompt's tokens see, read off the mask, is the prompt up to that token: nothing else, nothing missing."""
    prompts = [[(100 + i,) for i in range(n_shared)] + [(i,) for i in name] + [(9,)] for name in names]
    packed = packing.pack(prompts, width)
    mask, n_prefix = packed.mask(), len(packed.prefix)
    assert n_prefix in (0, packing.shared_prefix(prompts))
    assert packed.bin_length <= max(max(map(len, prompts)), *packing.CAPACITIES) or len(packed.bins) == 1
    assert packed.n_tokens >= len({tuple(p[: i + 1]) for p in prompts for i in range(len(p))})
    for prompt, (group, place) in zip(prompts, packed.ends, strict=True):
        slots = packed.bins[group]
        seen = [int(i) - n_prefix for i in mask[group, place].nonzero()]
        keys = packed.prefix + [slots[i].key for i in seen if i >= 0]
        assert len(seen) == len(prompt) and keys == prompt
        assert [slots[i].position for i in seen if i >= 0] == list(range(n_prefix, len(prompt)))
        for i in seen:
            if i >= 0:
                earlier = {j for j in seen if j <= i}
                assert {int(j) - n_prefix for j in mask[group, i].nonzero()} == earlier
    for slots, rows in zip(packed.bins, mask, strict=True):
        for place in range(len(slots), packed.bin_length):
            assert rows[place].nonzero().flatten().tolist() == [n_prefix + place]


@pytest.mark.parametrize("class_specific", [False, True])
def test_the_result_does_not_depend_on_the_chunk(class_specific: bool) -> None:
    vlm = golden_vlm("vit_a")
    names = [f"{first} {second}" for first in ("red", "blue", "old", "tea") for second in WORDS]  # 36
    layout = PromptLayout.build(vlm, names, 5)
    ctx = leaf(*((36,) if class_specific else ()), 5, vlm.text.width)
    deep = leaf(1, 5, vlm.text.width, seed=1)
    whole = PromptEncoder(vlm.text, layout, chunk=36)(ctx, deep)
    for chunk in (1, 7, 35):
        encoder = PromptEncoder(vlm.text, layout, chunk=chunk)
        assert len(encoder._prompts(class_specific, 1).chunks) == -(-36 // chunk)
        with torch.no_grad():
            assert relative(encoder(ctx, deep), whole) < 2e-6
        assert_same(encoder(ctx, deep), PromptEncoder(vlm.text, layout, chunk=36)(ctx, deep), [ctx, deep], 2e-6)


def test_the_chunk_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = golden_vlm("vit_b")
    layout = PromptLayout.build(vlm, [f"{word} {i}" for i in range(10) for word in WORDS], 4)
    assert len(PromptEncoder(vlm.text, layout)._prompts(False, 1).chunks) == 1
    monkeypatch.setattr(encoder_module, "tokens_that_fit", lambda *sizes: 105)  # 5 of the prefix, then 100
    chunks = PromptEncoder(vlm.text, layout)._prompts(False, 1).chunks
    assert 5 <= len(chunks) <= 7
    assert all(len(rows.tokens.embeddings) <= 110 for rows in chunks)
    assert len(PromptEncoder(vlm.text, layout)._prompts(False, 4).chunks) > 4 * 5
    monkeypatch.setattr(encoder_module, "tokens_that_fit", lambda *sizes: 1)
    assert len(PromptEncoder(vlm.text, layout)._prompts(False, 1).chunks) == 90


def test_runs_are_equal_to_the_last_bit() -> None:
    vlm = golden_vlm("vit_a")
    names = [f"{first} {second}" for first in ("red", "blue", "old", "tea") for second in WORDS]
    ctx = leaf(3, 5, vlm.text.width)
    runs = []
    for _ in range(3):
        encoder = PromptEncoder(vlm.text, PromptLayout.build(vlm, names, 5, "middle"))
        features = encoder.encode_batch(ctx)
        runs.append((features, *torch.autograd.grad(features.square().sum(), [ctx])))
    for features, gradient in runs[1:]:
        assert torch.equal(features, runs[0][0])
        assert torch.equal(gradient, runs[0][1])


@pytest.mark.parametrize("chunk", [2, 9])
def test_mixed_and_half_precision(chunk: int, tmp_path: Path) -> None:
    """Under autocast, and with weights in bfloat16: as close to single precision as the plain path is."""
    vlm = golden_vlm("vit_a")
    layout = PromptLayout.build(vlm, WORDS, 3)
    ctx = leaf(3, vlm.text.width)
    encoder = PromptEncoder(vlm.text, layout, chunk=chunk)
    exact = encoder.dense(ctx)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, plain = encoder(ctx), encoder.dense(ctx)
    assert mixed.dtype == plain.dtype
    assert relative(mixed.float(), exact) < 1.5 * relative(plain.float(), exact) + 5e-3
    (gradient,) = torch.autograd.grad(mixed.float().square().sum(), [ctx])
    (expected,) = torch.autograd.grad(exact.square().sum(), [ctx])
    assert relative(gradient, expected) < 0.1

    half = half_precision(tmp_path)
    encoder = PromptEncoder(half.text, PromptLayout.build(half, WORDS, 3), chunk=chunk)
    features, plain = encoder(ctx), encoder.dense(ctx)
    assert features.dtype == torch.bfloat16
    assert relative(features.float(), exact) < 1.5 * relative(plain.float(), exact) + 5e-3
    (gradient,) = torch.autograd.grad(features.float().square().sum(), [ctx])
    assert gradient.dtype == torch.float32
    assert relative(gradient, expected) < 0.1


def test_a_tower_that_is_not_causal_takes_the_plain_path(tmp_path: Path) -> None:
    siglip_folder(tmp_path)
    vlm = load_model(str(tmp_path))
    encoder = PromptEncoder(vlm.text, PromptLayout.build(vlm, ["dog", "big cat"], 2))
    assert not encoder.is_packed
    ctx = leaf(3, 2, vlm.text.width)
    assert torch.equal(encoder(ctx[0]), encoder.dense(ctx[0]))
    assert_same(encoder.encode_batch(ctx), torch.stack([encoder.dense(one) for one in ctx]), [ctx])


def test_deep_vectors_replace_the_context_and_later_blocks_keep_what_flows_on() -> None:
    """Before block 1 the context's rows are the deep vectors, so the context itself then reaches nothing but the
    rows behind it through block 0."""
    vlm = golden_vlm("vit_a")
    encoder = PromptEncoder(vlm.text, PromptLayout.build(vlm, WORDS[:3], 2))
    one, other = leaf(2, vlm.text.width, seed=1), leaf(2, vlm.text.width, seed=2)
    deep = leaf(1, 2, vlm.text.width, seed=3)
    assert relative(encoder(one, deep), encoder(one)) > 1e-2
    assert relative(encoder(one, deep), encoder(other, deep)) > 1e-3
    assert relative(encoder(one, deep), encoder(one, 2 * deep)) > 1e-3


def test_shapes_and_settings_that_are_refused() -> None:
    vlm = golden_vlm("vit_b")
    layout = PromptLayout.build(vlm, WORDS, 4)
    width, n_blocks = vlm.text.width, len(vlm.text.blocks)
    encoder = PromptEncoder(vlm.text, layout)
    with pytest.raises(ConfigError, match=rf"shape \(3, 5, {width}\); this layout takes \(B, 4, {width}\)"):
        encoder.encode_batch(torch.zeros(3, 5, width))
    with pytest.raises(ConfigError, match=r"deep context has shape .* prompt depth J of at most"):
        encoder(torch.zeros(4, width), torch.zeros(n_blocks, 4, width))
    with pytest.raises(ConfigError, match="chunk is 0; it is a number of classes"):
        PromptEncoder(vlm.text, layout, chunk=0)
