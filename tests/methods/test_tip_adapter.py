"""TipAdapter against golden numbers of the authors' code, and its search against plain loops.

Tolerances are those of tests/goldens/README.md: 1e-4 of the largest value.
"""

import math

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.methods import METHODS, Examples, Shots, TipAdapter, build_method
from coopt.methods.cache import Grid, left_out
from coopt.prompting import template_features
from tests.goldens.golden import assert_close, golden_vlm
from tests.methods.tip_cases import CASES, tip_case

NAMES = ["tea", "owl", "red fox"]


def blobs(n: int, seed: int, spread: float = 2.0) -> Examples:
    """Images around a random centre for each of three classes, none of which a random text tower knows."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(3, 64, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(n) % 3
    return Examples(centres[labels] + spread * torch.randn(n, 64, generator=generator), labels)


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    case = tip_case(name)
    golden = case.golden
    method = build_method("tip-adapter", case.vlm, case.meta["classnames"], case.settings())
    method.prepare(case.shots)
    beta, alpha = golden["best_beta_alpha"].tolist()
    assert_close(method.cache.keys, golden["cache_keys"].T, 1e-5)
    assert_close(method.cache.values(), golden["cache_values"], 0.0)
    assert_close(method.cache.zero_shot(case.val.images), golden["val_clip_logits"], 1e-4)
    assert_close(method.cache.zero_shot(case.test), golden["test_clip_logits"], 1e-4)
    assert method.found["beta"] == pytest.approx(beta, rel=1e-6)
    assert method.found["alpha"] == pytest.approx(alpha, rel=1e-6)
    assert_close(method(case.test), golden["test_tip_logits_best"], 1e-4)
    # Before the search: the numbers of the configuration.
    fixed = {"alpha": float(case.meta["cfg"]["init_alpha"]), "beta": float(case.meta["cfg"]["init_beta"])}
    method = build_method("tip-adapter", case.vlm, case.meta["classnames"], case.settings() | fixed)
    method.prepare(case.shots)
    assert method.settings | fixed == method.settings
    assert_close(method(case.val.images), golden["val_tip_logits"], 1e-4)


def test_the_model_gives_the_logit_scale() -> None:
    """At the same alpha a model of another scale weighs its words differently."""
    case = tip_case("vit_b_P2_4shot")
    method = TipAdapter(golden_vlm("vit_b"), case.meta["classnames"], alpha=3.0, beta=2.0)
    method.prepare(Shots(case.train))
    text = template_features(method.vlm, case.meta["classnames"], ["a photo of a {}."])
    words = method.vlm.logit_scale * F.normalize(case.test, dim=-1) @ text.T
    assert method.vlm.logit_scale == pytest.approx(math.exp(3.4), rel=1e-5)
    assert torch.allclose(method(case.test) - method.cache(case.test), words, atol=1e-4)


def loops(method: TipAdapter, images: torch.Tensor, allowed: list[list[int]], alpha: float, beta: float) -> list[int]:
    """Predictions by the formula, one image and one key at a time."""
    keys, labels = method.cache.keys, method.cache.labels.tolist()
    found = []
    for i, image in enumerate(images):
        logits = method.cache.zero_shot(image[None])[0].tolist()
        for n in allowed[i]:
            similarity = float(F.cosine_similarity(image, keys[n], dim=0))
            logits[labels[n]] += alpha * math.exp(-beta * (1 - similarity))
        found.append(max(range(len(logits)), key=logits.__getitem__))
    return found


@pytest.mark.parametrize("n_val", [0, 17])
def test_the_search_is_plain_loops(n_val: int) -> None:
    """On the validation shots with all keys; without them each shot without the keys of its own place in a class."""
    train, val = blobs(13, 1), blobs(17, 2) if n_val else None
    settings = {"max_alpha": 40.0, "max_beta": 9.0, "alpha_steps": 5, "beta_steps": 3}
    method = build_method("tip-adapter", golden_vlm("vit_b"), NAMES, settings)
    method.prepare(Shots(train, val))
    shown = val or train
    everything = [list(range(13)) for _ in shown.targets]
    # Classes take turns, so the place of image i in its class is i // 3; the 13th is the only one at place 4.
    others = [[n for n in range(13) if n // 3 != i // 3] for i in range(13)]
    right = {}
    for beta in [i * 8.9 / 3 + 0.1 for i in range(3)]:
        for alpha in [i * 39.9 / 5 + 0.1 for i in range(5)]:
            found = loops(method, shown.images, everything if val else others, alpha, beta)
            right[alpha, beta] = sum(a == b for a, b in zip(found, shown.targets.tolist(), strict=True))
    assert len(set(right.values())) > 2  # the data tells the pairs apart
    best = max(right, key=right.__getitem__)  # the first of equals
    assert (method.found["alpha"], method.found["beta"]) == pytest.approx(best)
    assert (float(method.cache.alpha), float(method.cache.beta)) == pytest.approx(best)


def test_an_image_never_looks_at_its_own_key() -> None:
    """With random labels a cache is worth nothing; with its own keys it would seem perfect at the sharpest beta."""
    labels = torch.arange(40) % 2
    train = Examples(torch.randn(40, 64, generator=torch.Generator().manual_seed(3)), labels)
    usable, scored = left_out(labels)
    assert not usable.diagonal().any() and scored.all()
    assert (usable.sum(1) == 38).all()  # one key of each class is missing
    vlm, settings = golden_vlm("vit_b"), {"max_beta": 200.0, "max_alpha": 200.0, "beta_steps": 5, "alpha_steps": 5}
    method = build_method("tip-adapter", vlm, ["tea", "owl"], settings)
    seen = []
    for val in (None, train):
        method.prepare(Shots(train, val))
        seen.append((method(train.images).argmax(-1) == labels).float().mean().item())
    assert seen[1] == 1.0
    assert method.found["alpha"] > 0.1


def test_classes_keep_even_numbers_of_keys() -> None:
    usable, scored = left_out(torch.tensor([2, 0, 0, 1, 2, 2, 0]))
    expected = [[1, 4, 5, 6, 2], [4, 5, 6, 2], [0, 1, 3, 5, 6], [2, 4, 5, 6], [0, 1, 3, 5, 6], [0, 1, 2, 3, 4]]
    expected[0] = [2, 4, 5, 6]  # places: 0 0 1 0 1 2 2
    assert [sorted(row.nonzero()[:, 0].tolist()) for row in usable[:6]] == [sorted(row) for row in expected]
    assert scored.tolist() == [True, True, True, False, True, True, True]  # class 1 has one image


def test_one_shot_without_validation_keeps_the_authors_numbers() -> None:
    method = build_method("tip-adapter", golden_vlm("vit_b"), NAMES)
    method.prepare(Shots(blobs(3, 1)))
    assert (method.found["alpha"], method.found["beta"]) == (1.17, 1.0)
    assert float(method.cache.alpha) == pytest.approx(1.17)
    given = build_method("tip-adapter", golden_vlm("vit_b"), NAMES, {"start_alpha": 5.0, "start_beta": 2.0})
    given.prepare(Shots(blobs(3, 1)))
    assert (given.found["alpha"], given.found["beta"]) == (5.0, 2.0)


def test_a_given_number_is_not_searched() -> None:
    method = build_method("tip-adapter", golden_vlm("vit_b"), NAMES, {"alpha": 0.5, "beta_steps": 3})
    method.prepare(Shots(blobs(30, 1), blobs(21, 2)))
    assert method.found["alpha"] == 0.5
    assert method.found["beta"] in [i * 6.9 / 3 + 0.1 for i in range(3)]


def test_the_grid_of_the_authors() -> None:
    """Two hundred by twenty, upper ends left out, beta outside (search_step, search_scale of configs/imagenet.yaml)."""
    pairs = list(Grid(None, None, 3.0, 7.0, 20, 200).pairs())
    assert len(pairs) == 4000
    assert pairs[0] == (0.1, 0.1)
    assert pairs[1] == pytest.approx((0.1 + 2.9 / 20, 0.1))
    assert pairs[-1] == pytest.approx((0.1 + 19 * 2.9 / 20, 0.1 + 199 * 6.9 / 200))


def test_crops_and_presets() -> None:
    assert METHODS["tip-adapter"].recipe == {"min_crop": 0.5}
    for preset in METHODS["tip-adapter"].presets.values():
        method = build_method("tip-adapter", golden_vlm("vit_b"), NAMES, dict(preset.settings))
        assert method.inputs.train_views == 10


def test_settings_that_cannot_be_used() -> None:
    vlm = golden_vlm("vit_b")
    with pytest.raises(
        ConfigError, match=r"alpha is 0\.0; .*above 0.*beta is -1\.0.*max_alpha is 0\.1;.*beta_steps is 0"
    ):
        TipAdapter(vlm, NAMES, alpha=0.0, beta=-1.0, max_alpha=0.1, beta_steps=0)
    with pytest.raises(ConfigError, match="n_views is -1; allowed is a whole number from 0"):
        TipAdapter(vlm, NAMES, n_views=-1)
    with pytest.raises(ConfigError, match="alpha is nan"):
        TipAdapter(vlm, NAMES, alpha=math.nan)
