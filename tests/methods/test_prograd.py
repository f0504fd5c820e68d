"""ProGrad against golden numbers of the authors' code: both losses, both gradients, the projection, the steps."""

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.fit import Recipe, recipe_for
from coopt.methods import Batch, Losses, ProGrad
from coopt.prompting import start_context, template_features
from tests.goldens.golden import assert_close, golden_cases, golden_vlm
from tests.methods.feature_goldens import give_parameters, golden_batches, golden_steps

CASES = golden_cases("prograd")
NAMES = ["red fox", "barn owl", "tea", "crane (bird)", "very old steam locomotive"]


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    settings = meta["cfg"]
    method = ProGrad(
        golden_vlm(meta["model"]),
        meta["classnames"],
        n_ctx=settings["N_CTX"],
        ctx_init="template" if settings["CTX_INIT"] else None,
        position=settings.get("CLASS_TOKEN_POSITION", "end"),
        projection=meta["LOSS"]["LAMBDA"],
        temperature=meta["LOSS"]["T"],
        templates=meta["template"],
    )
    give_parameters(method, meta)
    batches = golden_batches(method, meta)
    assert_close(method.ctx, golden["ctx0"], 1e-6)
    assert_close(method.hand_written, golden["zero_shot_text_features"], 1e-5)
    assert_close(method(batches[0].images), golden["logits"], 1e-4)
    for loss, key in ((lambda found: found.total, "grad_xe"), (lambda found: found.terms["general"], "grad_kl")):
        (alone,) = torch.autograd.grad(loss(method.loss(batches[0])), method.ctx)
        assert_close(alone, golden[key], 1e-4)
    for step, losses in enumerate(golden_steps(method, batches, meta["steps"])):
        assert losses.total.item() == pytest.approx(float(golden["step_xe_loss"][step]), rel=1e-4)
        assert losses.terms["general"].item() == pytest.approx(float(golden["step_kl_loss"][step]), rel=1e-4)
        if step == 0:
            assert_close(method.ctx.grad, golden["grad.ctx"], 1e-4)
    assert_close(method.ctx, golden["after.ctx"], 5e-6)  # notices a missing weight decay
    assert_close(method(batches[0].images), golden["logits_after"], 1e-4)


def test_there_are_steps_with_and_without_projection_among_the_cases() -> None:
    cosines = [float(cosine) for _, golden in CASES.values() for cosine in golden["cos"]]
    assert min(cosines) < -0.2
    assert max(cosines) > 0.2


def made_gradients(method: ProGrad, domain: torch.Tensor, general: torch.Tensor) -> torch.Tensor:
    """What `gradients` leaves where the two losses have the given gradients."""
    losses = Losses((method.ctx * domain).sum(), torch.zeros(1, 1), {"general": (method.ctx * general).sum()})
    method.loss = lambda batch: losses  # type: ignore[method-assign]
    method.gradients(Batch(torch.zeros(1)), lambda loss: 1024 * loss)
    assert method.ctx.grad is not None
    return method.ctx.grad / 1024


def test_the_projection_by_hand() -> None:
    """g = (3, 1), h = (-2, 0), g.h < 0: what opposes h is (3, 0), so that (0, 1) is left, or (1.5, 1) of half.

    With h = (2, 0) they agree, and g stays. A general gradient of zero says nothing. The scale of both is 1024.
    """
    method = ProGrad(golden_vlm("vit_b"), NAMES, n_ctx=2, ctx_init=None)

    def place(first: float, second: float) -> torch.Tensor:
        grid = torch.zeros_like(method.ctx)
        grid[0, 5], grid[1, 7] = first, second
        return grid

    domain = place(3.0, 1.0)
    assert torch.allclose(made_gradients(method, domain, place(-2.0, 0.0)), place(0.0, 1.0))
    assert torch.allclose(made_gradients(method, domain, place(2.0, 0.0)), domain)
    assert torch.allclose(made_gradients(method, domain, place(0.0, 0.0)), domain)
    method.projection = 0.5
    assert torch.allclose(made_gradients(method, domain, place(-2.0, 0.0)), place(1.5, 1.0))


def test_the_general_loss_is_the_formula() -> None:
    """T^2 times the mean of - sum_c p_zs log p, both at temperature T, in plain loops."""
    vlm = golden_vlm("vit_b")
    method = ProGrad(vlm, NAMES, temperature=3.0, ctx_init=None)
    images, labels = torch.randn(7, vlm.embed_dim), torch.arange(7) % len(NAMES)
    with torch.no_grad():
        losses, logits = method.loss(Batch(images, labels)), method(images)
        general = vlm.logit_scale * F.normalize(images, dim=-1) @ method.hand_written.T
        expected = 0.0
        for own, given in zip(logits / 3.0, general / 3.0, strict=True):
            p, log_q = given.softmax(0), own.log_softmax(0)
            expected -= 9.0 * sum(float(p[c] * log_q[c]) for c in range(len(NAMES))) / len(images)
        assert losses.terms["general"].item() == pytest.approx(expected, rel=1e-4)
        assert losses.total.item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)


def test_half_precision_in_training_leaves_the_hand_written_features_alone() -> None:
    method = ProGrad(golden_vlm("vit_b"), NAMES)
    with torch.autocast("cpu", torch.bfloat16):
        method.loss(Batch(torch.randn(7, 64), torch.arange(7) % len(NAMES)))
    assert torch.equal(method.hand_written, template_features(method.vlm, NAMES, ["a photo of a {}."]))


def test_words_fill_the_last_rows() -> None:
    vlm = golden_vlm("vit_b")
    for settings, words in (
        ({}, "a photo of a"),
        ({"templates": ["an icon of {}, drawn.", "art of {}."]}, "an icon of"),
        ({"templates": "{} texture."}, "a photo of a"),
        ({"ctx_init": "one_big", "templates": "{} texture."}, "one big"),
    ):
        ctx = ProGrad(vlm, NAMES, n_ctx=11, **settings).ctx.detach()
        rows = start_context(vlm, None, words)[0]
        assert torch.equal(ctx[-len(rows) :], rows)
        assert not ctx[: -len(rows)].any()
    assert ProGrad(vlm, NAMES).ctx.shape == (16, 64)
    random = ProGrad(vlm, NAMES, ctx_init=None).ctx
    assert random.std().item() == pytest.approx(0.02, rel=0.1)


def test_the_papers_recipe_is_the_default() -> None:
    assert recipe_for("prograd") == recipe_for("prograd", preset="few-shot") == Recipe()
    assert recipe_for("prograd", preset="base-to-new").epochs == 100
    assert recipe_for("prograd", preset="cross-dataset").epochs == 50
    method = ProGrad(golden_vlm("vit_b"), NAMES)
    assert (method.projection, method.temperature) == (1.0, 1.0)


def test_settings_that_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match="n_ctx is 0"):
        ProGrad(vlm, NAMES, n_ctx=0)
    with pytest.raises(ConfigError, match=r"projection is -0\.5; allowed is a number from 0"):
        ProGrad(vlm, NAMES, projection=-0.5)
    with pytest.raises(ConfigError, match=r"temperature is 0\.0; allowed is a number above 0"):
        ProGrad(vlm, NAMES, temperature=0.0)
    with pytest.raises(ConfigError, match="position is 'mid'"):
        ProGrad(vlm, NAMES, position="mid")
