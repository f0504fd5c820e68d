"""CoCoOp: conditional context optimization, a context that each image shifts."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.methods.method import Method, Preset
from coopt.methods.predictor import cosine_logits
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, start_context


class CoCoOp(Method):
    r"""Learns a context and a small network that shifts it for each image; both encoders stay frozen.

    .. math::
        v_m(x) = v_m + h_\theta(x), \qquad
        p(y = c \mid x) = \frac{\exp(\cos(g(t_c(x)), x) / \tau)}{\sum_j \exp(\cos(g(t_j(x)), x) / \tau)}

    with x the normalised image feature, :math:`t_c(x) = [v_1(x), \dots, v_M(x), \mathrm{CLASS}_c]`, g the text encoder
    and :math:`1 / \tau` the model's own ``logit_scale``. The network :math:`h_\theta` ("meta-net") has two layers with
    a ReLU between and a hidden width of 1/16 of the feature's; it gives one vector, which is added to all M context
    vectors. What is learned depends less on the training classes than CoOp's context does, and it costs a pass of the
    text encoder over all classes for each image, in training and in prediction.

    Reference:
        Zhou, Yang, Loy and Liu, "Conditional Prompt Learning for Vision-Language Models", CVPR 2022, section 3.2 and
        equation 3.

    Differences from the official code:
        - A batch of images goes through the text encoder together; the code takes one image at a time and trains with
          a batch of 1 to save memory. The batch of 1 is the default here too, because it is what was published.
        - Its words initialisation learns as many tokens as `ctx_init` has space-separated words; here `n_ctx` tokens
          are learned, by default all. The two agree wherever each word is one token, as in "a photo of a".
        - In half precision there: the frozen model, the context and the network. Here they are in float32, and the
          recipe's `precision` says what a step computes in.

    Args:
        n_ctx: number of learned context vectors M: the first M tokens of `ctx_init`, whose other words stay in place.
            None takes all tokens, or 4 vectors without words.
        ctx_init: words to start from; None draws from N(0, 0.02).
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t)
        - meta_net: (E / 16, E), (E / 16,), (d_t, E / 16) and (d_t,)
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: `n_ctx` below 1 or above the number of tokens, or `ctx_init` without a word.
        DataError: fewer than two classes, an empty name, or a prompt longer than the model's context.
    """

    paper = "https://arxiv.org/abs/2203.05557"
    kind = "text prompt"
    summary = "the prompt's context, and a network that shifts it for each image"
    recipe: ClassVar[Mapping[str, Any]] = {"batch_size": 1, "epochs": 10}
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset("CoOp's code: scripts/cocoop/base2new_train.sh, vit_b16_c4_ep10_batch1_ctxv1.yaml"),
        "cross-dataset": Preset("CoOp's code: scripts/cocoop/xd_train.sh, vit_b16_c4_ep10_batch1_ctxv1.yaml"),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int | None = None,
        ctx_init: str | None = "a photo of a",
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        ctx, words = start_context(vlm, n_ctx, ctx_init, default=4)  # (M, d_t)
        layout = PromptLayout.build(vlm, class_names, len(ctx), words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        self.ctx = nn.Parameter(ctx)
        self.settings["n_ctx"] = self.ctx.shape[-2]
        hidden = max(1, vlm.embed_dim // 16)
        first, second = nn.Linear(vlm.embed_dim, hidden), nn.Linear(hidden, vlm.text.width)
        layers = OrderedDict(linear1=first, relu=nn.ReLU(), linear2=second)
        self.meta_net = nn.Sequential(layers).to(vlm.device)

    def contexts(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B M D"]:
        """Each image's own context."""
        shift = self.meta_net(F.normalize(images.to(self.device).float(), dim=-1))  # (B, d_t)
        return self.ctx + shift[:, None]

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        # A step keeps what its gradient needs of all images; prediction keeps nothing, so it takes as many images at
        # a time as fit the memory with all their classes.
        at_once = len(images) if torch.is_grad_enabled() else self.encoder.contexts_at_once()
        parts = []
        for part in images.split(at_once):
            text_features = F.normalize(self.encoder.encode_batch(self.contexts(part)).float(), dim=-1)  # (b, C, E)
            parts.append(cosine_logits(self.vlm, part[:, None], text_features)[:, 0])  # (b, 1, C) to (b, C)
        return torch.cat(parts)
