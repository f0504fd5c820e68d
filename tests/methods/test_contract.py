"""What every method in `METHODS` promises (one suite, parametrised; a new method passes it without an edit here)."""

import copy
import importlib
import inspect
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import coopt.methods
from coopt.errors import ConfigError
from coopt.fit import Recipe, TrainingBatches, fit
from coopt.methods import (
    METHODS,
    Batch,
    Examples,
    Method,
    Shots,
    build_method,
    find_method,
    parse_settings,
)
from tests.goldens.golden import golden_vlm

NAMES = ["red fox", "barn owl", "tea", "very old steam locomotive", "crane (bird)"]
N_IMAGES = 23


def toy(method: Method | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Images around one random centre per class, as the method takes them: features (N, E), or pixels (N, 3, H, W)."""
    vlm, n_classes = golden_vlm("vit_b"), len(NAMES)
    drawn, generator = torch.Generator().manual_seed(99), torch.Generator().manual_seed(0)
    if method is not None and method.inputs.kind == "pixels":
        patches = torch.randn(n_classes, 3, 4, 4, generator=drawn)
        centres = F.interpolate(patches, size=(vlm.image_size, vlm.image_size))  # (C, 3, H, W)
    else:
        centres = torch.randn(n_classes, vlm.embed_dim, generator=drawn)
    labels = torch.arange(N_IMAGES) % n_classes
    return centres[labels] + 0.5 * torch.randn(N_IMAGES, *centres.shape[1:], generator=generator), labels


def examples(images: torch.Tensor, labels: torch.Tensor) -> Shots:
    """What `prepare` is given."""
    return Shots(Examples(images, labels))


def given(images: torch.Tensor, labels: torch.Tensor) -> TrainingBatches:
    """The images of a toy task as the loop asks for them, pixels too."""
    from tests.given import given as encoded

    return encoded(images[None], labels)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> Method:
    made = build_method(request.param, golden_vlm("vit_b"), NAMES)
    made.prepare(examples(*toy()))
    return made


def test_logits_are_finite_and_of_shape_b_c(method: Method) -> None:
    logits = method(toy(method)[0])
    assert logits.shape == (N_IMAGES, len(NAMES))
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_a_method_says_whether_it_takes_steps(method: Method) -> None:
    """What `coopt methods NAME` and its page say of its recipe."""
    assert method.steps == any(parameter.requires_grad for parameter in method.parameters())


def test_logits_of_a_step_in_half_precision_are_in_single_precision(method: Method) -> None:
    """The towers may compute in bfloat16, but logits near 30 would be rounded to steps of 0.125."""
    images, labels = toy(method)
    with torch.autocast("cpu", torch.bfloat16):
        logits = method.loss(Batch(images, labels)).logits
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_images_do_not_influence_each_other(method: Method) -> None:
    images, _ = toy(method)
    with torch.no_grad():
        whole = method(images)
        alone = torch.cat([method(image[None]) for image in images])
    assert torch.allclose(whole, alone, atol=1e-4 * float(whole.abs().max()))


def test_forward_does_not_depend_on_training_mode(method: Method) -> None:
    images, _ = toy(method)
    with torch.no_grad():
        assert torch.equal(method.train()(images), method.eval()(images))


def test_logits_follow_the_order_of_classes() -> None:
    """With the same learned tensors, permuted names give permuted logits."""
    order = [3, 0, 4, 1, 2]
    for key, kind in METHODS.items():
        if kind.ordered:
            continue  # the place of a class is what it means
        method = build_method(key, golden_vlm("vit_b"), NAMES)
        permuted = build_method(key, golden_vlm("vit_b"), [NAMES[c] for c in order])
        images, labels = toy()
        place = torch.tensor([order.index(int(label)) for label in labels])
        method.prepare(examples(images, labels))
        permuted.prepare(examples(images, place))
        images, _ = toy(method)
        if method.new_classes:
            permuted.load_state_dict(method.state_dict())
        with torch.no_grad():
            # 1e-3: the linear probe's solver stops at a tolerance of its own.
            assert torch.allclose(method(images)[:, order], permuted(images), atol=1e-3), key


def test_one_step_moves_every_parameter_and_nothing_else(method: Method) -> None:
    trained = {name for name, p in method.named_parameters() if p.requires_grad}
    backbone = {name: p.clone() for name, p in method.vlm.module.state_dict().items()}
    before = {name: p.clone() for name, p in method.state_dict().items()}
    assert set(before) == {name for name, _ in method.named_parameters()}
    images, labels = toy(method)
    fit(method, given(images, labels), Recipe(epochs=1, warmup_epochs=0), seed=1)
    moved = {name for name, p in method.state_dict().items() if not torch.equal(p, before[name])}
    assert moved == trained
    assert not any(p.requires_grad for p in method.vlm.module.parameters())
    assert all(torch.equal(p, backbone[name]) for name, p in method.vlm.module.state_dict().items())


def test_training_lowers_the_loss_on_a_toy_task(method: Method) -> None:
    images, labels = toy(method)
    if not any(p.requires_grad for p in method.parameters()):
        if method.uses_shots and method.n_parameters():  # fitted by prepare
            assert float((method(images).argmax(-1) == labels).float().mean()) > 0.9
        return
    before = method.loss(Batch(images, labels)).total.item()
    fit(method, given(images, labels), Recipe(epochs=30, lr=0.02), seed=1)
    assert method.loss(Batch(images, labels)).total.item() < 0.7 * before


def test_the_loss_is_cross_entropy_where_it_has_no_other_terms(method: Method) -> None:
    images, labels = toy(method)
    losses = method.loss(Batch(images, labels))
    assert losses.logits.shape == (N_IMAGES, len(NAMES))
    assert not losses.logits.requires_grad
    if not losses.terms:
        assert torch.allclose(losses.total, F.cross_entropy(method(images), labels))


def test_the_predictor_is_the_method(method: Method) -> None:
    images, _ = toy(method)
    predictor = method.predictor()
    assert predictor.inputs == method.inputs
    assert predictor.task is method.task
    with torch.no_grad():
        assert torch.allclose(predictor(images), method(images), atol=1e-4 * float(method(images).abs().max()))
    assert not predictor(images).requires_grad


def test_a_predictor_keeps_what_was_learned_when_it_was_made(method: Method) -> None:
    """Class features are computed once; those of later parameters belong to a later predictor."""
    images, _ = toy(method)
    if method.class_features() is None or not any(p.requires_grad for p in method.parameters()):
        pytest.skip(f"{method.key}: no class features that are learned")
    text, predictor = method.class_features(), method.predictor()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    assert torch.equal(predictor.class_features, text)


def test_the_learned_tensors_round_trip(method: Method) -> None:
    images, _ = toy(method)
    copy = build_method(method.key, method.vlm, NAMES)
    copy.load_tensors(method.state_dict())
    with torch.no_grad():
        assert torch.equal(copy(images), method(images))


def test_the_linear_predictor_is_the_method_as_a_matrix(method: Method) -> None:
    images, _ = toy(method)
    linear = method.predictor().linear
    if linear is None:
        pytest.skip(f"{method.key}: logits depend on more than a matrix")
    with torch.no_grad():
        logits = method(images)
    assert torch.allclose(linear(images), logits, atol=1e-4 * float(logits.abs().max()))


def test_a_sigmoid_models_bias_is_part_of_the_logits() -> None:
    """Softmax does not see it, but thresholds on a SigLIP's logits do."""
    biased = copy.copy(golden_vlm("vit_b"))
    biased.logit_bias = -7.3
    images, _ = toy()
    for key in ("zero-shot", "coop"):
        torch.manual_seed(1)
        plain = build_method(key, golden_vlm("vit_b"), NAMES)
        torch.manual_seed(1)
        method = build_method(key, biased, NAMES)
        with torch.no_grad():
            assert torch.allclose(method(images), plain(images) - 7.3, atol=1e-4)
            linear = method.predictor().linear
            assert linear is not None
            assert torch.allclose(linear(images), method(images), atol=1e-4)


def test_class_features_are_normalised(method: Method) -> None:
    features = method.class_features()
    if features is not None:
        assert features.shape == (len(NAMES), method.vlm.embed_dim)
        assert torch.allclose(features.norm(dim=-1), torch.ones(len(NAMES)), atol=1e-5)


@pytest.mark.parametrize("key", METHODS)
def test_every_method_is_documented_exported_and_tested(key: str) -> None:
    method = METHODS[key]
    text = inspect.getdoc(method) or ""
    for part in ("Reference:", "Differences from the official code:", "Args:", "Shape:", "Raises:", ".. math::"):
        assert part in text, f"{method.__name__}'s docstring has no {part}"
    assert method.paper.startswith("https://")
    assert method.summary
    assert getattr(coopt.methods, method.__name__) is method
    home = Path(inspect.getfile(method))
    assert (Path(__file__).parent / f"test_{home.stem}.py").is_file()
    assert len(home.read_text().splitlines()) <= 250
    assert len(method.setting_parameters()) <= 12


def test_every_method_file_is_in_the_table() -> None:
    """One public class to a file, and every one of them in the table under its file's name."""
    found = {}
    for path in Path(inspect.getfile(coopt.methods)).parent.glob("*.py"):
        module = importlib.import_module(f"coopt.methods.{path.stem}")
        for kind in vars(module).values():
            if inspect.isclass(kind) and issubclass(kind, Method) and kind.__module__ == module.__name__:
                found[kind] = path.stem
    del found[Method]
    assert found == {method: key.replace("-", "_") for key, method in METHODS.items()}


def test_no_method_inherits_from_another() -> None:
    for method in METHODS.values():
        assert method.__mro__[1] is Method


def test_settings_are_checked_by_name_and_type() -> None:
    with pytest.raises(ConfigError, match="no method 'cooop'; .*Did you mean 'coop'"):
        find_method("cooop")
    with pytest.raises(ConfigError, match="'coop' has no setting 'nctx'.*n_ctx, position.*Did you mean 'n_ctx'"):
        build_method("coop", golden_vlm("vit_b"), NAMES, {"nctx": 4})
    with pytest.raises(ConfigError, match="n_ctx is a whole number; got 'four'"):
        parse_settings("coop", ["n_ctx=four"])
    with pytest.raises(ConfigError, match="class_specific is true or false; got 'maybe'"):
        parse_settings("coop", ["class_specific=maybe"])
    with pytest.raises(ConfigError, match="key=value, such as n_ctx=4; got 'n_ctx'"):
        parse_settings("coop", ["n_ctx"])
    pairs = ["n_ctx=4", "class_specific=true", "ctx_init=none", "position=front"]
    assert parse_settings("coop", pairs) == {
        "n_ctx": 4,
        "class_specific": True,
        "ctx_init": None,
        "position": "front",
    }
    assert parse_settings("linear-probe", ["C=0.5"]) == {"C": 0.5}
    assert parse_settings("zero-shot", ["templates=a {}, once = twice."]) == {"templates": "a {}, once = twice."}
