"""Deep text prompts, and words that stay behind them: held to hooks on the library's own text tower, causal or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from coopt.errors import DataError
from coopt.methods import Batch, build_method
from coopt.models import VLM, load_model
from coopt.prompting import PromptEncoder, PromptLayout, start_context
from tests.goldens.golden import golden_vlm
from tests.models.folders import clip_folder, relative_error, siglip_folder

NAMES = ["dog", "big red bird", "cat"]


@pytest.fixture(scope="module")
def vlms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VLM]:
    found = {"openai": golden_vlm("vit_b")}
    for name, make in (("clip", clip_folder), ("siglip", siglip_folder)):
        folder = tmp_path_factory.mktemp(name)
        make(folder)
        found[name] = load_model(str(folder))
    return found


@contextmanager
def hooked(vlm: VLM, ctx: Tensor, deep: Tensor) -> Iterator[None]:
    """The library's text tower with `ctx` in the place of the tokens behind the start token, if there is one."""
    model: Any = vlm.module.text_model
    first = 0 if vlm.tokenizer.bos_id is None else 1
    handles = []

    def put(x: Tensor, rows: Tensor) -> Tensor:
        return torch.cat([x[:, :first], rows.expand(len(x), -1, -1), x[:, first + len(rows) :]], dim=1)

    def replace(rows: Tensor):
        def change(_: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            if args:
                return (put(args[0], rows), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": put(kwargs["hidden_states"], rows)}

        return change

    handles.append(model.embeddings.token_embedding.register_forward_hook(lambda _, __, output: put(output, ctx)))
    for layer, rows in zip(model.encoder.layers[1:], deep, strict=False):
        handles.append(layer.register_forward_pre_hook(replace(rows), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(("name", "depth"), [("openai", 1), ("openai", 3), ("openai", 4), ("clip", 2), ("siglip", 2)])
def test_deep_prompts_and_kept_words_equal_hooks_on_the_librarys_module(
    vlms: dict[str, VLM], name: str, depth: int
) -> None:
    vlm = vlms[name]
    phrase = "a photo of a"
    start, words = start_context(vlm, 2, phrase, too_few="random")
    layout = PromptLayout.build(vlm, NAMES, 2, words=words)
    encoder = PromptEncoder(vlm.text, layout)
    assert encoder.is_packed == (name != "siglip")
    with torch.no_grad():
        whole = vlm.encode_text(vlm.tokenize([f"{phrase} {n}." for n in NAMES]))
        assert relative_error(encoder(start), whole) < 1e-5  # nothing learned yet: the phrase itself
    ctx = torch.randn(2, vlm.text.width, requires_grad=True)
    deep = torch.randn(depth - 1, 2, vlm.text.width, requires_grad=True)
    features = encoder(ctx, deep if depth > 1 else None)
    with hooked(vlm, ctx, deep):
        expected = vlm.encode_text(vlm.tokenize([f"{phrase} {n}." for n in NAMES]))
    assert relative_error(features.detach(), expected.detach()) < 2e-5
    assert relative_error(features.detach(), whole) > 1e-2
    direction, wanted = torch.randn_like(features), [ctx, deep] if depth > 1 else [ctx]
    ours = torch.autograd.grad((features * direction).sum(), wanted)
    theirs = torch.autograd.grad((expected * direction).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        assert relative_error(one, other) < 1e-4


def test_a_phrase_gives_its_first_tokens_and_keeps_the_others(vlms: dict[str, VLM]) -> None:
    vlm = vlms["openai"]
    ids = vlm.tokenizer.encode("a photo of a")
    start, words = start_context(vlm, 3, "a_photo of a ")
    assert words == ids[3:]
    assert torch.equal(start, vlm.text.vocabulary[ids[:3]])
    for phrase, n_ctx in ((None, 2), ("", 2), ("a photo of a", 5)):
        start, words = start_context(vlm, n_ctx, phrase, too_few="random")
        assert words == []
        assert start.shape == (n_ctx, vlm.text.width)
        assert 0.005 < start.std().item() < 0.05


def test_kept_words_count_against_the_context_and_survive_a_cut(vlms: dict[str, VLM]) -> None:
    vlm = vlms["openai"]
    long = " ".join(["very"] * 73)
    with pytest.raises(DataError, match="its prompt 80"):
        PromptLayout.build(vlm, [long, "tea"], 2, words=[320, 321])
    layout = PromptLayout.build(vlm, [long, "tea"], 2, words=[320, 321], truncate_names=True)
    assert [len(ids) for ids in layout.sequences] == [77, 8]
    assert all(ids[3:5] == [320, 321] for ids in layout.sequences)
    assert layout.ctx_rows == [[1, 2], [1, 2]]
    assert layout.name_lengths == [70, 1]


@pytest.mark.parametrize("key", ["ivlp", "maple", "promptsrc"])
def test_methods_learn_on_a_tower_that_is_not_causal(vlms: dict[str, VLM], key: str) -> None:
    vlm = vlms["siglip"]
    settings = {"templates": ["a photo of a {}."]} if key == "promptsrc" else {}
    method = build_method(key, vlm, NAMES, settings)
    pixels, labels = torch.randn(5, 3, 34, 34), torch.tensor([0, 1, 2, 1, 0])
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01)
    found = []
    for _ in range(6):
        optimizer.zero_grad()
        losses = method.gradients(Batch(pixels, labels), lambda loss: loss)
        assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in method.parameters())
        optimizer.step()
        found.append(losses.total.item())
    assert found[-1] < found[0]
