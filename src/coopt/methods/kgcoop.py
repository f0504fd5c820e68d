"""KgCoOp: knowledge-guided context optimization, held near a hand-written prompt."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.errors import ConfigError
from coopt.methods.batch import Batch, Losses
from coopt.methods.method import Method, Preset
from coopt.methods.predictor import cosine_logits
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, read_templates, start_context, template_features


class KgCoOp(Method):
    r"""Learns the context of the prompt as CoOp does, and keeps its class features near a hand-written prompt's.

    .. math::
        L = L_{ce} + \lambda \Bigl(1 - \frac{1}{C} \sum_c \cos(w_c, w_c^{clip})\Bigr)

    with :math:`w_c` the class feature of the learned prompt, :math:`w_c^{clip}` that of the hand-written one and
    :math:`L_{ce}` the cross entropy of CoOp. What the learned prompt forgets about classes it was not shown, the second
    term brings back; prediction costs what CoOp's does. With `weight` 0 it is CoOp.

    Reference:
        Yao, Zhang and Xu, "Visual-Language Prompt Tuning with Knowledge-guided Context Optimization", CVPR 2023,
        equations 4 to 6.

    Differences from the official code:
        - The paper writes the distance as squared Euclidean, which is twice the second term; the code's form and its
          weight of 8 are taken here.
        - The hand-written prompt is "a photo of a {}." unless `templates` says otherwise; the code has one for each
          data set (for example "a photo of a {}, a type of pet."), which the benchmark fills in.
        - Its unused parts (a meta-net, an adapter, bias vectors) are absent; so is its class-specific random start,
          which cannot serve new classes.
        - Its words start is always "a photo of a"; here it is `ctx_init`.
        - In half precision there: the frozen model, the context and the hand-written prompt's features. Here they are
          in float32, and the recipe's `precision` says what a step computes in.

    Args:
        n_ctx: number of learned context vectors M: the first M tokens of `ctx_init`, whose other words stay in place.
            None takes all tokens, or 4 vectors without words.
        ctx_init: words to start from; None draws from N(0, 0.02).
        weight: :math:`\lambda`, of the distance to the hand-written prompt.
        templates: the hand-written prompt: one template with ``{}`` for the class name, a list of them (an ensemble), a
            name in `coopt.prompting.TEMPLATES`, or a file.
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t)
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: `weight` below 0, `n_ctx` below 1 or above the number of tokens, or templates that cannot be used.
        DataError: fewer than two classes, an empty name, or a prompt longer than the model's context.
    """

    paper = "https://arxiv.org/abs/2303.13283"
    kind = "text prompt"
    summary = "the prompt's context, held near a hand-written prompt"
    recipe: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "epochs": 100}
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset("KgCoOp's code: scripts/base2new_train.sh, vit_b16_ep100_ctxv1.yaml and rn50_ep100.yaml"),
        "few-shot": Preset("KgCoOp's code: scripts/xd_train.sh (4 shots of all classes), vit_b16_ep100_ctxv1.yaml"),
    }
    own_templates: ClassVar[Mapping[str, str] | None] = {"dtd": "a photo of a {}, a type of texture."}

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int | None = None,
        ctx_init: str | None = "a photo of a",
        weight: float = 8.0,
        templates: str | Path | Sequence[str] = "a photo of a {}.",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weight is {weight}; allowed is a number from 0 (plain CoOp) on, the paper's is 8.")
        self.weight = weight
        self.templates = read_templates(templates)
        self.truncate_names = truncate_names
        ctx, words = start_context(vlm, n_ctx, ctx_init, default=4)  # (M, d_t)
        layout = PromptLayout.build(vlm, class_names, len(ctx), words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        self.ctx = nn.Parameter(ctx)
        self.settings["n_ctx"] = self.ctx.shape[-2]

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the prompts as they are now."""
        return F.normalize(self.encoder(self.ctx).float(), dim=-1)

    @cached_property
    def hand_written(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the hand-written prompt; only training asks for them."""
        with torch.autocast(self.device.type, enabled=False):
            return template_features(self.vlm, self.class_names, self.templates, truncate=self.truncate_names)

    def loss(self, batch: Batch) -> Losses:
        """The task's loss plus `weight` times "distance", 1 - the mean cosine to the hand-written prompt."""
        text_features = self.class_features()
        logits = cosine_logits(self.vlm, batch.images, text_features)
        distance = 1 - (text_features * self.hand_written).sum(-1).mean()
        total = self.task_loss(logits, batch) + self.weight * distance
        return Losses(total, logits.detach(), {"distance": distance.detach()})
