"""PromptSRC: self-regulating prompts, held near the frozen model while they learn, and averaged over the epochs."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.errors import ConfigError, did_you_mean
from coopt.features import Inputs
from coopt.methods.batch import Batch, Losses
from coopt.methods.method import Change, Method, Preset
from coopt.methods.predictor import cosine_logits
from coopt.models import VLM
from coopt.prompting import (
    PromptedImageTower,
    PromptEncoder,
    PromptLayout,
    check_size,
    noise,
    read_templates,
    start_context,
    template_features,
)

MEANS = ("elements", "batch")
"""What the sum of the divergence can be divided by."""
SPECIALISED = ("stanford-cars", "flowers102", "fgvc-aircraft", "dtd", "eurosat")
"""Data sets for which the authors' few-shot configuration names other epoch weights."""
CODE = "PromptSRC's code, configs/trainers/PromptSRC/"


class PromptSRC(Method):
    r"""Learns deep prompts in both towers that stay near what the frozen model says, averaged over the epochs.

    .. math::
        \mathcal{L} = \mathcal{L}_{CE} + \lambda_1 \overline{|\tilde g_p - \tilde g|}
        + \lambda_2 \overline{|\tilde f_p - \tilde f|} + \mathcal{D}_{KL}(q \,\|\, q_p), \qquad
        \theta = \sum_e w_e \theta_e, \quad w_e \propto \mathcal{N}(e; \mu, \sigma^2)

    with g the class features and f the image features (p: prompted; else of the frozen model, g averaged over many
    hand-written templates and f of the same augmented image), q the class probabilities they give, and
    :math:`\theta_e` the prompts at the end of epoch e. The prompts themselves are those of IVLP.

    Reference:
        Khattak, Wasim, Naseer, Khan, Yang and Khan, "Self-regulating Prompts: Foundational Model Adaptation without
        Forgetting", ICCV 2023, section 3.2.

    Differences from the official code:
        - The divergence can be averaged over images (`kl_mean="batch"`). By default it is divided by images times
          classes as there, which makes the term small and dependent on the number of classes.
        - `ctx_init` is used wherever it has `n_ctx` tokens or more; there `n_ctx` above 4 always starts at random.
        - Only learned tensors are averaged; there the frozen weights too, which rounds them.
        - A tower with fewer blocks than its prompt depth is prompted in all of them.
        - In half precision there: both models of images, the first text prompts, all other prompts where they enter a
          block, and only in the divergence the frozen class features. Here they are in float32, and the recipe's
          `precision` says what a step computes in.

    Args:
        n_ctx, n_ctx_vision: numbers of text prompts M and of visual prompts n in each block.
        prompt_depth, prompt_depth_vision: numbers of text and of image blocks with prompts of their own.
        ctx_init: words to start from, of which the first `n_ctx` tokens are learned; None, or words with fewer tokens,
            draw from N(0, 0.02).
        text_weight, image_weight: weights :math:`\lambda_1` and :math:`\lambda_2`.
        gpa_mean, gpa_std: mean (an epoch, from 1) and deviation of the epochs' weights.
        kl_mean: "elements" or "batch": what the divergence is averaged over.
        templates: hand-written prompts of the frozen class features: a list, a name or a file, as for zero-shot.
        truncate_names: cut names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t); deep: (J - 1, M, d_t), absent with J = 1; ctx_visual and deep_visual: likewise with n and d_v
        - images: pixels (B, 3, H, W)
        - logits: (B, C)

    Raises:
        ConfigError: a number of prompts, a depth or `gpa_std` is too small, or a template or `kl_mean` cannot be used.
        DataError: an empty name, or a prompt longer than the model's context.
        ModelError: the image tower is no vision transformer.
    """

    paper = "https://arxiv.org/abs/2307.06948"
    kind = "text and visual prompts"
    summary = "deep prompts in both towers, kept near the frozen model and averaged over epochs"
    inputs = Inputs("pixels")
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 20, "batch_size": 4, "lr": 0.0025, "views": "fresh"}
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset(
            source=CODE + "vit_b16_c2_ep20_batch4_4+4ctx.yaml",
            settings={"prompt_depth": 9, "prompt_depth_vision": 9, "gpa_mean": 15.0, "gpa_std": 1.0},
            recipe={"epochs": 20},
        ),
        "cross-dataset": Preset(
            source=CODE + "vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets.yaml",
            settings={"prompt_depth": 3, "prompt_depth_vision": 3, "gpa_mean": 6.0, "gpa_std": 10.0},
            recipe={"epochs": 20},
        ),
        "few-shot": Preset(
            source=CODE + "vit_b16_c2_ep50_batch4_4+4ctx_few_shot.yaml",
            settings={"prompt_depth": 9, "prompt_depth_vision": 9, "gpa_mean": 30.0, "gpa_std": 30.0},
            recipe={"epochs": 50},
            changes=(Change(SPECIALISED, {"gpa_mean": 45.0, "gpa_std": 5.0}),),
        ),
        "few-shot-specialised": Preset(
            source=CODE + "vit_b16_c2_ep50_batch4_4+4ctx_few_shot.yaml (its comment: StanfordCars, Flowers102, "
            "FGVCAircraft, DTD and EuroSAT)",
            settings={"prompt_depth": 9, "prompt_depth_vision": 9, "gpa_mean": 45.0, "gpa_std": 5.0},
            recipe={"epochs": 50},
        ),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int = 4,
        n_ctx_vision: int = 4,
        prompt_depth: int = 9,
        prompt_depth_vision: int = 9,
        ctx_init: str | None = "a photo of a",
        text_weight: float = 25.0,
        image_weight: float = 10.0,
        gpa_mean: float = 15.0,
        gpa_std: float = 1.0,
        kl_mean: str = "elements",
        templates: str | Path | Sequence[str] = "imagenet-60",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        check_size("n_ctx", n_ctx)
        check_size("n_ctx_vision", n_ctx_vision)
        check_size("prompt_depth", prompt_depth)
        check_size("prompt_depth_vision", prompt_depth_vision)
        if gpa_std <= 0:
            raise ConfigError(f"gpa_std is {gpa_std}; the deviation of the epochs' weights must be above 0.")
        if kl_mean not in MEANS:
            raise ConfigError(
                f"kl_mean is {kl_mean!r}; allowed are {', '.join(map(repr, MEANS))}.{did_you_mean(kl_mean, MEANS)}"
            )
        self.text_weight, self.image_weight, self.kl_mean = text_weight, image_weight, kl_mean
        self.gpa_mean, self.gpa_std = gpa_mean, gpa_std
        self.templates, self.truncate_names = read_templates(templates), truncate_names
        self.image_encoder = PromptedImageTower(vlm.image)
        ctx, words = start_context(vlm, n_ctx, ctx_init, too_few="random")
        layout = PromptLayout.build(vlm, class_names, n_ctx, words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        depth, width = min(prompt_depth, len(vlm.text.blocks)), vlm.text.width
        self.ctx = nn.Parameter(ctx)
        self.deep = nn.Parameter(noise(depth - 1, n_ctx, width, vlm=vlm)) if depth > 1 else None
        depth, width = min(prompt_depth_vision, self.image_encoder.n_blocks), vlm.image.width
        self.ctx_visual = nn.Parameter(noise(n_ctx_vision, width, vlm=vlm))
        self.deep_visual = nn.Parameter(noise(depth - 1, n_ctx_vision, width, vlm=vlm)) if depth > 1 else None
        self._average: dict[str, Tensor] = {}

    @cached_property
    def frozen_text_features(self) -> Float[Tensor, "C E"]:
        """Normalised mean of the frozen class features over all templates; only training needs them."""
        with torch.autocast(self.device.type, enabled=False):  # kept for the whole training: not in a step's precision
            return template_features(
                self.vlm, self.class_names, self.templates, normalize_each=False, truncate=self.truncate_names
            )

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the prompts as they are now."""
        return F.normalize(self.encoder(self.ctx, self.deep).float(), dim=-1)

    def image_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Normalised image features of the prompts as they are now."""
        return F.normalize(self.image_encoder(images, self.ctx_visual, self.deep_visual).float(), dim=-1)

    def loss(self, batch: Batch) -> Losses:
        """The task's loss, and the three terms that hold features and logits near the frozen model's."""
        images, text, image = batch.images, self.class_features(), self.image_features(batch.images)
        logits = cosine_logits(self.vlm, image, text)  # (B, C)
        with torch.no_grad():
            frozen_image = F.normalize(self.image_encoder(images, self.ctx_visual[:0]).float(), dim=-1)  # no prompts
            frozen_logits = cosine_logits(self.vlm, frozen_image, self.frozen_text_features)
        divergences = F.kl_div(logits.log_softmax(-1), frozen_logits.log_softmax(-1), reduction="none", log_target=True)
        divergence = batch.weighed(divergences).sum()  # of (B, C)
        terms = {
            "cross_entropy": self.task_loss(logits, batch),
            "text_distance": self.text_weight * F.l1_loss(text, self.frozen_text_features),
            "image_distance": self.image_weight
            * batch.weighed(F.l1_loss(image, frozen_image, reduction="none")).mean(),
            "divergence": divergence / (len(logits) if self.kl_mean == "batch" else logits.numel()),
        }
        return Losses(torch.stack(list(terms.values())).sum(), logits.detach(), terms)

    def end_epoch(self, epoch: int, n_epochs: int) -> None:
        """Add the prompts to their average; after the last epoch the average takes their place."""
        if epoch == 0:
            self._average = {}
        weight = float(epoch_weights(n_epochs, self.gpa_mean, self.gpa_std)[epoch])
        for name, parameter in self.named_parameters():
            share = weight * parameter.detach()
            self._average[name] = self._average[name] + share if name in self._average else share
        if epoch + 1 == n_epochs:
            self.load_state_dict(self._average)

    def training_state(self) -> dict[str, Tensor]:
        """The running average of the prompts."""
        return dict(self._average)

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the saved average."""
        self._average = {name: value.to(self.device) for name, value in state.items()}


def epoch_weights(n_epochs: int, mean: float, std: float) -> Float[Tensor, " N"]:
    """Weights of the epochs 1 to N: a Gaussian's densities, made to sum to 1, in float64."""
    epochs = torch.arange(1, n_epochs + 1, dtype=torch.float64)
    # By way of logarithms, so that a mean far beyond the last epoch leaves no sum of zeros to divide by.
    return torch.softmax(-0.5 * ((epochs - mean) / std) ** 2, dim=0)
