"""What is left of a method when learning is over: a module from inputs to logits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from coopt.features import Inputs
from coopt.models import VLM
from coopt.tasks import Task

if TYPE_CHECKING:
    from coopt.methods.method import Method


@dataclass(frozen=True)
class Classifier:
    """A method reduced to a matrix: ``logits = images @ weight.T + bias``, images normalised first or not.

    It predicts from image features; no text tower is needed.
    """

    weight: Float[Tensor, "C E"]
    bias: Float[Tensor, " C"]
    normalize: bool

    def __repr__(self) -> str:
        """The sizes: C classes, E numbers of an image."""
        n_classes, width = self.weight.shape
        return f"Classifier(classes={n_classes}, features={width}, normalize={self.normalize})"

    def __call__(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of image features that are not normalised."""
        images = images.to(self.weight.device).float()
        if self.normalize:
            images = F.normalize(images, dim=-1)
        return images @ self.weight.T + self.bias


class Predictor(nn.Module):
    """From inputs to logits: the base of the kinds below and of a method's own, and itself enough for a matrix.

    Attributes:
        inputs: what `forward` is given.
        task: what the logits mean.
        linear: the predictor as a matrix over plain image features, or None where it is none.
        stateful: whether a prediction depends on the images that came before it; `reset` forgets them.
    """

    stateful: bool = False

    def __init__(self, inputs: Inputs, task: Task, linear: Classifier | None = None) -> None:
        super().__init__()
        self.inputs, self.task, self.linear = inputs, task, linear

    def forward(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B C"]:
        """Logits, by the matrix unless a subclass has another way."""
        if self.linear is None:
            raise NotImplementedError(f"{type(self).__name__} must define forward.")
        return self.linear(images)

    def reset(self) -> None:
        """Forget the stream: the next image is the first one."""


class CosinePredictor(Predictor):
    """The method's image features against class features that were computed once."""

    def __init__(self, method: "Method", class_features: Float[Tensor, "C E"], linear: Classifier | None) -> None:
        super().__init__(method.inputs, method.task, linear)
        self.method, self.class_features = method, class_features

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B C"]:
        """Logits."""
        return cosine_logits(self.method.vlm, self.method.image_features(images), self.class_features)


class MethodPredictor(Predictor):
    """The method's own forward, for logits that are no cosine to fixed class features."""

    def __init__(self, method: "Method") -> None:
        super().__init__(method.inputs, method.task)
        self.method = method

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B C"]:
        """Logits."""
        return self.method(images)


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
