"""CoOp against golden numbers of the authors' code: tokens, logits, gradients, five optimiser steps, whole runs.

The tolerances are those of tests/goldens/README.md: 1e-4 of the largest value for logits, losses and gradients, and
5e-6 for the context after the steps, which is tight enough to notice a missing weight decay.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError, DataError
from coopt.fit import Recipe, fit, make_optimizer, recipe_for
from coopt.methods import Batch, CoOp, Method, find_preset
from tests.goldens.golden import assert_close, golden_cases, golden_tensor, golden_vlm

CASES = golden_cases("coop")
RUNS = {name: case for name, case in golden_cases("protocol").items() if case[0]["method"] == "CoOp"}


def build(meta: dict) -> CoOp:
    """The method of a golden case, with its context where the case gives one."""
    vlm = golden_vlm(meta["model"])
    settings = meta.get("cfg") or {
        "N_CTX": meta["n_ctx_cfg"],
        "CSC": meta["csc"],
        "CLASS_TOKEN_POSITION": meta["class_token_position"],
        "CTX_INIT": meta["ctx_init"],
    }
    words = settings.get("CTX_INIT") or None
    method = CoOp(
        vlm,
        meta["classnames"],
        n_ctx=None if words else settings["N_CTX"],
        position=settings["CLASS_TOKEN_POSITION"],
        class_specific=settings["CSC"] and words is None,
        ctx_init=words,
    )
    if "ctx" in meta["params"]:
        with torch.no_grad():
            method.ctx.copy_(golden_tensor(meta["params"]["ctx"]))
    return method


def recipe_of(optim: dict) -> Recipe:
    """The optimiser settings of a golden case; the rate is constant."""
    return Recipe(
        epochs=1,
        optimizer=optim["NAME"],
        lr=optim["LR"],
        momentum=optim["MOMENTUM"],
        weight_decay=optim["WEIGHT_DECAY"],
        nesterov=optim["SGD_NESTEROV"],
    )


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    method = build(meta)
    images = golden_tensor(meta["inputs"]["images"])  # (steps, B, 3, H, W)
    labels = golden_tensor(meta["inputs"]["labels"])  # (steps, B)
    with torch.no_grad():
        features = torch.stack([method.vlm.encode_image(batch) for batch in images])  # (steps, B, E)

    layout = method.encoder.layout
    ids, ends = layout.padded(0, 77)
    rows = torch.tensor(layout.ctx_rows)
    tokens = torch.from_numpy(golden["token_ids"]).long()  # (C, 77), placeholders in front whatever the position
    assert layout.name_lengths == golden["name_lens"].tolist()
    assert torch.equal(ends, tokens.argmax(-1))
    if meta["class_token_position"] == "end":
        written = torch.ones_like(ids, dtype=torch.bool).scatter(1, rows, False)
        assert torch.equal(ids[written], tokens[written])

    if "init.ctx" in golden:
        assert_close(method.ctx, golden["init.ctx"], 1e-6)
    assert_close(method(features[0]), golden["logits"], 1e-4)
    recipe = recipe_of(meta["optim"])
    optimizer = make_optimizer(method.parameter_groups(recipe), recipe)
    for step, expected in enumerate(golden["step_loss"]):
        batch = step % len(images)
        loss = method.loss(Batch(features[batch], labels[batch])).total
        assert loss.item() == pytest.approx(float(expected), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            assert_close(method.ctx.grad, golden["grad.ctx"], 1e-4)
        optimizer.step()
    assert_close(method.ctx, golden["after.ctx"], 1e-3 if "adamw" in name else 5e-6)
    assert_close(method.encoder(method.ctx), golden["text_features_after"], 1e-3 if "adamw" in name else 1e-4)
    assert_close(method(features[0]), golden["logits_after"], 1e-3 if "adamw" in name else 1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_whole_runs_match_the_authors_trainer(name: str) -> None:
    """Warm-up, cosine, rates changed between epochs only: the context after every epoch."""
    meta, golden = RUNS[name]
    method = build(meta)
    images, labels = golden_tensor(meta["inputs"]["images"]), golden_tensor(meta["inputs"]["labels"])
    n, size = meta["batches_per_epoch"], labels.shape[1]

    class Given:
        """The golden batches, in the golden order, whatever order the loop asks for."""

        def __len__(self) -> int:
            return n * size

        def batches(self, epoch: int, indices: list, first_step: int = 0) -> Iterator[Batch]:
            assert len(indices) == n
            for step in range(epoch * n, epoch * n + n):
                with torch.no_grad():
                    features = method.vlm.encode_image(images[step])
                yield Batch(features, labels[step])

    contexts: list[torch.Tensor] = []
    recipe = Recipe(epochs=meta["epochs"], batch_size=size)
    records = fit(method, Given(), recipe, seed=1, on_epoch=lambda _: contexts.append(method.ctx.detach().clone()))
    for epoch, (record, ctx) in enumerate(zip(records, contexts, strict=True)):
        steps = slice(epoch * n, epoch * n + n)
        assert record.lr == pytest.approx(float(golden["lr"][steps][0]), rel=1e-6)
        assert record.loss == pytest.approx(float(golden["loss"][steps].mean()), rel=1e-4)
        assert_close(ctx, golden["ctx_after_epoch"][epoch], 1e-5)
    with torch.no_grad():
        assert_close(method(method.vlm.encode_image(images[0])), golden["logits_after"], 1e-4)


def test_logits_are_the_formula() -> None:
    """Equation 3 of the paper in plain loops, on the prompts' own text features."""
    vlm = golden_vlm("vit_b")
    method = CoOp(vlm, ["red fox", "owl", "barn"], n_ctx=3)
    images = torch.randn(5, vlm.embed_dim)
    with torch.no_grad():
        text, logits = method.encoder(method.ctx), method(images)
    for i in range(5):
        for c in range(3):
            cosine = float(F.cosine_similarity(images[i], text[c], dim=0))
            assert float(logits[i, c]) == pytest.approx(vlm.logit_scale * cosine, abs=1e-4 * vlm.logit_scale)


def test_settings_that_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(ConfigError, match="n_ctx is 0; allowed is a whole number from 1"):
        CoOp(vlm, ["a", "b"], n_ctx=0)
    with pytest.raises(ConfigError, match="position is 'mid'; .*'end', 'middle', 'front'.*Did you mean 'middle'"):
        CoOp(vlm, ["a", "b"], position="mid")
    with pytest.raises(ConfigError, match="ctx_init is '  '; give at least one word"):
        CoOp(vlm, ["a", "b"], ctx_init="  ")
    with pytest.raises(DataError, match="at least 2 class names; got 1 class"):
        CoOp(vlm, ["a"])
    with pytest.raises(DataError, match="at least one word; got '_'"):
        CoOp(vlm, ["a", "_"])
    long = "very " * 60 + "long"
    with pytest.raises(DataError, match=r"context of 77 tokens with n_ctx=16: 'very .* has 61 tokens, its prompt 80"):
        CoOp(vlm, ["a", long])
    with pytest.warns(UserWarning, match="class_specific=True has no effect together with ctx_init"):
        method = CoOp(vlm, ["a", "b"], class_specific=True, ctx_init="a photo of a")
    assert method.ctx.shape == (4, vlm.text.width)
    assert method.new_classes


def test_the_longest_name_that_fits() -> None:
    """Start, 16 vectors, 58 name tokens, full stop, end: 77."""
    vlm = golden_vlm("vit_b")
    method = CoOp(vlm, ["cat", " ".join(["very"] * 58)])
    assert [len(s) for s in method.encoder.layout.sequences] == [20, 77]
    assert torch.isfinite(method.class_features()).all()
    with pytest.raises(DataError, match="78"):
        CoOp(vlm, ["cat", " ".join(["very"] * 59)])


def test_the_start_is_the_papers_distribution() -> None:
    vlm = golden_vlm("vit_a")
    ctx = CoOp(vlm, [f"class {i}" for i in range(37)], n_ctx=16, class_specific=True).ctx
    assert ctx.shape == (37, 16, 128)
    assert abs(ctx.mean().item()) < 3e-4
    assert ctx.std().item() == pytest.approx(0.02, rel=0.02)


def test_the_presets_are_those_of_cocoops_comparison() -> None:
    for name, epochs in (("base-to-new", 200), ("cross-dataset", 50)):
        assert recipe_for("coop", preset=name) == Recipe(epochs=epochs)
        ctx = CoOp(golden_vlm("vit_b"), ["a", "b"], **find_preset("coop", name).settings).ctx
        assert ctx.shape == (4, 64)


def test_it_is_a_method() -> None:
    assert issubclass(CoOp, Method)
    assert np.isclose(float(CoOp(golden_vlm("vit_b"), ["a", "b"], n_ctx=2).n_parameters()), 2 * 64)
