"""The faster frozen layers are the modules' own maths, and step aside where a module is more than that."""

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN

from coopt.models import Mlp
from coopt.prompting import frozen
from coopt.prompting.frozen import apply_layer

LIBRARIES = [False, pytest.param(True, marks=pytest.mark.skipif(not frozen.prefers_onednn(), reason="no AMD + oneDNN"))]


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    assert actual.shape == expected.shape
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def mlp(activation: str) -> Mlp:
    layer = Mlp(nn.Linear(13, 53), ACT2FN[activation], nn.Linear(53, 17))
    for part in (layer.up, layer.down):
        part.requires_grad_(False)
    return layer


@pytest.mark.parametrize("onednn", LIBRARIES)
@pytest.mark.parametrize("kind", ["linear", "linear without bias", "quick_gelu", "gelu", "gelu_pytorch_tanh"])
def test_value_and_gradient_are_the_modules(kind: str, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "prefers_onednn", lambda: onednn)
    layer = nn.Linear(13, 17, bias="without" not in kind).requires_grad_(False) if "linear" in kind else mlp(kind)
    x = (3 * torch.randn(2, 11, 13)).requires_grad_()
    fast, plain = apply_layer(layer, x), layer(x)
    assert type(fast.grad_fn) is not type(plain.grad_fn) or kind == "gelu_pytorch_tanh"
    weights = torch.randn(17, 11, 2).transpose(0, 2)  # a gradient that is not contiguous
    (actual,), (expected,) = (torch.autograd.grad((y * weights).sum(), [x]) for y in (fast, plain))
    assert relative(fast, plain) < 2e-6
    assert relative(actual, expected) < 2e-6
    with torch.no_grad():
        assert relative(apply_layer(layer, x), plain) < 2e-6


def test_a_layer_that_is_more_than_its_weights_is_called() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    x = torch.randn(5, 13)
    own = Doubled(13, 17).requires_grad_(False)
    assert torch.equal(apply_layer(own, x), own(x))
    hooked = nn.Linear(13, 17).requires_grad_(False)
    hooked.register_forward_hook(lambda module, inputs, output: output + 1)
    assert torch.equal(apply_layer(hooked, x), hooked(x))
    trained = nn.Linear(13, 17)
    apply_layer(trained, x).sum().backward()
    assert trained.weight.grad is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert apply_layer(mlp("gelu"), x).dtype == torch.bfloat16
    half = nn.Linear(13, 17).requires_grad_(False).bfloat16()
    assert apply_layer(half, x.bfloat16()).dtype == torch.bfloat16
