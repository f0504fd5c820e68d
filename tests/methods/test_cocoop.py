"""CoCoOp against golden numbers of the authors' code: logits, gradients, five steps, a whole run; its memory."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.fit import Recipe, fit, recipe_for
from coopt.methods import Batch, CoCoOp
from tests.goldens.golden import assert_close, golden_cases, golden_vlm
from tests.methods.feature_goldens import give_parameters, golden_batches, golden_steps

CASES = golden_cases("cocoop")
(RUN,) = [case for case in golden_cases("protocol").values() if case[0]["method"] == "CoCoOp"]
PARAMETERS = ("ctx", *(f"meta_net.linear{layer}.{kind}" for layer in (1, 2) for kind in ("weight", "bias")))
NAMES = ["red fox", "barn owl", "tea", "crane (bird)", "very old steam locomotive"]


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    words = meta["ctx_init"] or None
    method = CoCoOp(golden_vlm(meta["model"]), meta["classnames"], n_ctx=meta["n_ctx"], ctx_init=words)
    assert {key: tuple(p.shape) for key, p in method.named_parameters()} == {
        key: golden[f"grad.{key}"].shape for key in PARAMETERS
    }
    give_parameters(method, meta)
    batches = golden_batches(method, meta)
    if words:
        assert_close(method.ctx, golden["init.ctx"], 1e-6)
    assert_close(method(batches[0].images), golden["logits"], 1e-4)
    for step, losses in enumerate(golden_steps(method, batches, len(golden["step_loss"]))):
        assert losses.total.item() == pytest.approx(float(golden["step_loss"][step]), rel=1e-4)
        if step == 0:
            for key, parameter in method.named_parameters():
                assert_close(parameter.grad, golden[f"grad.{key}"], 1e-4)
    for key, parameter in method.named_parameters():
        assert_close(parameter, golden[f"after.{key}"], 5e-6)  # notices a missing weight decay
    assert_close(method(batches[0].images), golden["logits_after"], 1e-4)


def test_a_whole_run_matches_the_authors_trainer() -> None:
    meta, golden = RUN
    method = CoCoOp(golden_vlm(meta["model"]), meta["classnames"], n_ctx=meta["cfg"]["N_CTX"], ctx_init=None)
    give_parameters(method, meta)
    batches, n = golden_batches(method, meta), meta["batches_per_epoch"]

    class Given:
        """The golden batches, in the golden order, whatever order the loop asks for."""

        def __len__(self) -> int:
            return n

        def batches(self, epoch: int, indices: list, first_step: int = 0) -> Iterator[Batch]:
            assert len(indices) == n
            yield from batches[epoch * n : epoch * n + n]

    contexts: list[torch.Tensor] = []
    recipe = recipe_for("cocoop", {"epochs": meta["epochs"]})
    assert recipe.batch_size == 1
    fit(method, Given(), recipe, seed=1, on_epoch=lambda _: contexts.append(method.ctx.detach().clone()))
    for ctx, expected in zip(contexts, golden["ctx_after_epoch"], strict=True):
        assert_close(ctx, expected, 1e-5)
    for key in PARAMETERS:
        assert_close(method.get_parameter(key), golden[f"after.{key}"], 1e-5)
    assert_close(method(batches[0].images), golden["logits_after"], 1e-4)


def test_logits_are_the_formula() -> None:
    """Section 3.2 in plain loops: one image, one class at a time, by the plain path of the text tower."""
    vlm = golden_vlm("vit_b")
    method = CoCoOp(vlm, NAMES)
    images = 3 * torch.randn(7, vlm.embed_dim)
    first, second = method.meta_net.linear1, method.meta_net.linear2
    with torch.no_grad():
        logits = method(images)
        for i, image in enumerate(images):
            x = image / image.norm()
            shift = second.weight @ (first.weight @ x + first.bias).clamp(min=0) + second.bias
            text = method.encoder.dense(method.ctx + shift)
            for c in range(len(NAMES)):
                cosine = float(F.cosine_similarity(x, text[c], dim=0))
                assert float(logits[i, c]) == pytest.approx(vlm.logit_scale * cosine, abs=1e-4 * vlm.logit_scale)


def test_the_length_of_a_feature_changes_nothing() -> None:
    method = CoCoOp(golden_vlm("vit_b"), NAMES)
    images = torch.randn(7, method.vlm.embed_dim)
    with torch.no_grad():
        assert torch.allclose(method(17.0 * images), method(images), atol=1e-3)


def test_prediction_takes_as_many_images_at_a_time_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """23 images where 5 fit: the text tower never sees more, and the logits are the same."""
    method = CoCoOp(golden_vlm("vit_b"), NAMES)
    images = torch.randn(23, method.vlm.embed_dim)
    seen: list[int] = []
    encode = method.encoder.encode_batch

    def watched(ctx: torch.Tensor) -> torch.Tensor:
        seen.append(len(ctx))
        return encode(ctx)

    with torch.no_grad():
        whole = method(images)
        n_tokens = 1 + 4 + sum(len(ids) - 5 for ids in method.encoder.layout.sequences)
        monkeypatch.setattr(method.encoder, "encode_batch", watched)
        monkeypatch.setattr(method.encoder, "_tokens_that_fit", 5 * (n_tokens + 1))
        assert torch.allclose(method(images), whole, atol=1e-4)
    assert seen == [5, 5, 5, 5, 3]


def test_the_papers_recipe_is_the_default() -> None:
    for preset in (None, "base-to-new", "cross-dataset"):
        recipe = recipe_for("cocoop", preset=preset)
        assert recipe == Recipe(batch_size=1, epochs=10)
    method = CoCoOp(golden_vlm("vit_b"), NAMES)
    assert method.ctx.shape == (4, 64)
    assert method.meta_net.linear1.weight.shape == (4, 64)  # a sixteenth of the feature
    assert method.class_features() is None
    assert method.predictor().linear is None


def test_settings_that_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match="n_ctx is 7, but ctx_init 'a photo of a' gives 4.*ctx_init=none"):
        CoCoOp(vlm, NAMES, n_ctx=7)
    with pytest.raises(ConfigError, match="n_ctx is 0"):
        CoCoOp(vlm, NAMES, n_ctx=0, ctx_init=None)
    with pytest.raises(ConfigError, match="ctx_init is ' '; give at least one word"):
        CoCoOp(vlm, NAMES, ctx_init=" ")
    assert CoCoOp(vlm, NAMES, n_ctx=7, ctx_init=None).ctx.shape == (7, 64)
    assert CoCoOp(vlm, NAMES, ctx_init="an old photo of the").ctx.shape == (5, 64)
