"""Where prompts start: which words are learned, which stay, and what is drawn."""

import pytest
import torch

from coopt.errors import ConfigError
from coopt.methods import METHODS, build_method
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, start_context
from tests.goldens.golden import golden_vlm

NAMES = ["red fox", "barn owl", "tea"]
PHRASE = "a photo of the"


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return golden_vlm("vit_b")


def test_without_a_number_every_token_is_learned(vlm: VLM) -> None:
    ids = vlm.tokenizer.encode(PHRASE)
    ctx, words = start_context(vlm, None, "a_photo of the ", default=16)
    assert torch.equal(ctx, vlm.text.vocabulary[ids])
    assert words == []


@pytest.mark.parametrize("too_few", ["refuse", "random", "zeros"])
def test_the_first_tokens_are_learned_and_the_others_stay(vlm: VLM, too_few: str) -> None:
    ids = vlm.tokenizer.encode(PHRASE)
    ctx, words = start_context(vlm, 3, PHRASE, too_few=too_few)
    assert torch.equal(ctx, vlm.text.vocabulary[ids[:3]])
    assert words == ids[3:]


def test_more_vectors_than_tokens(vlm: VLM) -> None:
    with pytest.raises(ConfigError, match="n_ctx is 7, but ctx_init 'a photo of the' gives 4 tokens.*ctx_init=none"):
        start_context(vlm, 7, PHRASE)
    torch.manual_seed(3)
    random, words = start_context(vlm, 7, PHRASE, too_few="random")
    torch.manual_seed(3)
    assert torch.equal(random, 0.02 * torch.randn(7, vlm.text.width))
    assert words == []
    filled, words = start_context(vlm, None, PHRASE, default=7, too_few="zeros")
    assert torch.equal(filled[3:], start_context(vlm, None, PHRASE)[0])
    assert not filled[:3].any()
    assert words == []


def test_without_words_the_start_is_drawn(vlm: VLM) -> None:
    for n_ctx, n_sets, shape in ((None, None, (5, 64)), (3, None, (3, 64)), (3, 7, (7, 3, 64))):
        torch.manual_seed(3)
        ctx, words = start_context(vlm, n_ctx, None, default=5, n_sets=n_sets)
        torch.manual_seed(3)
        assert torch.equal(ctx, 0.02 * torch.randn(*shape))
        assert words == []
    with pytest.raises(ConfigError, match="n_ctx is 0; allowed is a whole number from 1"):
        start_context(vlm, 0, None)
    with pytest.raises(ConfigError, match="ctx_init is '_ '; give at least one word"):
        start_context(vlm, None, "_ ")


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("n_ctx", [1, 2, 3, 4])
def test_before_training_the_prompt_is_the_written_one(vlm: VLM, n_ctx: int, position: str) -> None:
    """However many of the words are learned, through the packed path, the plain one and the model's own encoder."""
    ctx, words = start_context(vlm, n_ctx, PHRASE)
    layout = PromptLayout.build(vlm, NAMES, n_ctx, position, words=words)
    encoder = PromptEncoder(vlm.text, layout)
    written = {"end": f"{PHRASE} {{}}.", "middle": "a photo {} of the.", "front": f"{{}} {PHRASE}."}[position]
    expected = vlm.encode_text(vlm.tokenize([written.format(name) for name in NAMES]))
    for features in (encoder(ctx), encoder.dense(ctx)):
        assert (features - expected).abs().max() < 2e-6 * expected.abs().max()


@pytest.mark.parametrize("key", ["coop", "cocoop", "kgcoop", "prograd", "tpt", "maple", "ivlp", "promptsrc"])
def test_every_method_learns_the_first_tokens_only(vlm: VLM, key: str) -> None:
    """The words that stay are in the sequences of every class, after the learned ones."""
    settings = {"templates": [f"{PHRASE} {{}}."]} if key in ("promptsrc", "prograd") else {}
    method = build_method(key, vlm, NAMES, {"ctx_init": PHRASE, "n_ctx": 2, **settings})
    ids = vlm.tokenizer.encode(PHRASE)
    assert torch.equal(method.ctx, vlm.text.vocabulary[ids[:2]])
    assert all(sequence[3:5] == ids[2:] for sequence in method.encoder.layout.sequences)
    assert method.encoder.layout.ctx_rows == [[1, 2]] * 3


@pytest.mark.parametrize(("key", "number"), [("coop", 16), ("cocoop", 4), ("kgcoop", 4), ("prograd", 16), ("tpt", 4)])
def test_the_papers_numbers(vlm: VLM, key: str, number: int) -> None:
    method = build_method(key, vlm, NAMES, {"ctx_init": None})
    assert method.ctx.shape == (number, 64)
    with pytest.raises(ConfigError, match="n_ctx is 0"):
        METHODS[key](vlm, NAMES, n_ctx=0)
    if key != "prograd":
        long = build_method(key, vlm, NAMES, {"ctx_init": "a very old photo of the"})
        assert long.ctx.shape == (6, 64)
        assert long.settings["n_ctx"] == 6  # what was found; it makes the same method again
