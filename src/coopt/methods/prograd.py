"""ProGrad: prompt-aligned gradient, steps that do not unlearn what a hand-written prompt knows."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.errors import ConfigError
from coopt.methods.batch import Batch, Losses
from coopt.methods.method import Change, Method, Preset
from coopt.methods.predictor import cosine_logits
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, read_templates, start_context, template_features


class ProGrad(Method):
    r"""Learns the context of the prompt as CoOp does, by steps that never work against the hand-written prompt.

    Two losses are taken of each batch: the cross entropy to the labels, with gradient :math:`G_d` (domain), and that to
    the hand-written prompt's own prediction, with gradient :math:`G_g` (general). Where they point apart, what opposes
    the general one is taken out of the domain's:

    .. math::
        G = \begin{cases} G_d & \text{if } G_d \cdot G_g \ge 0 \\
        G_d - \lambda \frac{G_d \cdot G_g}{\lVert G_g \rVert^2} G_g & \text{otherwise} \end{cases}, \qquad
        L_g = -\frac{T^2}{B} \sum_i \sum_c p_{zs}(c \mid x_i) \log p(c \mid x_i)

    with both predictions at temperature T. :math:`L_g` steers and is never added; momentum and weight decay apply to G.

    Reference:
        Zhu, Niu, Han, Wu and Zhang, "Prompt-aligned Gradient for Prompt Tuning", ICCV 2023, equations 3 to 5.

    Differences from the official code:
        - The start from words fills the last rows of the context and leaves zeros in front of them, as there. It counts
          space-separated words, and a comma then pushes the last one out of the context; here every token is counted.
        - The hand-written prompt is "a photo of a {}." unless `templates` says otherwise; the code has one for each
          data set (for example "a type of pet, a photo of a {}."), which the benchmark fills in. They may be an
          ensemble here.
        - Its class-specific context is absent, and so are the other losses of its `LOSS.NAME` (knowledge distillation,
          projection in every step).
        - In half precision there: the frozen model and the context, but not the model that predicts by the hand-written
          prompt. Here they are in float32, and the recipe's `precision` says what a step computes in.

    Args:
        n_ctx: number of learned context vectors M, 16 for None. Of words with more tokens, the first M are learned and
            the others stay as they are.
        ctx_init: words that the context ends with at the start; "template" takes those in front of the class name in
            the first of `templates` ("a photo of a" where there are none); None draws all M from N(0, 0.02).
        position: where the class name stands: "end", "middle" or "front".
        projection: :math:`\lambda`, the part of the opposing component that is taken out. The authors take 0.8 for 8
            and 16 shots of Flowers102, DTD and EuroSAT, and 1 everywhere else.
        temperature: T.
        templates: the hand-written prompt: one template with ``{}`` for the class name, a list of them (an ensemble), a
            name in `coopt.prompting.TEMPLATES`, or a file.
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t)
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: `n_ctx` below 1, `ctx_init` without a word, `projection` below 0, `temperature` not above 0, an
            unknown position, or templates that cannot be used.
        DataError: fewer than two classes, an empty name, or a prompt longer than the model's context.
    """

    paper = "https://arxiv.org/abs/2205.14865"
    kind = "text prompt"
    summary = "the prompt's context, by steps that do not oppose a hand-written prompt"
    presets: ClassVar[Mapping[str, Preset]] = {
        "few-shot": Preset(
            "ProGrad's code: scripts/prograd.sh, rn50_ep50.yaml, rn50_ep100.yaml and rn50.yaml by shots; its README",
            changes=(Change(("flowers102", "dtd", "eurosat"), {"projection": 0.8}, shots=(8, 16)),),
        ),
        "base-to-new": Preset(
            "ProGrad's code: scripts/base2new_train_prograd.sh (4 shots), rn50_ep100.yaml; its README",
            recipe={"epochs": 100},
            changes=(Change(("imagenet",), recipe={"epochs": 50}),),
        ),
        "cross-dataset": Preset(
            "ProGrad's code: README, training on ImageNet (4 shots), rn50_ep50.yaml", recipe={"epochs": 50}
        ),
    }
    own_templates: ClassVar[Mapping[str, str] | None] = {
        "oxford-pets": "a type of pet, a photo of a {}.",
        "flowers102": "a type of flower, a photo of a {}.",
        "fgvc-aircraft": "a type of aircraft, a photo of a {}.",
        "dtd": "a texture of {}.",
        "food101": "a type of food, a photo of {}.",
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int | None = None,
        ctx_init: str | None = "template",
        position: str = "end",
        projection: float = 1.0,
        temperature: float = 1.0,
        templates: str | Path | Sequence[str] = "a photo of a {}.",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        if not 0 <= projection < float("inf"):
            raise ConfigError(f"projection is {projection}; allowed is a number from 0 (none) on, the paper's is 1.")
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"temperature is {temperature}; allowed is a number above 0.")
        self.projection, self.temperature = projection, temperature
        self.templates = read_templates(templates)
        self.truncate_names = truncate_names
        if ctx_init == "template":
            ctx_init = self.templates[0].split("{}")[0].strip() or "a photo of a"
        ctx, words = start_context(vlm, n_ctx, ctx_init, default=16, too_few="zeros")
        layout = PromptLayout.build(vlm, class_names, len(ctx), position, words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        self.ctx = nn.Parameter(ctx)  # (M, d_t)
        self.settings |= {"n_ctx": self.ctx.shape[-2], "ctx_init": ctx_init}  # whatever templates it is given later

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the prompts as they are now."""
        return F.normalize(self.encoder(self.ctx).float(), dim=-1)

    @cached_property
    def hand_written(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the hand-written prompt; only training asks for them."""
        with torch.autocast(self.device.type, enabled=False):
            return template_features(self.vlm, self.class_names, self.templates, truncate=self.truncate_names)

    def loss(self, batch: Batch) -> Losses:
        """The task's loss, and "general", which only steers: that to the hand-written prompt's prediction."""
        logits = self(batch.images)
        general = cosine_logits(self.vlm, batch.images, self.hand_written)
        target = (general / self.temperature).softmax(-1)
        each = F.cross_entropy(logits / self.temperature, target, reduction="none")  # (B,)
        general_loss = self.temperature**2 * batch.weighed(each).mean()
        total = self.task_loss(logits, batch)
        return Losses(total, logits.detach(), {"general": general_loss})

    def gradients(self, batch: Batch, scale: Callable[[Tensor], Tensor]) -> Losses:
        """The gradient of the task's loss, without what opposes the general one."""
        losses = self.loss(batch)
        parameters = [p for p in self.parameters() if p.requires_grad]
        with torch.autocast(self.device.type, enabled=False):
            # Both scaled alike: the direction taken out does not depend on it.
            general = torch.autograd.grad(scale(losses.terms["general"]), parameters, retain_graph=True)
            domain = torch.autograd.grad(scale(losses.total), parameters)
        for parameter, g, h in zip(parameters, domain, general, strict=True):
            direction = h / h.norm().clamp_min(torch.finfo(h.dtype).tiny)
            opposing = (g * direction).sum().clamp(max=0)  # 0 where the two agree
            parameter.grad = g - self.projection * opposing * direction
        return losses
