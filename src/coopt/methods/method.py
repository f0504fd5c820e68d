"""What every method is: learnable parameters over a frozen model, features in, logits out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from coopt.errors import DataError
from coopt.models import VLM


@dataclass(frozen=True)
class FeatureSet:
    """Image features with labels: what a method may look at before the first step."""

    features: Float[Tensor, "N E"]
    """As `vlm.encode_image` returns them, not normalised, of un-augmented images."""
    labels: Int[Tensor, " N"]
    views: Float[Tensor, "V N E"] | None = None
    """As many augmented views as the method's `prepare_views` asks for."""


@dataclass(frozen=True)
class Preset:
    """Settings and recipe that a paper or its code uses for one protocol, by name."""

    source: str
    """Where they are written: a configuration file of the authors' code, or a section of the paper."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the method."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Of the training, on top of the method's own recipe."""


@dataclass(frozen=True)
class Classifier:
    """A method reduced to a matrix: ``logits = images @ weight.T + bias``, images normalised first or not.

    It predicts from image features alone; no text tower is needed.
    """

    weight: Float[Tensor, "C E"]
    bias: Float[Tensor, " C"]
    normalize: bool

    def __call__(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of image features that are not normalised."""
        images = images.to(self.weight.device).float()
        if self.normalize:
            images = F.normalize(images, dim=-1)
        return images @ self.weight.T + self.bias


class Method(nn.Module):
    """Base of all methods.

    A method's parameters are exactly its `state_dict()`: whatever else it holds (token embeddings, the frozen model)
    is a plain attribute. The meaning of `forward` never depends on `self.training`.

    Shape:
        - images: features (B, E) as `vlm.encode_image` returns them, not normalised; pixels (B, 3, H, W) where
          `needs_pixels`; features of several views (B, V, E) where `n_test_views`, in `forward` alone
        - logits: (B, C)
    """

    paper: ClassVar[str] = ""
    """Address of the paper."""
    summary: ClassVar[str] = ""
    """What is learned, in a few words, for `coopt methods`."""
    kind: ClassVar[str] = ""
    """Which family it belongs to, in a few words: "text prompt", "cache of features", ..."""
    learns: ClassVar[bool] = True
    """Whether it looks at training images at all."""
    needs_pixels: bool = False
    """Whether the image tower itself is changed, so that image features cannot be computed once; an instance whose
    settings leave it alone may say no."""
    uses_validation: ClassVar[bool] = False
    """Whether it chooses something on validation shots (by cross-validation on the shots where there are none)."""
    new_classes: bool = True
    """Whether what was learned applies to class names never seen in training; an instance may say no."""
    recipe: ClassVar[Mapping[str, Any]] = {}
    """Where the paper's training differs from CoOp's: fields of `coopt.fit.Recipe`."""
    presets: ClassVar[Mapping[str, Preset]] = {}
    """The authors' other settings, by protocol ("base-to-new", "cross-dataset", "few-shot")."""
    prepare_views: int = 0
    """How many augmented views of the training images `prepare` is given; an instance may ask for more or fewer."""
    n_test_views: int = 0
    """How many views of a test image `forward` is given, (B, V, E): the plain image first, augmented ones behind it.
    0 for the plain image's feature alone, (B, E). An instance may ask for more or fewer."""

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__()
        if len(class_names) < 2:
            raise DataError(f"A classifier needs at least 2 class names; got {len(class_names)}: {list(class_names)}.")
        self.vlm = vlm
        self.class_names = list(class_names)
        self.key = ""  # the name in METHODS; set by build_method
        self.settings: dict[str, Any] = {}  # the constructor's resolved settings; set by build_method
        self._fixed: Tensor | None = None  # the class features while parameters are promised to stay; see `fixed`

    def prepare(self, train: FeatureSet, val: FeatureSet | None = None) -> None:
        """Take what the method needs from the training set before the first step (a cache, a fitted matrix)."""

    def finish(self, train: FeatureSet, val: FeatureSet | None = None) -> None:
        """Choose what is chosen behind the last step (searched numbers), with the same sets as `prepare`."""

    def class_features(self) -> Float[Tensor, "C E"] | None:
        """Normalised class features; None where they depend on the image or the method has no text side."""
        return None

    def text_features(self) -> Float[Tensor, "C E"]:
        """`class_features`, computed once while they are `fixed`."""
        if self._fixed is not None:
            return self._fixed
        text_features = self.class_features()
        if text_features is None:
            raise NotImplementedError(f"{type(self).__name__} must define forward or class_features.")
        return text_features

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Promise that no parameter changes within: many batches of images then share one pass of the text tower."""
        with torch.no_grad():
            self._fixed = self.class_features()
        try:
            yield
        finally:
            self._fixed = None

    def forward(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B C"]:
        """Logits."""
        return cosine_logits(self.vlm, images, self.text_features())

    def loss(self, images: Float[Tensor, "B ..."], labels: Int[Tensor, " B"]) -> dict[str, Tensor]:
        """`{"loss": scalar, "logits": (B, C), named terms...}`; cross entropy unless the paper adds to it."""
        logits = self(images)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits.detach()}

    def backward(self, losses: dict[str, Tensor], scale: Callable[[Tensor], Tensor]) -> None:
        """Fill the parameters' gradients from what `loss` returned; a method that mixes gradients does it here.

        Args:
            losses: what `loss` returned.
            scale: multiplies a loss before its backward pass, against underflow in half precision.
        """
        scale(losses["loss"]).backward()

    def end_epoch(self, epoch: int, n_epochs: int) -> None:
        """Called after each epoch (from 0) of `n_epochs`: averages of parameters are taken here."""

    def training_state(self) -> dict[str, Tensor]:
        """Tensors besides the parameters that a resumed training needs (running averages); saved in checkpoints."""
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `training_state` gave."""

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make parameters the size of saved ones, where it depends on the training set; called before loading."""

    @torch.no_grad()
    def classifier(self) -> Classifier | None:
        """The method as a plain matrix, or None where the logits are not linear in the image feature."""
        text_features = self.class_features()
        if text_features is None or self.needs_pixels or self.n_test_views:
            return None
        bias = text_features.new_full((len(text_features),), self.vlm.logit_bias)
        return Classifier(self.vlm.logit_scale * text_features.detach(), bias, normalize=True)

    @property
    def device(self) -> torch.device:
        """Where the frozen model lies."""
        return self.vlm.device

    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())


def cosine_logits(
    vlm: VLM, images: Float[Tensor, "*B N E"], text_features: Float[Tensor, "*B C E"]
) -> Float[Tensor, "*B N C"]:
    """``logit_scale * cos(image, text) + logit_bias`` in float32, for normalised text features.

    With a leading axis each group of N images has class features of its own.
    """
    # Autocast would give the logits in a step's precision: near 30, where a CLIP's lie, bfloat16 knows steps of 0.125.
    with torch.autocast(text_features.device.type, enabled=False):
        image_features = F.normalize(images.to(text_features.device).float(), dim=-1)
        # Scale first, then multiply: the order of the authors' code, so that rounding agrees with it.
        return (vlm.logit_scale * image_features) @ text_features.float().mT + vlm.logit_bias
