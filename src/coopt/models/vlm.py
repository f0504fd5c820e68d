"""`VLM`, the one interface of the frozen dual encoders, with the two towers opened up into blocks."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.errors import ModelError
from coopt.models.preprocess import Preprocess
from coopt.models.tokens import Tokenizer, layout
from coopt.models.towers import ClosedTower, ImageTower, Place, TextTower

Reopen = tuple[Callable[..., "VLM"], tuple[Any, ...]]
"""A function of a module, and the arguments with which it gives the same model again."""


class VLM:
    """A frozen CLIP-like dual encoder: made by `coopt.load_model`, and not changed after that.

    Attributes:
        name: what the user asked for (a hub id, an OpenAI name, a path, "builtin").
        source: which loader made it ("transformers", "openai", "open_clip").
        revision: the hub commit or file digest that was loaded, or None where there is none.
        fingerprint: hash of weights, configuration and preprocessing: the key of cached features.
        module: the loaded module, in eval mode, no parameter requiring grad.
        device, dtype: where the weights lie, and their precision.
        image_size: height and width of the model's input in pixels.
        n_positions: N of tokens (B, 1 + N, width).
        context_length: longest token sequence L of the text tower, special tokens included.
        embed_dim: width E of the joint embedding.
        logit_scale, logit_bias: floats, already exponentiated; bias 0.0 where the model has none.
        image: the image tower, opened up where it is a vision transformer or CLIP's ResNet.
        preprocess: PIL image to (3, H, W): the model's own resize, crop and normalisation (a `Preprocess`).
        reopen: how to load it again, as `load_model` sets it. A pickle holds this and no weights; a copy is the model
            itself, since nobody changes it.
    """

    def __init__(
        self,
        *,
        name: str,
        source: str,
        revision: str | None,
        fingerprint: str,
        module: Any,
        encode_image: Callable[[Tensor], Tensor],
        encode_text: Callable[[Tensor], Tensor],
        tokenizer: Tokenizer,
        preprocess: Preprocess,
        text: TextTower | ClosedTower,
        image: ImageTower,
        embed_dim: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.name = name
        self.source = source
        self.revision = revision
        self.fingerprint = fingerprint
        # Before the cast, which would round them.
        self.logit_scale = math.exp(module.logit_scale.item())
        self.logit_bias = module.logit_bias.item() if getattr(module, "logit_bias", None) is not None else 0.0
        self.module = module.to(device=device, dtype=dtype).eval().requires_grad_(False)
        weight = next(self.module.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self.tokenizer = tokenizer
        self.preprocess, self.image_size = preprocess, preprocess.size
        self._text, self.context_length = text, text.context_length
        self.image, self.n_positions = image, image.n_positions
        self.embed_dim = embed_dim
        self._encode_image = encode_image
        self._encode_text = encode_text
        self.reopen: Reopen | None = None

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

    def encode_image(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Image features, not normalised, by the loaded module's own forward."""
        return self._encode_image(pixels.to(self.device, self.dtype))

    def encode_image_at(
        self, pixels: Float[Tensor, "B 3 H W"], kind: Literal["features", "tokens"], at: Place
    ) -> Float[Tensor, "B ..."]:
        """Features (B, width), or tokens (B, 1 + N, width): the pooled feature first, then the N positions.

        Args:
            pixels: preprocessed images.
            kind: one row for each image, or one for each position as well.
            at: where in the tower, as `coopt.features.Inputs` has it. "joint": pooled is `encode_image`; a position
                goes through the last norm and the projection by itself (SigLIP, which pools by an attention head: the
                last norm), in a ResNet through the attention pool with its own query. "unprojected": after the last
                norm; in a ResNet the feature map and its mean. "values": positions take the last attention's value
                path; pooled is `encode_image`, in a ResNet the value of the mean. A number k: what enters block k
                (k = number of blocks: what leaves the last); pooled is the class token's row, or the mean.

        Raises:
            ModelError: the tower has nothing there.
        """
        if (kind, at) == ("features", "joint"):
            return self.encode_image(pixels)
        pooled, positions = self.image.states(pixels, at)
        pooled = self.encode_image(pixels) if pooled is None else pooled
        return pooled if kind == "features" else torch.cat([pooled[:, None], positions], dim=1)

    def width_at(self, at: Place) -> int:
        """The width of features and tokens at `at`."""
        return self.embed_dim if at in ("joint", "values") else self.image.width

    def encode_text(self, ids: Int[Tensor, "C L"]) -> Float[Tensor, "C E"]:
        """Text features, not normalised, by the loaded module's own forward."""
        return self._encode_text(ids.to(self.device))

    def tokenize(self, texts: Sequence[str], *, truncate: bool = False) -> Int[Tensor, "C L"]:
        """Token ids with start and end token, padded on the right to the context length.

        Raises:
            DataError: a text has more tokens than the model takes, and `truncate` is false.
        """
        return layout(self.tokenizer, texts, self.context_length, truncate=truncate)

    def __copy__(self) -> "VLM":
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "VLM":
        return self

    def __reduce__(self) -> Reopen:
        """Pickled as the way to load it again.

        Raises:
            ModelError: it was not made by `load_model`.
        """
        if self.reopen is None:
            raise ModelError(
                f"The model {self.name!r} cannot be pickled: it was not made by coopt.load_model, and a pickle holds "
                "the way to load a model again, not its weights. Load it with load_model."
            )
        return self.reopen

    def __repr__(self) -> str:
        """Name, source, sizes and device on one line."""
        return (
            f"VLM({self.name!r}, source={self.source!r}, image_size={self.image_size}, "
            f"embed_dim={self.embed_dim}, device={str(self.device)!r}, dtype={str(self.dtype)!r})"
        )
