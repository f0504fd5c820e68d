"""From context vectors to class features: the one way from a method to the text tower."""

from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.errors import ConfigError
from coopt.models import TextTower
from coopt.prompting.dense import encode_dense
from coopt.prompting.layout import PromptLayout
from coopt.prompting.memory import tokens_that_fit
from coopt.prompting.packed import PackedPrompts
from coopt.prompting.packing import Key


class PromptEncoder:
    """Encodes a layout's prompts with given context vectors.

    A causal tower that pools at the end token gets each distinct token once (packed.py); other towers (SigLIP) get
    whole sequences of their full length (dense.py). The two agree to rounding error where both apply.

    Args:
        tower: the opened text tower, as it is loaded or mapped.
        layout: what sits where in each class's sequence.
        chunk: how many classes go through the tower together. With fewer than all of them memory stays bounded, and
            each chunk is computed a second time in the backward pass. None takes as many as fit a quarter of the free
            memory. The result does not depend on it.

    Raises:
        ConfigError: `chunk` is below 1.
    """

    def __init__(self, tower: TextTower, layout: PromptLayout, *, chunk: int | None = None) -> None:
        if chunk is not None and chunk < 1:
            raise ConfigError(f"chunk is {chunk}; it is a number of classes, 1 or more, or None to choose it.")
        self.layout = layout
        self.tower = tower
        self.is_packed = tower.causal and tower.pooling == "eos"
        self.chunk = chunk
        self._device = tower.positions.device
        self._packed: dict[tuple[bool, int], PackedPrompts] = {}
        self._tokens_that_fit = 0

    def __call__(
        self, ctx: Float[Tensor, "*C M D"], deep: Float[Tensor, "J M D"] | None = None
    ) -> Float[Tensor, "C E"]:
        """Class features, not normalised.

        Args:
            ctx: context vectors shared by all classes (M, D), or one set per class (C, M, D).
            deep: vectors that replace the context's before the tower's blocks 1, 2, ..., one set for each; later
                blocks keep what flows on. Prompt depth J in the papers is one more than `len(deep)`.

        Raises:
            ConfigError: the shape of `ctx` or `deep` does not fit the layout and the tower.
        """
        n_classes, n_ctx, width = len(self.layout.sequences), self.layout.n_ctx, self.tower.width
        if ctx.shape not in ((n_ctx, width), (n_classes, n_ctx, width)):
            raise ConfigError(
                f"The context has shape {tuple(ctx.shape)}; this layout takes {(n_ctx, width)} (shared) or "
                f"{(n_classes, n_ctx, width)} (one set per class). A batch of contexts goes to encode_batch."
            )
        self._check_deep(deep)
        if not self.is_packed:
            return self.dense(ctx, deep)
        return self._prompts(ctx.ndim == 3, 1).encode(ctx.reshape(1, -1, width), deep)[0]

    def encode_batch(
        self, ctx: Float[Tensor, "B M D"], deep: Float[Tensor, "J M D"] | None = None
    ) -> Float[Tensor, "B C E"]:
        """Class features, not normalised, for each of B contexts: one per image, per prompt of an ensemble, per seed.

        Each context is shared by all classes; `deep` is as in a call, the same for all B.

        Raises:
            ConfigError: the shape of `ctx` or `deep` does not fit the layout and the tower.
        """
        n_ctx, width = self.layout.n_ctx, self.tower.width
        if ctx.shape[1:] != (n_ctx, width):
            raise ConfigError(
                f"The batch of contexts has shape {tuple(ctx.shape)}; this layout takes (B, {n_ctx}, {width})."
            )
        self._check_deep(deep)
        if not self.is_packed:
            return torch.stack([self.dense(one, deep) for one in ctx])
        return self._prompts(False, len(ctx)).encode(ctx, deep)

    def contexts_at_once(self) -> int:
        """How many contexts to give to `encode_batch` together, where a larger batch can be split.

        All classes of each then fit a quarter of the free memory, with what their gradients need.
        """
        if self.is_packed:
            shared = self._n_shared
            n_tokens = shared + sum(len(ids) - shared for ids in self.layout.sequences)
        else:
            n_tokens = len(self.layout.sequences) * self.tower.context_length
        return max(1, self._tokens_at_once() // (n_tokens + 1))

    def dense(self, ctx: Float[Tensor, "*C M D"], deep: Float[Tensor, "J M D"] | None = None) -> Float[Tensor, "C E"]:
        """Class features by the plain path, whatever the tower: the reference."""
        tokens, ends, rows = self._padded
        if self.layout.places is not None:
            holes = [(c, row) for c, own in enumerate(self.layout.ctx_rows) for row in own]
            places = [place for own in self.layout.places for place in own]
            at = tuple(torch.tensor(holes, device=self._device).T)  # (2, holes)
            tokens = tokens.index_put(at, ctx[torch.tensor(places, device=self._device)].to(tokens.dtype))
        elif rows.shape[1]:
            classes = torch.arange(len(rows), device=self._device)[:, None]  # (C, 1)
            vectors = ctx.to(tokens.dtype).expand(*rows.shape, -1)  # (C, M, d_t)
            tokens = tokens.index_put((classes, rows), vectors)
        return encode_dense(self.tower, tokens, ends, deep, rows)

    def _check_deep(self, deep: Tensor | None) -> None:
        if deep is None:
            return
        n_ctx, width, most = self.layout.n_ctx, self.tower.width, len(self.tower.blocks) - 1
        if deep.ndim != 3 or deep.shape[1:] != (n_ctx, width) or len(deep) > most:
            raise ConfigError(
                f"The deep context has shape {tuple(deep.shape)}; this layout and tower take (J - 1, {n_ctx}, {width}) "
                f"with a prompt depth J of at most {most + 1}."
            )

    def _prompts(self, class_specific: bool, batch: int) -> PackedPrompts:
        """The packed prompts, made at the first use."""
        chunk = self.chunk or self._chunk_that_fits(class_specific, batch)
        known = (class_specific, chunk)
        if known not in self._packed:
            self._packed[known] = PackedPrompts.build(self.tower, self._keys(class_specific), chunk)
        return self._packed[known]

    def _chunk_that_fits(self, class_specific: bool, batch: int) -> int:
        n_classes, shared = len(self.layout.sequences), 1 if class_specific else self._n_shared
        per_class = sum(len(ids) - shared for ids in self.layout.sequences) / n_classes
        fits = int((self._tokens_at_once() / batch - shared) / per_class)
        return max(1, min(n_classes, fits))

    @property
    def _n_shared(self) -> int:
        """How many tokens the sequences have in common, where all classes share the vectors."""
        return 1 + min(len(rows) for rows in self.layout.ctx_rows)

    def _tokens_at_once(self) -> int:
        """Asked once: a chunk that changes from step to step would be packed anew."""
        if not self._tokens_that_fit:
            dtype = self.tower.positions.dtype
            self._tokens_that_fit = tokens_that_fit(self._device, self.tower.width, len(self.tower.blocks), dtype)
        return self._tokens_that_fit

    def _keys(self, class_specific: bool) -> list[list[Key]]:
        """Each class's sequence as keys: token ids, and holes with the place of their context vector."""
        prompts = []
        for c, (ids, rows) in enumerate(zip(self.layout.sequences, self.layout.ctx_rows, strict=True)):
            first = c * self.layout.n_ctx if class_specific else 0
            keys: list[Key] = [(i,) for i in ids]
            places = range(len(rows)) if self.layout.places is None else self.layout.places[c]
            for place, row in zip(places, rows, strict=True):
                keys[row] = (-1, first + place)
            prompts.append(keys)
        return prompts

    @cached_property
    @torch.no_grad()
    def _padded(self) -> tuple[Float[Tensor, "C L D"], Int[Tensor, " C"], Int[Tensor, "C M"]]:
        """Token vectors, rows of the end tokens and of the context vectors.

        Made at the first use, because only the plain path needs so much memory.
        """
        # In a packed layout nothing after the longest prompt is seen.
        length = None if self.is_packed else self.tower.context_length
        ids, ends = self.layout.padded(self.layout.pad_id, length)
        given = self.layout.ctx_rows if self.layout.places is None else [[] for _ in self.layout.ctx_rows]
        rows = torch.tensor(given, dtype=torch.int64).reshape(len(given), len(given[0]))
        return self.tower.token_embedding(ids.to(self._device)), ends.to(self._device), rows.to(self._device)
