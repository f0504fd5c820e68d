"""Layout and encoding: the embedded path is the model's own text encoder, for every layout and tower."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coopt.errors import ConfigError
from coopt.models import VLM, load_model
from coopt.prompting import PromptEncoder, PromptLayout, encode_dense, nearest_words, start_context
from tests.goldens.golden import golden_vlm

PLAIN = ["tea", "barn owl", "very old steam locomotive", "steak-knife"]
NAMES = ["tea", "barn owl", "very old steam locomotive", "crane (bird)", "Wow!"]


def vlms() -> dict[str, VLM]:
    return {"vit_a": golden_vlm("vit_a"), "rn_a": golden_vlm("rn_a"), "builtin": load_model("builtin")}


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("name", ["vit_a", "rn_a", "builtin"])
def test_word_embeddings_as_context_are_the_written_prompt(name: str, position: str) -> None:
    """With the words' own embeddings as context, the prompt is that text, through the model's own encoder."""
    vlm = vlms()[name]
    words = "a photo of the"
    ctx = start_context(vlm, None, words)[0]
    layout = PromptLayout.build(vlm, PLAIN, len(ctx), position)
    written = {
        "end": [f"a photo of the {text}." for text in PLAIN],
        "middle": [f"a photo {text} of the." for text in PLAIN],
        "front": [f"{text} a photo of the." for text in PLAIN],
    }[position]
    expected = vlm.encode_text(vlm.tokenize(written))
    actual = PromptEncoder(vlm.text, layout)(ctx)
    difference = (actual - expected).abs().amax(-1) / expected.abs().max()
    assert difference.max() < 2e-6


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=2, max_size=6),
    n_ctx=st.integers(0, 9),
    position=st.sampled_from(["end", "middle", "front"]),
)
def test_every_hole_is_one_row_between_start_and_end(lengths: list[int], n_ctx: int, position: str) -> None:
    vlm = golden_vlm("vit_b")
    names = [" ".join(["tea"] * n) for n in lengths]
    layout = PromptLayout.build(vlm, names, n_ctx, position)
    for n, ids, rows in zip(lengths, layout.sequences, layout.ctx_rows, strict=True):
        assert len(ids) == 1 + n_ctx + n + 1 + 1
        assert (ids[0], ids[-1]) == (vlm.tokenizer.bos_id, vlm.tokenizer.eos_id)
        assert len(set(rows)) == n_ctx
        assert all(0 < row < len(ids) - 1 for row in rows)
        rest = [i for k, i in enumerate(ids) if k not in rows]
        assert rest[1:-1] == vlm.tokenizer.encode(" ".join(["tea"] * n) + ".")


def test_padding_behind_the_end_changes_nothing() -> None:
    vlm = golden_vlm("vit_a")
    layout = PromptLayout.build(vlm, NAMES, 3)
    ctx = torch.randn(3, vlm.text.width)
    features = []
    for length in (None, 77):
        ids, ends = layout.padded(vlm.tokenizer.pad_id, length)
        tokens = vlm.text.token_embedding(ids)
        tokens[torch.arange(5)[:, None], torch.tensor(layout.ctx_rows)] = ctx
        features.append(encode_dense(vlm.text, tokens, ends))
    assert torch.allclose(*features, atol=1e-5)
    assert torch.allclose(features[0], PromptEncoder(vlm.text, layout)(ctx), atol=1e-5)


def test_a_context_of_another_shape_is_refused() -> None:
    vlm = golden_vlm("vit_b")
    encoder = PromptEncoder(vlm.text, PromptLayout.build(vlm, NAMES, 4))
    with pytest.raises(ConfigError, match=r"shape \(5, 64\); this layout takes \(4, 64\) .* or \(5, 4, 64\)"):
        encoder(torch.zeros(5, 64))


def test_nearest_words_of_a_word_is_that_word() -> None:
    vlm = load_model("builtin")
    ctx = start_context(vlm, None, "a red icon")[0]
    found = nearest_words(vlm, ctx, k=3)
    assert [row[0].word for row in found] == ["a", "red", "icon"]
    assert all(row[0].distance < 1e-2 for row in found)
    table = vlm.text.vocabulary
    for vector, row in zip(ctx, found, strict=True):
        plain = (table - vector).norm(dim=-1).sort().values[:3]
        assert torch.allclose(torch.tensor([w.distance for w in row]), plain, atol=1e-2)


def test_gradients_reach_every_context_vector() -> None:
    vlm = golden_vlm("vit_b")
    for position in ("end", "middle", "front"):
        ctx = torch.randn(4, 64, requires_grad=True)
        PromptEncoder(vlm.text, PromptLayout.build(vlm, NAMES, 4, position))(ctx).square().sum().backward()
        assert ctx.grad is not None
        assert bool((ctx.grad.abs().amax(-1) > 1e-4).all())
