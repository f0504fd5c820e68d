"""What goes into a method's loss and what comes out of it, and what a method sees before the first step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int, Shaped
from torch import Tensor

from coopt.tasks import Task

if TYPE_CHECKING:
    from coopt.methods.method import Method


@dataclass
class Batch:
    """One step's images."""

    images: Float[Tensor, "B ..."]
    """As the method's `inputs` say; of unlabelled images with 2 views (B, 2, ...): the weak view, then the strong."""
    targets: Shaped[Tensor, "B ..."] | None = None
    """As the method's task makes them; None where images are unlabelled."""
    index: Int[Tensor, " B"] | None = None
    """Which of the training (or unlabelled) images they are."""
    weight: Float[Tensor, " B"] | None = None
    """What each image counts, 1 on average over the training images; None counts all alike."""
    unlabelled: "Batch | None" = None
    """Where `inputs.unlabelled` asks for them."""

    def weighed(self, values: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """Numbers of each image, times what the image counts."""
        if self.weight is None:
            return values
        return values * self.weight.reshape(-1, *[1] * (values.ndim - 1))


@dataclass
class Losses:
    """What `Method.loss` returns."""

    total: Float[Tensor, ""]
    """What is minimised."""
    logits: Float[Tensor, "B C"]
    """Detached, of the labelled images: the progress line is made from them."""
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    """The parts of the total, or what else a method wants to be seen, by name."""


@dataclass(frozen=True)
class Examples:
    """Images with their targets: features or tokens as the method's `inputs` say, of un-augmented images.

    A method that takes pixels gets pooled features in the joint embedding.
    """

    images: Float[Tensor, "N ..."]
    targets: Shaped[Tensor, "N ..."] | None = None
    views: Float[Tensor, "V N ..."] | None = None
    """As many augmented views as `inputs.train_views` says."""
    groups: Int[Tensor, " N"] | None = None
    """The number of the object that each image shows, where the data says so; cross-validation keeps them together."""
    weight: Float[Tensor, " N"] | None = None
    """What each image counts, as it was given; None counts all alike."""


@dataclass(frozen=True)
class Shots:
    """What a method may look at before the first step and after the last one."""

    train: Examples
    val: Examples | None = None
    """Validation shots, where there are some."""
    unlabelled: Examples | None = None
    """Where `inputs.unlabelled` asks for them."""

    def as_classes(self, task: Task) -> "Shots":
        """The same with class numbers for targets, for methods that need one right output per image.

        Raises:
            ConfigError: the task's targets are no single outputs.
        """
        train, val = (
            None if part is None or part.targets is None else replace(part, targets=task.classes(part.targets))
            for part in (self.train, self.val)
        )
        return replace(self, train=train or self.train, val=val or self.val)


@dataclass(frozen=True)
class Training:
    """One training that a method wants done, in place, before its generator goes on (see `Method.trainings`)."""

    method: "Method"
    """What is trained: the method itself, or a candidate that it made."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the recipe."""
    shots: Int[Tensor, " _"] | None = None
    """Which of the training images take part; None for all of them."""
    pseudo: Int[Tensor, " P"] | None = None
    """Unlabelled images that take part as if they were labelled ..."""
    pseudo_targets: Shaped[Tensor, "P ..."] | None = None
    """... with these targets."""
