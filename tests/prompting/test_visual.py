"""Prompts in the image tower: held to the untouched model, to hooks on the library's own module, to plain maths."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from coopt.errors import ConfigError, ModelError
from coopt.models import VLM, load_model
from coopt.prompting import PromptedImageTower
from tests.goldens.golden import golden_vlm
from tests.models.folders import clip_folder, image_by_blocks, relative_error, siglip_folder

N_PROMPTS, BATCH = 5, 3


@pytest.fixture(scope="module")
def vlms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VLM]:
    """Towers with a class token and without, with a norm before the blocks and without, of 2, 3 and 4 blocks."""
    found = {"openai": golden_vlm("vit_b"), "openai-3": golden_vlm("vit_a")}
    for name, make in (
        ("clip", clip_folder),
        ("siglip", siglip_folder),
        ("siglip2", lambda folder: siglip_folder(folder, 2)),
    ):
        folder = tmp_path_factory.mktemp(name)
        make(folder)
        found[name] = load_model(str(folder))
    return found


N_BLOCKS = {"openai": 4, "openai-3": 3, "clip": 2, "siglip": 2, "siglip2": 2}


def pixels_of(vlm: VLM) -> Tensor:
    return torch.randn(BATCH, 3, vlm.image_size, vlm.image_size)


def vision_model(vlm: VLM) -> Any:
    return vlm.module.vision_model


@contextmanager
def hooked(vlm: VLM, prompts: Tensor, deep: Tensor | None) -> Iterator[None]:
    """The library's own module with prompts: appended to the embeddings, replaced in front of later layers."""
    module, handles = vision_model(vlm), []

    def append(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return torch.cat([output, prompts.expand(len(output), -1, -1)], dim=1)

    def replace(rows: Tensor):
        def change(_: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            hidden = args[0] if args else kwargs["hidden_states"]
            hidden = torch.cat([hidden[:, : -len(rows)], rows.expand(len(hidden), -1, -1)], dim=1)
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

        return change

    def cut(_: nn.Module, args: tuple) -> tuple:
        return (args[0][:, : -len(prompts)],)

    handles.append(module.embeddings.register_forward_hook(append))
    for layer, rows in zip(module.encoder.layers[1:], [] if deep is None else deep, strict=False):
        handles.append(layer.register_forward_pre_hook(replace(rows), with_kwargs=True))
    if getattr(module, "head", None) is not None:  # attention pooling: its head was trained on patches alone
        handles.append(module.head.register_forward_pre_hook(cut))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", N_BLOCKS)
def test_without_prompts_it_is_the_untouched_tower(vlms: dict[str, VLM], name: str) -> None:
    vlm = vlms[name]
    tower, pixels = PromptedImageTower(vlm.image), pixels_of(vlm)
    with torch.no_grad():
        features = tower(pixels, torch.zeros(0, vlm.image.width))
        assert relative_error(features, vlm.encode_image(pixels)) < 1e-5
        nothing_deep = tower(pixels, torch.zeros(0, vlm.image.width), torch.zeros(1, 0, vlm.image.width))
        assert torch.equal(nothing_deep, features)


@pytest.mark.parametrize(("name", "depth"), [(name, j + 1) for name, n in N_BLOCKS.items() for j in range(n)])
def test_prompts_equal_hooks_on_the_librarys_module(vlms: dict[str, VLM], name: str, depth: int) -> None:
    """Features, and gradients of every prompt, at every depth that the tower has."""
    vlm = vlms[name]
    tower, pixels = PromptedImageTower(vlm.image), pixels_of(vlm)
    assert tower.n_blocks == N_BLOCKS[name]
    prompts = torch.randn(N_PROMPTS, vlm.image.width, requires_grad=True)
    deep = torch.randn(depth - 1, N_PROMPTS, vlm.image.width, requires_grad=True) if depth > 1 else None
    wanted = [prompts] if deep is None else [prompts, deep]
    features = tower(pixels, prompts, deep)
    with hooked(vlm, prompts, deep):
        expected = vlm.encode_image(pixels)
    assert relative_error(features.detach(), expected.detach()) < 2e-5
    assert relative_error(features.detach(), vlm.encode_image(pixels)) > 1e-3  # prompts matter
    direction = torch.randn_like(features)
    ours = torch.autograd.grad((features * direction).sum(), wanted)
    theirs = torch.autograd.grad((expected * direction).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        assert relative_error(one, other) < 1e-4
        assert bool((one.flatten(0, -2).abs().sum(-1) > 0).all())  # no prompt is left out


def test_shallow_prompts_equal_plain_maths(vlms: dict[str, VLM]) -> None:
    """Appended behind positions; normed with the image's tokens, which plain maths does by hand here."""
    vlm = vlms["clip"]
    assert vlm.image.pre_norm is not None
    prompts, pixels = torch.randn(N_PROMPTS, vlm.image.width), pixels_of(vlm)
    with torch.no_grad():
        expected = image_by_blocks(vlm, pixels, vlm.image.pre_norm(prompts))
        assert relative_error(PromptedImageTower(vlm.image)(pixels, prompts), expected) < 1e-5


def test_the_order_of_prompts_does_not_matter_but_their_layer_does(vlms: dict[str, VLM]) -> None:
    vlm = vlms["openai"]
    tower, pixels = PromptedImageTower(vlm.image), pixels_of(vlm)
    prompts, deep = torch.randn(N_PROMPTS, 128), torch.randn(2, N_PROMPTS, 128)
    with torch.no_grad():
        features = tower(pixels, prompts, deep)
        assert relative_error(tower(pixels, prompts.flip(0), deep.flip(1)), features) < 1e-5
        assert relative_error(tower(pixels, prompts, deep.flip(0)), features) > 1e-3


def test_images_do_not_influence_each_other_and_the_backbone_gets_no_gradient(vlms: dict[str, VLM]) -> None:
    vlm = vlms["openai"]
    tower, pixels = PromptedImageTower(vlm.image), pixels_of(vlm)
    prompts = torch.randn(N_PROMPTS, 128, requires_grad=True)
    features = tower(pixels, prompts)
    alone = torch.cat([tower(one[None], prompts) for one in pixels])
    assert relative_error(alone.detach(), features.detach()) < 1e-5
    features.sum().backward()
    assert all(parameter.grad is None for parameter in vlm.module.parameters())


def test_half_precision_weights_take_float32_prompts(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    exact, half = load_model(str(tmp_path)), load_model(str(tmp_path), dtype="bfloat16")
    pixels, prompts, deep = pixels_of(exact), torch.randn(N_PROMPTS, 35), torch.randn(1, N_PROMPTS, 35)
    with torch.no_grad():
        features = PromptedImageTower(half.image)(pixels, prompts, deep)
        assert features.dtype == torch.bfloat16
        assert relative_error(features.float(), PromptedImageTower(exact.image)(pixels, prompts, deep)) < 0.1


def test_what_cannot_be_used(vlms: dict[str, VLM]) -> None:
    with pytest.raises(
        ModelError, match=r"need a vision transformer; .*'.*rn_a.*' is a ResNet\. Choose .*such as coop"
    ):
        PromptedImageTower(golden_vlm("rn_a").image)
    tower, pixels = PromptedImageTower(vlms["openai"].image), pixels_of(vlms["openai"])
    with pytest.raises(ConfigError, match=r"visual prompts have shape \(5, 127\); this tower takes \(n, 128\)"):
        tower(pixels, torch.zeros(5, 127))
    with pytest.raises(ConfigError, match=r"\(4, 5, 128\); .*takes \(J - 1, 5, 128\) with .* depth J of at most 4"):
        tower(pixels, torch.zeros(5, 128), torch.zeros(4, 5, 128))
