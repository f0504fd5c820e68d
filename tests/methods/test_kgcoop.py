"""KgCoOp against golden numbers of the authors' code: logits, the distance, gradients, five steps."""

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.fit import Recipe, recipe_for
from coopt.methods import Batch, CoOp, KgCoOp
from coopt.prompting import TEMPLATES, template_features
from tests.goldens.golden import assert_close, golden_cases, golden_vlm
from tests.methods.feature_goldens import give_parameters, golden_batches, golden_steps

CASES = golden_cases("kgcoop")
NAMES = ["red fox", "barn owl", "tea", "crane (bird)", "very old steam locomotive"]


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    settings = meta["cfg"]
    method = KgCoOp(
        golden_vlm(meta["model"]),
        meta["classnames"],
        n_ctx=settings["N_CTX"],
        ctx_init="a photo of a" if settings["CTX_INIT"] else None,
        weight=settings["W"],
        templates=meta["template"],
    )
    give_parameters(method, meta)
    batches = golden_batches(method, meta)
    if "init.ctx" in golden:
        assert_close(method.ctx, golden["init.ctx"], 1e-6)
    assert_close(method.hand_written, golden["fixed_text_features"], 1e-5)
    assert_close(method(batches[0].images), golden["logits"], 1e-4)
    for step, losses in enumerate(golden_steps(method, batches, len(golden["step_loss"]))):
        assert losses.total.item() == pytest.approx(float(golden["step_loss"][step]), rel=1e-4)
        if step == 0:
            assert losses.terms["distance"].item() == pytest.approx(float(golden["score"]), abs=1e-6)
            assert_close(method.ctx.grad, golden["grad.ctx"], 1e-4)
    assert_close(method.ctx, golden["after.ctx"], 5e-6)  # notices a missing weight decay
    assert_close(method(batches[0].images), golden["logits_after"], 1e-4)


def test_the_loss_is_the_formula() -> None:
    """Cross entropy + 3.7 (1 - mean cosine), class by class in plain loops; half of the squared distance is the same.

    For unit vectors |a - b|^2 = 2 - 2 cos(a, b), the paper's form.
    """
    vlm = golden_vlm("vit_b")
    method = KgCoOp(vlm, NAMES, weight=3.7, ctx_init=None)
    images, labels = torch.randn(7, vlm.embed_dim), torch.arange(7) % len(NAMES)
    with torch.no_grad():
        losses = method.loss(Batch(images, labels))
        learned = method.encoder(method.ctx)
        given = template_features(vlm, NAMES, ["a photo of a {}."])
        cosines = [float(F.cosine_similarity(a, b, dim=0)) for a, b in zip(learned, given, strict=True)]
        squares = [float((F.normalize(a, dim=0) - b).square().sum()) for a, b in zip(learned, given, strict=True)]
        cross_entropy = F.cross_entropy(method(images), labels).item()
    distance = 1 - sum(cosines) / len(cosines)
    assert distance > 1e-3
    assert losses.terms["distance"].item() == pytest.approx(distance, rel=1e-4)
    assert losses.terms["distance"].item() == pytest.approx(sum(squares) / len(squares) / 2, rel=1e-3)
    assert losses.total.item() == pytest.approx(cross_entropy + 3.7 * distance, rel=1e-5)


def test_without_weight_it_is_coop() -> None:
    vlm = golden_vlm("vit_b")
    images, labels = torch.randn(7, vlm.embed_dim), torch.arange(7) % len(NAMES)
    own = KgCoOp(vlm, NAMES, weight=0.0)
    coop = CoOp(vlm, NAMES, ctx_init="a photo of a")
    assert own.loss(Batch(images, labels)).total.item() == coop.loss(Batch(images, labels)).total.item()


def test_half_precision_in_training_leaves_the_hand_written_features_alone() -> None:
    method = KgCoOp(golden_vlm("vit_b"), NAMES)
    with torch.autocast("cpu", torch.bfloat16):
        method.loss(Batch(torch.randn(7, 64), torch.arange(7) % len(NAMES)))
    assert torch.equal(method.hand_written, template_features(method.vlm, NAMES, ["a photo of a {}."]))


def test_prediction_never_encodes_the_hand_written_prompt() -> None:
    """It may be longer than the context has room for, where the learned prompt fits."""
    long = " ".join(["very"] * 70)
    method = KgCoOp(golden_vlm("vit_b"), ["cat", long], templates="a picture that shows one single {}.")
    assert method(torch.randn(3, 64)).shape == (3, 2)
    assert method.predictor().linear is not None


def test_the_papers_values_are_the_default() -> None:
    for preset in (None, "base-to-new", "few-shot"):
        assert recipe_for("kgcoop", preset=preset) == Recipe(batch_size=128, epochs=100)
    method = KgCoOp(golden_vlm("vit_b"), NAMES)
    assert method.weight == 8.0
    assert method.ctx.shape == (4, 64)
    assert method.templates == ["a photo of a {}."]
    assert method.new_classes
    assert KgCoOp(golden_vlm("vit_b"), NAMES, templates="imagenet-7").templates == TEMPLATES["imagenet-7"]


def test_settings_that_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match=r"weight is -1\.0; allowed is a number from 0"):
        KgCoOp(vlm, NAMES, weight=-1.0)
    with pytest.raises(ConfigError, match="n_ctx is 7, but ctx_init 'a photo of a' gives 4"):
        KgCoOp(vlm, NAMES, n_ctx=7)
    with pytest.raises(ConfigError, match="'a photo' .*nor a known name"):
        KgCoOp(vlm, NAMES, templates="a photo")
