"""Frozen layers, faster: gradients for the input only, and matrix products by the library that is quickest here.

Autograd keeps only what the input's gradient needs: one matrix of width 4 D for a feed-forward layer in place of three.
On AMD processors float32 products go through oneDNN, which reaches about twice the rate of MKL, PyTorch's choice. It is
chosen by the processor's maker, not by timing, so that a run is repeatable to the last bit. Whatever is not a plain
float32 layer on a CPU (half precision, autocast, CUDA, a layer that a method has wrapped) is called as it is.
"""

import functools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from coopt.models import Layer, Mlp

# Class of the activation in transformers -> (the scale s and the kernel f of f(s x) / s, the kernel's gradient).
ACTIVATIONS: dict[str, tuple[float, Callable[..., Tensor], Callable[..., Tensor]]] = {
    # x * sigmoid(1.702 x) = silu(1.702 x) / 1.702: one kernel in place of three.
    "QuickGELUActivation": (1.702, F.silu, torch.ops.aten.silu_backward.grad_input),
    "GELUActivation": (1.0, F.gelu, torch.ops.aten.gelu_backward.grad_input),
}


def apply_layer(layer: Layer, x: Float[Tensor, "... D"]) -> Float[Tensor, "... K"]:
    """The layer's output."""
    if isinstance(layer, Mlp) and type(layer.activation).__name__ in ACTIVATIONS:
        up: Any = layer.up
        down: Any = layer.down
        if is_plain(x, up, down) and up.bias is not None and down.bias is not None:
            return FrozenMlp.apply(x, up.weight, up.bias, down.weight, down.bias, type(layer.activation).__name__)
    if isinstance(layer, nn.Linear) and is_plain(x, layer):
        return FrozenLinear.apply(x, layer.weight, layer.bias)
    return layer(x)


def is_plain(x: Tensor, *layers: Layer) -> bool:
    """Whether all layers are frozen float32 `nn.Linear` (no subclass, no hook) and `x` is float32 on a CPU."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return all(
        type(layer) is nn.Linear
        and layer.weight.dtype == torch.float32
        and not any(parameter.requires_grad for parameter in layer.parameters())
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        for layer in layers
    )


class FrozenLinear(torch.autograd.Function):
    """`x @ weight.T + bias`, differentiable in x only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(..., D) to (..., K)."""
        ctx.save_for_backward(weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """(..., K) to (..., D)."""
        (weight,) = ctx.saved_tensors
        return product(grad, weight.t()), None, None


class FrozenMlp(torch.autograd.Function):
    """Linear, activation f(s x) / s, linear; differentiable in x only.

    With a = s (x W1' + b1) the output is f(a) W2' / s + b2; in the gradient the two factors cancel:
    dx = (f'(a) * (dy W2)) W1.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor, activation: str
    ) -> Tensor:
        """(..., D) to (..., D)."""
        scale, kernel, ctx.gradient = ACTIVATIONS[activation]
        hidden = product(x, up, up_bias) if scale == 1 else product(scale * x, up, scale * up_bias)  # (..., 4 D)
        ctx.save_for_backward(hidden, up, down)
        out = product(kernel(hidden), down)
        return torch.add(down_bias, out, alpha=1 / scale, out=out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """The gradient of x."""
        hidden, up, down = ctx.saved_tensors
        inner = product(grad, down.t())  # (..., 4 D)
        inner = ctx.gradient(inner, hidden, grad_input=inner)
        return product(inner, up.t()), None, None, None, None, None


def product(x: Float[Tensor, "... D"], weight: Float[Tensor, "K D"], bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` (..., K), without autograd."""
    if prefers_onednn():
        return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


@functools.cache
def prefers_onednn() -> bool:
    """Whether this is an AMD processor, PyTorch has oneDNN, and its linear operator takes plain weights."""
    facts = Path("/proc/cpuinfo")
    maker = facts.read_text() if facts.is_file() else platform.processor()
    if not torch.backends.mkldnn.is_available() or "AuthenticAMD" not in maker:
        return False
    x, weight, bias = torch.ones(2, 3), torch.ones(5, 3), torch.ones(5)
    try:
        y = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    except (AttributeError, RuntimeError):  # an operator without a stable interface: gone or changed
        return False
    return torch.equal(y, torch.full((2, 5), 4.0))
