"""TPT: test-time prompt tuning, a prompt of its own for each test image, without labels."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from coopt.errors import ConfigError
from coopt.features import Inputs
from coopt.methods.method import Method, Preset
from coopt.methods.predictor import cosine_logits
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, start_context


class TPT(Method):
    r"""Tunes the context for each test image by itself, until the image's views agree; nothing is learned before.

    .. math::
        p^* = \arg\min_p H\Bigl(\frac{1}{\rho N} \sum_{i \in S} p_p(y \mid A_i(x))\Bigr), \qquad
        S = \{i : H(p_p(y \mid A_i(x))) \text{ among the } \rho N \text{ lowest}\}

    with H the entropy, :math:`A_1(x)` the plain image and :math:`A_2 \dots A_N` random crops of it, flipped or not. One
    step of AdamW is taken (the images that are chosen stay chosen in further steps); the plain image is then predicted
    with the tuned prompt, and the next image starts from the untouched one. `fit` needs no training images and only
    writes the run folder; the work is done in prediction, for each image one pass of the text encoder over all classes
    forward and backward, and one forward.

    Reference:
        Shu, Nie, Huang, Yu, Goldstein, Anandkumar and Xiao, "Test-Time Prompt Tuning for Zero-Shot Generalization in
        Vision-Language Models", NeurIPS 2022, equations 2 to 4.

    Differences from the official code:
        - A batch of test images is tuned together, each with a prompt, moments and loss of its own: the numbers are
          those of one image at a time.
        - The AugMix chains that the code mixes into the views for fine-grained data sets are not offered; all data sets
          get what it uses for ImageNet and its variants, random resized crops and flips. Crops are resized as in
          training here (bicubic for CLIP), bilinearly there. Expect other figures than the published ones, above all
          on fine-grained sets.
        - It can tune the output of a trained CoCoOp; here the start is words, random, or a trained shared context.
        - Words with "[CLS]" among them set the place of the class name there; here `position` does, and "middle" puts
          it after half of the words.
        - Given a single view (plain features), its own entropy is lowered.
        - In half precision there, by autocast: the frozen model's products. Here they are in the model's own precision,
          float32 unless it is loaded otherwise.

    Args:
        n_ctx: number of learned context vectors M: the first M tokens of `ctx_init`, whose other words stay in place.
            None takes all tokens, or 4 vectors without words.
        ctx_init: words to start from; None draws from N(0, 0.02).
        ctx_from: a trained shared context to start from, in place of words; in commands and `coopt.learn` the folder
            of a run (CoOp, KgCoOp, ProGrad) that holds one.
        position: where the class name stands: "end", "middle" or "front".
        n_views: N, views of each image, the plain one included.
        confidence: :math:`\rho`, the share of views that are chosen; at least one is.
        n_steps: steps of AdamW; 0 predicts with the starting prompt.
        lr: their rate.
        truncate_names: drop the last tokens of names whose prompts are too long, instead of raising.

    Shape:
        - ctx: (M, d_t), where every image starts; never changed
        - images: (B, V, E) or (B, E), not normalised; the plain image is the first view
        - logits: (B, C)

    Raises:
        ConfigError: a number out of its range, `n_ctx` above the number of tokens, or an unknown position.
        DataError: fewer than two classes, an empty name, or a prompt longer than the model's context.
    """

    paper = "https://arxiv.org/abs/2209.07511"
    kind = "text prompt at test time"
    summary = "nothing before the test; then the prompt's context for each image, without labels"
    uses_shots = False
    steps = False
    inputs = Inputs(test_views=64)  # an instance has its own number; that there are any is known without one
    presets: ClassVar[Mapping[str, Preset]] = {
        "cross-dataset": Preset("TPT's code: scripts/test_tpt.sh (without its AugMix views)"),
        "shift": Preset("TPT's code: scripts/test_tpt.sh, on ImageNet and its variants"),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_ctx: int | None = None,
        ctx_init: str | None = "a photo of a",
        ctx_from: Float[Tensor, "M D"] | None = None,
        position: str = "end",
        n_views: int = 64,
        confidence: float = 0.1,
        n_steps: int = 1,
        lr: float = 5e-3,
        truncate_names: bool = False,
    ) -> None:
        super().__init__(vlm, class_names)
        problems = [f"n_views is {n_views}; allowed is a whole number from 1"] if n_views < 1 else []
        if not 0 < confidence <= 1:
            problems.append(f"confidence is {confidence}; allowed is a share of the views above 0, up to 1")
        if n_steps < 0:
            problems.append(f"n_steps is {n_steps}; allowed is a whole number from 0")
        if not 0 < lr < float("inf"):
            problems.append(f"lr is {lr}; allowed is a number above 0")
        if problems:
            raise ConfigError("TPT cannot be used so: " + "; ".join(problems) + ".")
        self.inputs = Inputs(test_views=n_views)
        self.confidence, self.n_steps, self.lr = confidence, n_steps, lr
        if ctx_from is None:
            ctx, words = start_context(vlm, n_ctx, ctx_init, default=4)  # (M, d_t)
        else:
            ctx, words = ctx_from.to(vlm.device, torch.float32), []
            # A run folder holds the vectors themselves: it does not need the run that they came from.
            self.settings |= {"ctx_from": None, "ctx_init": None}
        layout = PromptLayout.build(vlm, class_names, len(ctx), position, words=words, truncate_names=truncate_names)
        self.encoder = PromptEncoder(vlm.text, layout)
        self.ctx = nn.Parameter(ctx, requires_grad=False)  # no training step touches it
        self.settings["n_ctx"] = len(ctx)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B *V E"]) -> Float[Tensor, "B C"]:
        """Logits of the plain images, each with the prompt that was tuned for it."""
        views = images.to(self.device).float()
        views = views[:, None] if views.ndim == 2 else views  # (B, V, E)
        parts = views.split(self.encoder.contexts_at_once())
        return torch.cat([self._logits(self.tune(part), part[:, :1])[:, 0] for part in parts])

    def _logits(self, ctx: Float[Tensor, "B M D"], views: Float[Tensor, "B V E"]) -> Float[Tensor, "B V C"]:
        return cosine_logits(self.vlm, views, F.normalize(self.encoder.encode_batch(ctx).float(), dim=-1))

    @torch.enable_grad()
    def tune(self, views: Float[Tensor, "B V E"]) -> Float[Tensor, "B M D"]:
        """Each image's own context after `n_steps`; the images do not see each other."""
        # Each image's loss depends on its own context only, so the gradient of their sum is that of each; and AdamW
        # treats every number by itself, so one optimizer over all images is one for each.
        ctx = self.ctx.detach().expand(len(views), -1, -1).clone().requires_grad_()  # (B, M, d_t)
        optimizer = torch.optim.AdamW([ctx], lr=self.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
        chosen = None
        for _ in range(self.n_steps):
            logits = self._logits(ctx, views)  # (B, V, C)
            if chosen is None:
                chosen = most_confident(logits.detach(), self.confidence)  # (B, S)
            kept = logits.gather(1, chosen[..., None].expand(-1, -1, logits.shape[-1]))  # (B, S, C)
            (ctx.grad,) = torch.autograd.grad(entropy_of_mean(kept).sum(), ctx)
            optimizer.step()
        return ctx.detach()


def most_confident(logits: Float[Tensor, "B V C"], share: float) -> Int[Tensor, "B S"]:
    """Which views have the lowest entropy, the lowest first."""
    entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)  # (B, V)
    return entropy.argsort(dim=1)[:, : max(1, int(logits.shape[1] * share))]


def entropy_of_mean(logits: Float[Tensor, "B S C"]) -> Float[Tensor, " B"]:
    """Entropy of the mean of the views' probabilities."""
    log_mean = logits.log_softmax(-1).logsumexp(1) - torch.tensor(float(logits.shape[1])).log().item()  # (B, C)
    return -(log_mean * log_mean.exp()).sum(-1)
