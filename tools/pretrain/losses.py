"""The losses of pretraining, as plain functions."""

import math

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float
from torch import Tensor


def contrastive(logits: Float[Tensor, "B C"], positives: Bool[Tensor, "B C"]) -> Float[Tensor, ""]:
    """Symmetric contrastive loss with several true captions per image and several images per caption.

    The target of a row is uniform over its positives (Khosla et al., Supervised Contrastive Learning, NeurIPS 2020,
    equation 2), likewise of a column; rows and columns count half each.
    """
    true = positives.float()
    by_image = -(logits.log_softmax(1) * true).sum(1) / true.sum(1)
    by_text = -(logits.log_softmax(0) * true).sum(0) / true.sum(0)
    return 0.5 * (by_image.mean() + by_text.mean())


def twins(logits: Float[Tensor, "2B 2B"], positives: Bool[Tensor, "2B 2B"]) -> Float[Tensor, ""]:
    """Cross entropy with which picture i finds picture i + B, its twin, among pictures that no caption joins to it.

    Args:
        logits: similarities of the pictures at some scale; the pictures of the first half come again in the second.
        positives: caption j is true of picture i; pictures that each other's captions are true of are no negatives.
    """
    rows = torch.arange(len(logits), device=logits.device)
    twin = rows.roll(len(rows) // 2)
    left_out = positives & positives.T  # a picture beside itself among them: its own caption is true of it
    left_out[rows, twin] = False
    return functional.cross_entropy(logits.masked_fill(left_out, float("-inf")), twin)


def word_loss(logits: Float[Tensor, "B W"], targets: Bool[Tensor, "B W"]) -> Float[Tensor, ""]:
    """Cross entropy of the softmax over common words against the uniform distribution over an image's own words."""
    true = targets.float()
    counts = true.sum(1)
    per_image = -(logits.log_softmax(1) * true).sum(1) / counts.clamp(min=1)
    return (per_image * (counts > 0)).mean()


def distillation(
    student: Float[Tensor, "B E"], teacher: Float[Tensor, "B E"], anchors: Float[Tensor, "A E"], scale: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How far the student's view of the `anchors` (normalised text embeddings) is from the teacher's.

    Returns:
        The Kullback-Leibler divergence of the two softmaxes over the anchors at `scale`, mean over images, and one
        minus the mean cosine of the two embeddings.
    """
    student, teacher = functional.normalize(student, dim=-1), functional.normalize(teacher, dim=-1)
    target = (scale * teacher @ anchors.T).log_softmax(-1)
    guess = (scale * student @ anchors.T).log_softmax(-1)
    divergence = functional.kl_div(guess, target, log_target=True, reduction="batchmean")
    return divergence, 1 - (student * teacher).sum(-1).mean()


def learning_rate(step: int, steps: int, peak: float, warmup: int, horizon: int, cooldown: int) -> float:
    """Linear warm-up to `peak`, a cosine that would reach zero at `horizon`, and a linear fall over the last steps.

    Until the cooldown begins the rate does not depend on `steps`, so a run may be ended earlier or later than planned
    and still be the run that the final settings describe.
    """
    start = steps - cooldown
    held = min(step, start)
    if held < warmup:
        rate = peak * (held + 1) / warmup
    else:
        rate = peak * 0.5 * (1 + math.cos(math.pi * (held - warmup) / max(1, horizon - warmup)))
    return rate if step < start else rate * (steps - step) / (cooldown + 1)
