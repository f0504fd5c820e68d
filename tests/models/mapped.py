"""What a mapped tower has to keep and to change, whatever the model's source."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from coopt.models import VLM, ImageTower, Layer, TextTower, VisionTransformer
from coopt.prompting import PromptedImageTower, PromptEncoder, PromptLayout
from tests.models.folders import relative_error


class LowRank(nn.Module):
    """A frozen linear layer with low-rank factors beside it; B starts at zero."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = [layer]  # not a submodule: the factors are all that this owns
        n_out, n_in = layer.weight.shape
        self.a, self.b = nn.Parameter(torch.randn(2, n_in)), nn.Parameter(torch.zeros(n_out, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer[0](x) + x @ self.a.T @ self.b.T


class Weighted(nn.Module):
    """A layer with its weight multiplied by a trainable factor (a mask), called as the layer's own kind is."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.factor = [layer], nn.Parameter(torch.ones_like(layer.weight))

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer[0]
        weight = layer.weight * self.factor
        if isinstance(layer, nn.Conv2d):
            return nn.functional.conv2d(x, weight, layer.bias, layer.stride, layer.padding)
        if isinstance(layer, nn.LayerNorm):
            return nn.functional.layer_norm(x, layer.normalized_shape, weight, layer.bias, layer.eps)
        return nn.functional.linear(x, weight, layer.bias)


def named_layers(tower: ImageTower | TextTower) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def look(name: str, layer: Layer) -> Layer:
        assert name not in found
        found[name] = layer
        return layer

    tower.map(look)
    return found


def run_of(vlm: VLM, kind: str) -> Callable[[Any], Tensor]:
    """A tower to its features, through every path that a method can take."""
    if kind == "image":
        pixels = torch.randn(3, 3, vlm.image_size, vlm.image_size)

        def run(tower: Any) -> Tensor:
            plain = tower(pixels)
            if isinstance(tower, VisionTransformer):
                assert relative_error(PromptedImageTower(tower)(pixels).detach(), plain.detach()) < 1e-5
            return plain

        assert relative_error(run(vlm.image), vlm.encode_image(pixels)) < 1e-5
        return run
    layout = PromptLayout.build(vlm, ["dog", "big cat"], 2)
    ctx = torch.randn(2, vlm.text.width)

    def encode(tower: Any) -> Tensor:
        encoder = PromptEncoder(tower, layout)
        assert relative_error(encoder(ctx).detach(), encoder.dense(ctx).detach()) < 1e-5
        return encoder(ctx)

    return encode


def check_mapping(vlm: VLM, kind: str) -> None:
    """Identity, low-rank factors, and a changed weight of every kind of layer; the loaded module stays as it is."""
    tower: Any = getattr(vlm, kind)
    pixels = torch.randn(2, 3, vlm.image_size, vlm.image_size)
    with torch.no_grad():
        before = vlm.encode_image(pixels), vlm.encode_text(vlm.tokenize(["dog"]))
    run, layers = run_of(vlm, kind), named_layers(tower)
    expected = run(tower).detach()
    assert torch.equal(run(tower.map(lambda name, layer: layer)).detach(), expected)

    wrapped: dict[str, LowRank] = {}

    def add(name: str, layer: Any) -> Layer:
        if layer.weight.ndim != 2:
            return layer
        wrapped[name] = LowRank(layer)
        return wrapped[name]

    features = run(tower.map(add))
    assert relative_error(features.detach(), expected) < 1e-5
    (features * torch.randn_like(features)).sum().backward()
    assert wrapped and all(part.b.grad is not None and bool(part.b.grad.abs().sum() > 0) for part in wrapped.values())
    assert all(parameter.grad is None for parameter in vlm.module.parameters())

    for name, layer in layers.items():
        assert layer.weight is not None
        if not isinstance(layer, nn.BatchNorm2d) and (not name.startswith("blocks.") or name.startswith("blocks.1.")):
            check_weight(tower, name, run, expected)
    with torch.no_grad():
        after = vlm.encode_image(pixels), vlm.encode_text(vlm.tokenize(["dog"]))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def check_weight(tower: Any, name: str, run: Callable[[Any], Tensor], expected: Tensor) -> None:
    """The weight of layer `name` is what the tower computes with: a mask of ones changes nothing, another one does."""
    masks: list[Weighted] = []

    def mask(own: str, layer: Layer) -> Layer:
        if own != name:
            return layer
        masks.append(Weighted(layer))
        return masks[0]

    changed = tower.map(mask)
    features = run(changed)
    assert relative_error(features.detach(), expected) < 1e-5, name
    if not name.endswith((".k", ".q")):  # one place, or queries that all agree, may hide those
        (features * torch.randn_like(features)).sum().backward()
        assert masks[0].factor.grad is not None and bool(masks[0].factor.grad.abs().sum() > 0), name
    masks[0].factor.data = 3 * torch.rand_like(masks[0].factor)
    assert relative_error(run(changed).detach(), expected) > 1e-6, name
