"""Golden cases of the methods that see image features: inputs, given parameters, optimiser steps."""

from collections.abc import Iterator

import torch

from coopt.fit import Recipe, make_optimizer
from coopt.methods import Batch, Losses, Method
from tests.goldens.golden import golden_tensor


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
        return [Batch(method.vlm.encode_image(x), y) for x, y in zip(images, labels, strict=True)]


def golden_steps(method: Method, batches: list[Batch], n_steps: int) -> Iterator[Losses]:
    """What `loss` returned in each of `n_steps`, seen when the gradients are there and the parameters still old.

    SGD at 0.002 with momentum 0.9 and weight decay 5e-4, as the README of the goldens says.
    """
    recipe = Recipe(epochs=1)
    optimizer = make_optimizer(method.parameter_groups(recipe), recipe)
    for step in range(n_steps):
        optimizer.zero_grad()
        yield method.gradients(batches[step % len(batches)], lambda loss: loss)
        optimizer.step()
