"""OrdinalCLIP: rank prompts whose rank tokens are interpolated between a few base ranks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from coopt.errors import ConfigError, did_you_mean
from coopt.methods.batch import Batch, Losses
from coopt.methods.method import Method, Preset
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, check_position, check_size, clean_name, noise, start_context

INTERPOLATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "linear": lambda away, last: 1 - away / last,
    "inverse": lambda away, last: 1 / (away + 1e-5),
    "normal": lambda away, last: torch.exp(-(away**2)),
}
"""How much of a base rank a rank is, by its distance from it; `last` is the largest distance."""
N_BASE_RANKS = 3
CODE = "OrdinalCLIP's code: configs/meta_cfgs/morph_compare.yaml (few-shot table of the paper)"
MORPH_RECIPE: Mapping[str, Any] = {
    "lr": 1e-4, "weight_decay": 5e-4, "schedule": "cosine", "epochs": 100, "batch_size": 32, "views": "fresh",
}  # fmt: skip
MORPH_WORDS = "age estimation: the age of the person is"


class OrdinalCLIP(Method):
    r"""Learns the context of a prompt per rank, and the rank's own tokens, which lie between those of K' base ranks.

    .. math::
        R_i = \sum_{b=1}^{K'} a_{ib} R'_b, \qquad
        L = L_{ce} + \lambda \, \frac{1}{|Y|} \sum_{r \in Y} \mathrm{KL}\bigl(q_r \,\|\, p_r\bigr)

    The tokens of rank i are a mean of the learned tokens :math:`R'_b` of base ranks, which lie at equal distances among
    the C ranks. Its weights, made to sum to 1, are :math:`1 - |i - b| / (C - 1)` ("linear"),
    :math:`1 / (|i - b| + 10^{-5})` ("inverse") or :math:`\exp(-(i - b)^2)` ("normal"), with b the place of the base
    rank. So a rank that no training image has is learned too. :math:`L_{ce}` is the loss of the task (cross entropy).
    The second term looks along the other axis: for each rank r in the batch, :math:`p_r` is the softmax of its logits
    over the images of the batch and :math:`q_r` the softmax of 10 for the images of that rank and 0 for the others.

    Without base ranks (`n_base_ranks=None`) each rank has tokens of its own, which start at its words: that is CoOp as
    it stands in the paper's tables, with learned context and learned rank tokens.

    Reference:
        Li, Huang, Zhu, Tang, Li, Zhou and Lu, "OrdinalCLIP: Learning Rank Prompts for Language-Guided Ordinal
        Regression", NeurIPS 2022, equations 3 to 7.

    Differences from the official code:
        - The image tower stays frozen; the code tunes it together with the prompt, at the same rate.
        - Ranks may be any numbers in rising order; interpolation goes by their places, as there.
        - A rank that has fewer tokens than another has only those; the end token is the model's own.
        - In half precision there, by autocast: the products of both towers and of the logits. Here they are in float32,
          unless the recipe's `precision` says otherwise.

    Args:
        n_base_ranks: K'; None gives each rank tokens of its own, started at its words. Two ranks have two by default.
        interpolation: "linear", "inverse" or "normal"; the paper's experiments take the first two.
        n_rank_tokens: tokens of a base rank that starts at random.
        rank_init: words that the base ranks start at, one for each, with a comma between; None draws from N(0, 0.02).
        n_ctx: number of learned context vectors M: by default all tokens of `ctx_init`, or 10 vectors without words.
        position: where the rank stands: "end", "middle" or "front".
        class_specific: one context per rank instead of one for all.
        ctx_init: words to start the context from; None draws from N(0, 0.02).
        kl_weight: :math:`\lambda`, of the term over the batch.

    Shape:
        - ctx: (M, d_t), or (C, M, d_t) when class-specific
        - ranks: (K', R, d_t), or (C, R, d_t) without base ranks, where R is the most tokens that one has
        - images: (B, E), not normalised
        - logits: (B, C)

    Raises:
        ConfigError: a number of base ranks below 1 or above C, words that are not one for each base rank, a negative
            `kl_weight`, or an unknown interpolation or position.
        DataError: fewer than two ranks, or a prompt longer than the model's context.
    """

    paper = "https://arxiv.org/abs/2206.02338"
    kind = "text prompt"
    summary = "the prompt's context and rank tokens that lie between base ranks"
    new_classes = False
    ordered = True
    recipe: ClassVar[Mapping[str, Any]] = {
        "optimizer": "radam", "lr": 1e-4, "weight_decay": 0.0, "schedule": "step", "warmup_epochs": 0, "epochs": 100,
    }  # fmt: skip
    presets: ClassVar[Mapping[str, Preset]] = {
        "morph-fewshot": Preset(CODE, {"ctx_init": MORPH_WORDS}, MORPH_RECIPE, {"ranks": "0:100"}),
        "morph-fewshot-coop": Preset(
            f"{CODE}, the row of CoOp",
            {"ctx_init": MORPH_WORDS, "n_base_ranks": None},
            MORPH_RECIPE,
            {"ranks": "0:100"},
        ),
        "frozen-tower": Preset(
            "this library: the code's rate is for a tower that is tuned too, and hardly moves a prompt by itself",
            recipe={"lr": 0.005, "schedule": "cosine", "epochs": None},
        ),
    }

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        *,
        n_base_ranks: int | None = N_BASE_RANKS,
        interpolation: str = "linear",
        n_rank_tokens: int = 1,
        rank_init: str | None = None,
        n_ctx: int | None = None,
        position: str = "end",
        class_specific: bool = False,
        ctx_init: str | None = None,
        kl_weight: float = 1.0,
    ) -> None:
        super().__init__(vlm, class_names)
        n_ranks = len(class_names)
        if n_base_ranks == N_BASE_RANKS and n_ranks < N_BASE_RANKS:
            n_base_ranks = self.settings["n_base_ranks"] = n_ranks  # the default, for two ranks
        check_position(position)
        check_size("n_rank_tokens", n_rank_tokens)
        if interpolation not in INTERPOLATIONS:
            listed = ", ".join(map(repr, INTERPOLATIONS))
            hint = did_you_mean(str(interpolation), INTERPOLATIONS)
            raise ConfigError(f"interpolation is {interpolation!r}; allowed are {listed}.{hint}")
        if not 0 <= kl_weight < float("inf"):
            raise ConfigError(f"kl_weight is {kl_weight}; allowed is a number from 0 on, the paper's is 1.")
        if n_base_ranks is not None and not 1 <= n_base_ranks <= n_ranks:
            raise ConfigError(
                f"n_base_ranks is {n_base_ranks}; allowed is a whole number from 1 to the number of ranks, {n_ranks}, "
                "or none for tokens of each rank's own."
            )
        self.kl_weight = kl_weight
        ctx, _ = start_context(vlm, n_ctx, ctx_init, default=10, n_sets=n_ranks if class_specific else None)
        if class_specific and ctx.ndim == 2:
            ctx = ctx.expand(n_ranks, -1, -1).clone()  # (C, M, d_t)
        self.ctx = nn.Parameter(ctx)
        ranks, lengths = start_ranks(vlm, class_names, n_base_ranks, n_rank_tokens, rank_init)  # (K', R, d_t)
        self.ranks = nn.Parameter(ranks)
        self.weights = None
        if n_base_ranks is not None:
            self.weights = interpolation_weights(n_ranks, n_base_ranks, interpolation).to(vlm.device)  # (C, K')
        self.settings["n_ctx"] = self.ctx.shape[-2]
        places = vector_places(self.ctx, lengths, self.ranks.shape[1], position)
        layout = PromptLayout.of_vectors(vlm, class_names, places, self.vectors().shape[0])
        self.encoder = PromptEncoder(vlm.text, layout)

    def rank_tokens(self) -> Float[Tensor, "C R D"]:
        """The tokens of each rank."""
        if self.weights is None:
            return self.ranks
        return torch.einsum("cb,brd->crd", self.weights, self.ranks)  # (C, R, d_t)

    def vectors(self) -> Float[Tensor, "V D"]:
        """All vectors of the prompts, the context first: what `vector_places` counts."""
        width = self.ctx.shape[-1]
        return torch.cat([self.ctx.reshape(-1, width), self.rank_tokens().reshape(-1, width)])

    def class_features(self) -> Float[Tensor, "C E"]:
        """Normalised features of the rank prompts as they are now."""
        return F.normalize(self.encoder(self.vectors()).float(), dim=-1)

    def loss(self, batch: Batch) -> Losses:
        """The task's loss plus `kl_weight` times "kl", the term along the images of the batch."""
        logits = self(batch.images)
        assert batch.targets is not None  # images of the loop are labelled
        kl = batch_kl(logits, self.task.classes(batch.targets), batch.weight)
        total = self.task_loss(logits, batch) + self.kl_weight * kl
        return Losses(total, logits.detach(), {"kl": kl.detach()})


def interpolation_weights(n_ranks: int, n_base_ranks: int, interpolation: str) -> Float[Tensor, "C B"]:
    """How much of each base rank each rank is; rows sum to 1. A single base rank lies in the middle."""
    last = float(n_ranks - 1)
    bases = torch.linspace(0, last, n_base_ranks) if n_base_ranks > 1 else torch.tensor([last / 2])
    away = (torch.arange(n_ranks)[:, None] - bases).abs()  # (C, K')
    weights = INTERPOLATIONS[interpolation](away, last)
    return weights / weights.sum(-1, keepdim=True)


@torch.no_grad()
def start_ranks(
    vlm: VLM, class_names: Sequence[str], n_base_ranks: int | None, n_tokens: int, words: str | None
) -> tuple[Float[Tensor, "K R D"], list[int]]:
    """The rank tokens to start from, and how many of them each of the C ranks has.

    Words with fewer tokens than others are filled up, with the embedding of the token 0 as in the authors' code.

    Raises:
        ConfigError: the words are not one for each base rank, or one of them is empty.
    """
    if n_base_ranks is None:
        if words is not None:
            raise ConfigError(
                "rank_init names the words of base ranks; with n_base_ranks=none the ranks' own are taken."
            )
        texts = list(class_names)
    elif words is None:
        return noise(n_base_ranks, n_tokens, vlm.text.width, vlm=vlm), [n_tokens] * len(class_names)
    else:
        texts = words.split(",")
        if len(texts) != n_base_ranks:
            raise ConfigError(f"rank_init names {len(texts)} words for {n_base_ranks} base ranks: {words!r}.")
    ids = [vlm.tokenizer.encode(clean_name(text)) for text in texts]
    empty = [text for text, own in zip(texts, ids, strict=True) if not own]
    if empty:
        raise ConfigError(f"A rank must have at least one word to start from; got {empty[0]!r}.")
    lengths = [len(own) for own in ids]
    padded = torch.tensor([own + [0] * (max(lengths) - len(own)) for own in ids], device=vlm.device)
    tokens = vlm.text.token_embedding(padded).float()  # (K', R, d_t)
    return tokens, lengths if n_base_ranks is None else [max(lengths)] * len(class_names)


def vector_places(ctx: Tensor, lengths: Sequence[int], n_rank_tokens: int, position: str) -> list[list[int]]:
    """Which vectors each rank's prompt has, in its order: places in the context's rows, then in those of the ranks."""
    n_ctx, first_rank = ctx.shape[-2], ctx[..., 0].numel()
    split = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
    places = []
    for rank, length in enumerate(lengths):
        first = rank * n_ctx if ctx.ndim == 3 else 0
        context = list(range(first, first + n_ctx))
        own = [first_rank + rank * n_rank_tokens + token for token in range(length)]
        places.append([*context[:split], *own, *context[split:]])
    return places


def batch_kl(
    logits: Float[Tensor, "B C"], classes: Int[Tensor, " B"], weight: Float[Tensor, " B"] | None = None
) -> Float[Tensor, ""]:
    """KL divergence along a batch, the mean over the ranks in it; an image of weight w counts as w images."""
    if weight is not None:
        counts = weight > 0
        logits, classes, weight = logits[counts], classes[counts], weight[counts]
    present = classes.unique()  # (Y,)
    hit = (present[:, None] == classes).float()  # (Y, B)
    if weight is None:
        predicted = logits.T[present].log_softmax(-1)  # (Y, B)
        return F.kl_div(predicted, (10 * hit).softmax(-1), reduction="sum") / len(present)
    predicted, wanted = (shares(scores, weight) for scores in (logits.T[present], 10 * hit))
    return (weight * F.kl_div(predicted, wanted.exp(), reduction="none")).sum() / max(1, len(present))


def shares(scores: Float[Tensor, "Y B"], weight: Float[Tensor, " B"]) -> Float[Tensor, "Y B"]:
    """The logarithms of a softmax along a batch where an image stands for `weight` images: of one of these."""
    return scores - (scores + weight.log()).logsumexp(-1, keepdim=True)
