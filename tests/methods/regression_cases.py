"""Quantities to learn from features, for the baselines on frozen features."""

import torch

from coopt.methods import Examples, Method, Shots, build_method
from coopt.tasks import Ordinal
from tests.goldens.golden import golden_vlm

RANKS = [str(rank) for rank in range(1, 8)]


def quantities(n: int, seed: int = 3, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Features whose direction turns with a number from 1 to 7, in 64 dimensions."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.arange(n) % 7 + 1.0
    ends = torch.randn(2, 64, generator=torch.Generator().manual_seed(1))
    share = (numbers[:, None] - 1) / 6
    return (1 - share) * ends[0] + share * ends[1] + noise * torch.randn(n, 64, generator=generator), numbers


def fitted(key: str, n: int = 42, **settings: float) -> Method:
    method = build_method(key, golden_vlm("vit_b"), RANKS, settings, Ordinal(RANKS))
    method.prepare(Shots(Examples(*quantities(n))))
    return method


def check_learned(key: str) -> None:
    """Numbers are learned, and the parameters hold all of it."""
    method = fitted(key)
    images, numbers = quantities(70, seed=9)
    metrics = method.task.metrics(method(images), numbers)
    assert metrics.mae < 0.6  # chance is 1.7
    assert metrics.spearman > 0.9
    again = build_method(key, method.vlm, RANKS, {}, method.task)
    again.load_tensors(method.state_dict())
    assert torch.equal(again(images), method(images))
