"""Loss arithmetic, derived by hand."""

import math

import pytest
import torch

from tools.pretrain.losses import contrastive, distillation, learning_rate, twins, word_loss


def test_contrastive_with_one_positive_each():
    """Logits are zero but for ln 3 on the diagonal: each softmax gives 3/4 to the positive, so the loss is ln(4/3)."""
    logits = torch.eye(2) * math.log(3)
    assert contrastive(logits, torch.eye(2, dtype=torch.bool)).item() == pytest.approx(math.log(4 / 3), rel=1e-6)


def test_contrastive_shares_the_target_over_positives():
    """One image, both captions true. Row: softmax (3/4, 1/4), target (1/2, 1/2): -(ln 3/4 + ln 1/4)/2.

    Each column has one row, whose softmax is 1: it adds nothing. The halves' mean is half the row's loss.
    """
    logits = torch.tensor([[math.log(3), 0.0]])
    expected = -0.25 * (math.log(3 / 4) + math.log(1 / 4))
    assert contrastive(logits, torch.tensor([[True, True]])).item() == pytest.approx(expected, rel=1e-6)


def test_twins_must_find_each_other_among_strangers():
    """Pictures 0 and 2 show one icon, 1 and 3 another. Logits are 0 but ln 3 between twins: against two strangers the
    softmax gives 3/5; where a caption joins the icons both ways, the twin stands alone and nothing is lost."""
    same = torch.eye(2, dtype=torch.bool).repeat(2, 2)
    logits = same * math.log(3)
    logits.fill_diagonal_(99.0)  # a picture beside itself does not count
    assert twins(logits, same).item() == pytest.approx(math.log(5 / 3), rel=1e-6)
    assert twins(logits, torch.ones(4, 4, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-6)
    one_way = same | torch.tensor([[False, True, False, True], [False] * 4] * 2)
    assert twins(logits, one_way).item() == pytest.approx(math.log(5 / 3), rel=1e-6)


def test_word_loss_ignores_images_without_words():
    """Uniform logits over 5 words: ln 5 for the first image; the second has no word and adds zero to the mean."""
    targets = torch.tensor([[True, False, True, False, False], [False] * 5])
    assert word_loss(torch.zeros(2, 5), targets).item() == pytest.approx(math.log(5) / 2, rel=1e-6)


def test_distillation_of_equal_directions_is_zero_and_of_opposite_ones_is_not():
    anchors = torch.eye(3)
    teacher = torch.tensor([[2.0, 0.0, 0.0]])
    divergence, angle = distillation(7 * teacher, teacher, anchors, scale=5.0)
    assert divergence.item() == pytest.approx(0, abs=1e-6) and angle.item() == pytest.approx(0, abs=1e-6)
    divergence, angle = distillation(torch.tensor([[0.0, 3.0, 0.0]]), teacher, anchors, scale=math.log(2))
    # Softmaxes (2/4, 1/4, 1/4) and (1/4, 2/4, 1/4): 1/2 ln 2 - 1/4 ln 2 = ln(2)/4.
    assert divergence.item() == pytest.approx(math.log(2) / 4, rel=1e-5) and angle.item() == pytest.approx(1)


def test_learning_rate_does_not_know_the_end_before_the_cooldown():
    settings = {"peak": 2.0, "warmup": 10, "horizon": 110, "cooldown": 20}
    short = [learning_rate(step, 60, **settings) for step in range(60)]
    long = [learning_rate(step, 90, **settings) for step in range(90)]
    assert short[:40] == long[:40] and short[40] < long[40]
    assert short[0] == pytest.approx(0.2) and short[9] == pytest.approx(2.0)
    assert short[40] == pytest.approx(1 + math.cos(math.pi * 30 / 100), rel=0.06)
    assert 0 < short[-1] < 0.1
