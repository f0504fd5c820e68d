"""The frozen dual encoder behind one interface: `VLM`, with its two towers opened up into blocks.

Nothing here knows a method. Every callable and tensor below is a view of the loaded module's own layers: no weight
is copied and no model code is forked, so a new release of the backbone library keeps working.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from coopt.errors import ModelError
from coopt.models.preprocess import Preprocess
from coopt.models.tokens import Tokenizer, layout

Layer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Mlp:
    """A feed-forward layer whose parts can be seen: `down(activation(up(x)))`."""

    up: Layer
    activation: Layer
    down: Layer

    def __call__(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return self.down(self.activation(self.up(x)))


@dataclass(frozen=True)
class Block:
    """One pre-norm transformer layer: `x += out(attention(q, k, v)(norm_1(x)))`, then `x += mlp(norm_2(x))`.

    Each member is token-wise: it maps (..., width) to (..., width). Head h owns columns
    `h * head_width : (h + 1) * head_width` of q, k and v; scores are scaled by head_width ** -0.5.
    """

    norm_1: Layer
    q: Layer
    k: Layer
    v: Layer
    out: Layer
    norm_2: Layer
    mlp: Layer
    n_heads: int


@dataclass(frozen=True)
class TextTower:
    """The text encoder, opened up. Sizes: L context_length, D width (d_t), E the joint embedding."""

    width: int
    context_length: int
    causal: bool
    """From the model's own configuration. Where True, what follows the end token cannot influence the feature."""
    pooling: Literal["eos", "last"]
    """Which row is the feature: the end token's, or the last of the `context_length` positions."""
    token_embedding: Layer
    """Token ids (...) int64 to (..., D)."""
    positions: Float[Tensor, "L D"]
    blocks: list[Block]
    project: Layer
    """The chosen rows (..., D) to features (..., E): final norm and projection. Not normalised."""
    vocabulary: Float[Tensor, "V D"]
    """The token embedding's table, for nearest words."""


@dataclass(frozen=True)
class ClosedTower:
    """A text tower that encodes, but whose layers are not the pre-norm blocks that prompts are put into."""

    reason: str
    """Why, as a whole sentence's beginning: "the text tower of ... cannot be opened up: ..."."""
    context_length: int


@dataclass(frozen=True)
class ImageTower:
    """The image encoder; opened up only for a vision transformer (`kind == "vit"`)."""

    kind: Literal["vit", "resnet", "other"]
    width: int
    embed: Callable[[Tensor], Tensor] | None = None
    """Pixels (B, 3, H, W) to tokens (B, N, d_v) with class token (if any) and positions, before `pre_norm`."""
    pre_norm: Layer | None = None
    blocks: list[Block] = field(default_factory=list)
    pool: Callable[[Tensor], Tensor] | None = None
    """Tokens (B, N', d_v) after the last block to features (B, E), N' >= N: rows behind the first N are prompts."""
    pools_first: bool = False
    """Whether `pool` reads the first row alone: the last block then need not compute the others."""


class VLM:
    """A frozen CLIP-like dual encoder: made by `coopt.load_model`, changed by nobody.

    Attributes:
        name: what the user asked for (a hub id, an OpenAI name, a path, "builtin").
        source: which loader made it ("transformers", "openai", "open_clip").
        revision: the hub commit or file digest that was loaded, or None where there is none.
        fingerprint: hash of weights, configuration and preprocessing: the key of cached features.
        module: the loaded module, in eval mode, no parameter requiring grad.
        image_size: height and width of the model's input in pixels.
        embed_dim: width E of the joint embedding.
        logit_scale, logit_bias: floats, already exponentiated; bias 0.0 where the model has none.
        image: the image tower, opened up where it is a vision transformer.
        preprocess: PIL image to (3, H, W): the model's own resize, crop and normalisation (a `Preprocess`).
    """

    def __init__(
        self,
        *,
        name: str,
        source: str,
        revision: str | None,
        fingerprint: str,
        module: nn.Module,
        encode_image: Callable[[Tensor], Tensor],
        encode_text: Callable[[Tensor], Tensor],
        tokenizer: Tokenizer,
        preprocess: Preprocess,
        text: TextTower | ClosedTower,
        image: ImageTower,
        embed_dim: int,
        logit_scale: float,
        logit_bias: float = 0.0,
    ) -> None:
        self.name = name
        self.source = source
        self.revision = revision
        self.fingerprint = fingerprint
        self.module = module.eval().requires_grad_(False)
        self._weight = next(self.module.parameters())
        self.tokenizer = tokenizer
        self.preprocess = preprocess
        self._text = text
        self.image = image
        self.embed_dim = embed_dim
        self.logit_scale = logit_scale
        self.logit_bias = logit_bias
        self._encode_image = encode_image
        self._encode_text = encode_text

    @property
    def text(self) -> TextTower:
        """The text tower, opened up.

        Raises:
            ModelError: this model's text tower has no blocks that prompts can be put into.
        """
        if isinstance(self._text, ClosedTower):
            raise ModelError(
                f"{self._text.reason}. It can encode whole texts (zero-shot, and methods on features), but prompts "
                "cannot be learned in it; choose another model (`coopt models`)."
            )
        return self._text

    @property
    def image_size(self) -> int:
        """Height and width of the input in pixels."""
        return self.preprocess.size

    @property
    def context_length(self) -> int:
        """Longest token sequence L of the text tower, special tokens included."""
        return self._text.context_length

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self._weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self._weight.dtype

    def encode_image(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Image features, not normalised, by the loaded module's own forward."""
        return self._encode_image(pixels.to(self.device, self.dtype))

    def encode_text(self, ids: Int[Tensor, "C L"]) -> Float[Tensor, "C E"]:
        """Text features, not normalised, by the loaded module's own forward."""
        return self._encode_text(ids.to(self.device))

    def tokenize(self, texts: Sequence[str], *, truncate: bool = False) -> Int[Tensor, "C L"]:
        """Token ids with start and end token, padded on the right to the context length.

        Raises:
            DataError: a text has more tokens than the model takes, and `truncate` is false.
        """
        return layout(self.tokenizer, texts, self.context_length, truncate=truncate)

    def __repr__(self) -> str:
        """Name, source, sizes and device on one line."""
        return (
            f"VLM({self.name!r}, source={self.source!r}, image_size={self.image_size}, "
            f"embed_dim={self.embed_dim}, device={str(self.device)!r}, dtype={str(self.dtype)!r})"
        )
