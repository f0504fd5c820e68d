"""Golden cases of the methods that take pixels: the authors' parameters, logits, losses, gradients and steps.

The tolerances are those of tests/goldens/README.md: 1e-4 of the largest value for logits, losses and gradients. After
the steps it is 2e-6 of the largest value (1e-5 where the goldens themselves are no better: MaPLe), which is tight enough
to notice a missing weight decay.
"""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from coopt.fit import Recipe, make_optimizer
from coopt.methods import Batch, Method
from tests.goldens.golden import assert_close, golden_tensor

Place = tuple[str, int | None]
"""A parameter of ours, and its row where it stacks what the authors keep apart."""


def our_place(theirs: str) -> Place:
    """Where the authors' parameter of this name is in our methods."""
    name = theirs.removeprefix("prompt_learner.")
    if name == "ctx":
        return "ctx", None
    if name == "image_encoder.VPT":
        return "ctx_visual", None
    if found := re.fullmatch(r"(image|text)_encoder\.transformer\.resblocks\.(\d+)\.VPT_shallow", name):
        return {"image": "deep_visual", "text": "deep"}[found[1]], int(found[2]) - 1
    if found := re.fullmatch(r"compound_prompts_text\.(\d+)", name):
        return "deep", int(found[1])
    if found := re.fullmatch(r"proj\.(weight|bias)", name):
        return f"coupling.0.{found[1]}", None
    if found := re.fullmatch(r"compound_prompt_projections\.(\d+)\.(weight|bias)", name):
        return f"coupling.{int(found[1]) + 1}.{found[2]}", None
    raise KeyError(theirs)


def part(method: Method, theirs: str, read: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Our tensor for the authors' name; `read` takes a parameter to itself or to its gradient."""
    name, row = our_place(theirs)
    whole = read(dict(method.named_parameters())[name])
    return whole if row is None else whole[row]


def gradient(parameter: torch.Tensor) -> torch.Tensor:
    """Its gradient."""
    assert parameter.grad is not None
    return parameter.grad


@torch.no_grad()
def fill(method: Method, meta: dict) -> None:
    """Give the method the parameters of a golden case."""
    for theirs, spec in meta["params"].items():
        part(method, theirs, lambda parameter: parameter).copy_(golden_tensor(spec))


def assert_arrays(method: Method, golden: dict[str, np.ndarray], prefix: str, read: Callable, tolerance: float) -> int:
    """Every golden array "prefix.NAME" (or its norm and first values) equals ours; how many there were."""
    found = 0
    for key, expected in golden.items():
        kind, _, theirs = key.partition(f"{prefix}.")
        if not theirs or kind not in ("", "norm.", "head."):
            continue
        ours = part(method, theirs, read).detach()
        ours = {"": ours, "norm.": ours.norm(), "head.": ours.flatten()[: expected.size]}[kind]
        assert_close(ours.reshape(expected.shape), expected, tolerance)
        found += 1
    return found


def assert_steps_match(method: Method, meta: dict, golden: dict[str, np.ndarray], lr: float, after: float) -> None:
    """Logits, the first step's loss and gradients, five steps of the optimiser, and the logits at their end."""
    images = golden_tensor(meta["inputs"]["images"])  # (steps, B, 3, H, W)
    labels = golden_tensor(meta["inputs"]["labels"])  # (steps, B)
    if method.inputs.kind != "pixels":
        with torch.no_grad():
            images = torch.stack([method.vlm.encode_image(batch) for batch in images])  # (steps, B, E)
    names = {our_place(found[1])[0] for key in golden if (found := re.match(r"(?:norm\.|head\.)?grad\.(.+)", key))}
    assert names == {name for name, _ in method.named_parameters()}
    with torch.no_grad():
        assert_close(method(images[0]), golden["logits"], 1e-4)
    recipe = Recipe(epochs=1, lr=lr)
    optimizer = make_optimizer(method.parameter_groups(recipe), recipe)
    for step, expected in enumerate(golden["step_loss"]):
        batch = step % len(images)
        optimizer.zero_grad()
        losses = method.gradients(Batch(images[batch], labels[batch]), lambda loss: loss)
        assert losses.total.item() == pytest.approx(float(expected), rel=1e-4)
        if step == 0:
            assert assert_arrays(method, golden, "grad", gradient, 1e-4) > 0
        optimizer.step()
    assert assert_arrays(method, golden, "after", lambda parameter: parameter, after) > 0
    with torch.no_grad():
        assert_close(method(images[0]), golden["logits_after"], 1e-4)
