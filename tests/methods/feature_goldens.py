"""Golden cases of the methods that see image features: inputs, given parameters, optimiser steps."""

from collections.abc import Iterator

import torch

from coopt.fit import Recipe, make_optimizer
from coopt.methods import Method
from tests.goldens.golden import golden_tensor

Batch = tuple[torch.Tensor, torch.Tensor]


def give_parameters(method: Method, meta: dict) -> None:
    """The parameters that the case names, in place."""
    own = dict(method.named_parameters())
    with torch.no_grad():
        for name, spec in meta["params"].items():
            own[name].copy_(golden_tensor(spec))


def golden_batches(method: Method, meta: dict) -> list[Batch]:
    """Features (B, E) and labels (B,) of each batch."""
    images = golden_tensor(meta["inputs"]["images"])  # (steps, B, 3, H, W)
    labels = golden_tensor(meta["inputs"]["labels"])  # (steps, B)
    with torch.no_grad():
        return [(method.vlm.encode_image(x), y) for x, y in zip(images, labels, strict=True)]


def golden_steps(method: Method, batches: list[Batch], n_steps: int) -> Iterator[dict[str, torch.Tensor]]:
    """What `loss` returned in each of `n_steps`, seen when the gradients are there and the parameters still old.

    SGD at 0.002 with momentum 0.9 and weight decay 5e-4, as the README of the goldens says.
    """
    optimizer = make_optimizer(list(method.parameters()), Recipe(epochs=1))
    for step in range(n_steps):
        losses = method.loss(*batches[step % len(batches)])
        optimizer.zero_grad()
        method.backward(losses, lambda loss: loss)
        yield losses
        optimizer.step()
