"""CoOp: context optimization, the prompt's context words as learnable vectors."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.messages import tell
from coopt.methods.method import Change, Method, Preset
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, start_context


class CoOp(Method):
    r"""Learns the context of the prompt; both encoders stay frozen.

    .. math::
        t_c = [V]_1 [V]_2 \dots [V]_M [\mathrm{CLASS}]_c, \qquad
        p(y = c \mid x) = \frac{\exp(\cos(g(t_c), f(x)) / \tau)}{\sum_j \exp(\cos(g(t_j), f(x)) / \tau)}

    with f the image encoder, g the text encoder and :math:`1 / \tau` the model's own ``logit_scale``. The context
    :math:`[V]` is shared by all classes ("unified") or one set per class ("class-specific"). As in the official code,
    `ctx_init` always gives one shared context, also with `class_specific=True` (a warning says so).

    Reference:
        Zhou, Yang, Loy and Liu, "Learning to Prompt for Vision-Language Models", IJCV 2022, equations 1 to 4.

    Differences from the official code:
        - Its words initialisation learns as many tokens as `ctx_init` has space-separated words; here `n_ctx` tokens
          are learned, by default all. The two agree wherever each word is one token, as in "a photo of a".
        - Its loader also restores token buffers of the training classes; here only the context is saved.
        - The images of an epoch come in the order in which the code's loader draws them after its seed. Its own runs
          have another order: making the model draws random numbers before the loader does.
        - In half precision there: the frozen model and the context. Here they are in float32, and the recipe's
          `precision` says what a step computes in.

    Args:
        n_ctx: number of learned context vectors M: the first M tokens of `ctx_init`, whose other words stay in place.
            None takes all tokens, or 16 vectors without words.
        position: where the class name stands: "end", "middle" or "front".
        class_specific: one context per class instead of one for all.
        ctx_init: words to start from, such as "a photo of a"; None draws from N(0, 0.02).
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t), or (C, M, d_t) when class-specific
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: `n_ctx` below 1 or above the number of tokens, an unknown position, or `ctx_init` without a word.
        DataError: fewer than two classes, an empty name, or a prompt longer than the model's context.
    """

    paper = "https://arxiv.org/abs/2109.01134"
    kind = "text prompt"
    summary = "the prompt's context, shared by all classes or one per class"
    presets: ClassVar[Mapping[str, Preset]] = {
        "base-to-new": Preset(
            "CoOp's code: CoCoOp's comparison, vit_b16_ctxv1.yaml, ImageNet vit_b16_ep50_ctxv1.yaml (section 4 of the "
            "CoCoOp paper)",
            settings={"ctx_init": "a photo of a"},
            recipe={"epochs": 200},
            changes=(Change(("imagenet",), recipe={"epochs": 50}),),
        ),
        "cross-dataset": Preset(
            "CoOp's code: CoCoOp's comparison, trained on ImageNet, vit_b16_ep50_ctxv1.yaml",
            settings={"ctx_init": "a photo of a"},
            recipe={"epochs": 50},
        ),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int | None = None,
        position: str = "end",
        class_specific: bool = False,
        ctx_init: str | None = None,
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        if ctx_init is not None and class_specific:
            tell(
                "class_specific=True has no effect together with ctx_init, as in the authors' code: "
                "the words give one context shared by all classes.",
            )
            class_specific = False
        n_sets = len(class_names) if class_specific else None
        ctx, words = start_context(vlm, n_ctx, ctx_init, default=16, n_sets=n_sets)  # (M, d_t) or (C, M, d_t)
        self.class_specific = class_specific
        self.new_classes = not class_specific
        n_ctx = ctx.shape[-2]
        layout = PromptLayout.build(vlm, class_names, n_ctx, position, words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        self.ctx = nn.Parameter(ctx)
        self.settings["n_ctx"] = self.ctx.shape[-2]

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised class features of the prompts as they are now."""
        return F.normalize(self.encoder(self.ctx).float(), dim=-1)
