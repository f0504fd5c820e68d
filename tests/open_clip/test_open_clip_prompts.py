"""Visual prompts and the methods that learn them, in open_clip's and timm's vision transformers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from coopt.errors import ModelError
from coopt.methods import Batch, build_method
from coopt.models import VLM, load_model
from coopt.prompting import PromptedImageTower
from tests.models.folders import relative_error, scramble
from tests.open_clip.test_open_clip_models import CONFIGS

OPEN = ("causal", "quick-gelu", "layer-scale", "custom-blocks", "not-causal", "timm", "timm-map")
N_PROMPTS, BATCH = 5, 3


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], VLM]]:
    """Configuration name to a model with random weights."""
    import open_clip
    from open_clip import factory

    registered = dict(factory._MODEL_CONFIGS)

    def load(name: str) -> VLM:
        (tmp_path / f"coopt-{name}.json").write_text(json.dumps(CONFIGS[name]))
        open_clip.add_model_config(tmp_path / f"coopt-{name}.json")
        module = scramble(open_clip.create_model(f"coopt-{name}", pretrained_hf=False, load_weights=False))
        torch.save(module.state_dict(), tmp_path / f"{name}.pt")
        return load_model(f"open_clip:coopt-{name}@{tmp_path / name}.pt")

    yield load
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(registered)
    factory._rescan_model_configs()


@contextmanager
def hooked(vlm: VLM, prompts: Tensor, deep: Tensor) -> Iterator[None]:
    """The library's own module with prompts: in front of the first norm, of later blocks, and gone behind the last."""
    visual: Any = vlm.module.visual
    trunk = getattr(visual, "trunk", None)
    if trunk is None:
        before, blocks, behind = visual.ln_pre, visual.transformer.resblocks, None
    else:
        before, blocks, behind = trunk.norm_pre, trunk.blocks, trunk.norm
    handles = []

    def append(_: nn.Module, args: tuple) -> tuple:
        return (torch.cat([args[0], prompts.expand(len(args[0]), -1, -1)], dim=1), *args[1:])

    def replace(rows: Tensor) -> Callable:
        return lambda _, args: (
            torch.cat([args[0][:, : -len(rows)], rows.expand(len(args[0]), -1, -1)], dim=1),
            *args[1:],
        )

    handles.append(before.register_forward_pre_hook(append))
    for block, rows in zip(list(blocks)[1:], deep, strict=False):
        handles.append(block.register_forward_pre_hook(replace(rows)))
    if behind is None:
        handles.append(visual.transformer.register_forward_hook(lambda _, __, output: output[:, :-N_PROMPTS]))
    else:
        handles.append(behind.register_forward_pre_hook(lambda _, args: (args[0][:, :-N_PROMPTS], *args[1:])))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", OPEN)
def test_prompts_equal_hooks_on_open_clips_module(make: Callable[[str], VLM], name: str) -> None:
    vlm = make(name)
    tower = PromptedImageTower(vlm.image)
    pixels = torch.randn(BATCH, 3, vlm.image_size, vlm.image_size)
    width = vlm.image.width
    with torch.no_grad():
        untouched = vlm.encode_image(pixels)
        assert relative_error(tower(pixels, torch.zeros(0, width)), untouched) < 1e-5
        for depth in {1, 2, tower.n_blocks}:
            prompts, deep = torch.randn(N_PROMPTS, width), torch.randn(depth - 1, N_PROMPTS, width)
            features = tower(pixels, prompts, deep if depth > 1 else None)
            with hooked(vlm, prompts, deep):
                expected = vlm.encode_image(pixels)
            assert relative_error(features, expected) < 2e-5, depth
            assert relative_error(features, untouched) > 1e-4, depth


@pytest.mark.parametrize("name", ["causal", "not-causal"])
@pytest.mark.parametrize("key", ["vpt", "ivlp", "maple", "promptsrc"])
def test_methods_take_a_step_and_reach_every_parameter(make: Callable[[str], VLM], name: str, key: str) -> None:
    vlm = make(name)
    settings = {"templates": ["a photo of a {}."]} if key == "promptsrc" else {}
    method = build_method(key, vlm, ["tea", "red fox", "owl"], settings)
    pixels = torch.randn(BATCH, 3, vlm.image_size, vlm.image_size)
    losses = method.loss(Batch(pixels, torch.tensor([2, 0, 1])))
    losses.total.backward()
    assert losses.logits.shape == (BATCH, 3)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in method.parameters())
    assert all(bool(p.grad.abs().sum() > 0) for p in method.parameters() if p.grad is not None)
    assert all(p.grad is None for p in vlm.module.parameters())


def test_a_resnet_is_refused(make: Callable[[str], VLM]) -> None:
    with pytest.raises(ModelError, match="image tower of 'open_clip:coopt-resnet.*' is a ResNet"):
        PromptedImageTower(make("resnet").image)
