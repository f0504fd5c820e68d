"""What every method is: learnable parameters over a frozen model, images in, logits out."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from coopt.errors import DataError
from coopt.features import Inputs
from coopt.methods.batch import Batch, Losses, Shots, Training
from coopt.methods.predictor import Classifier, CosinePredictor, MethodPredictor, Predictor, cosine_logits
from coopt.models import VLM
from coopt.outside import outside_name
from coopt.tasks import Classification, Task


@dataclass(frozen=True)
class Change:
    """What a preset changes on some data sets, as the authors' scripts do."""

    datasets: tuple[str, ...]
    """Names in `coopt.datasets.BENCHMARKS`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    shots: tuple[int, ...] = ()
    """The numbers of shots it is for; none means all."""

    def applies(self, dataset: str, n_shots: int | None) -> bool:
        """Whether a run on this data set takes it."""
        return dataset in self.datasets and (not self.shots or n_shots in self.shots)


@dataclass(frozen=True)
class Preset:
    """Settings and recipe that a paper or its code uses for one protocol, by name."""

    source: str
    """Where they are written: a configuration file of the authors' code, or a section of the paper."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the method."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Of the training, on top of the method's own recipe."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """Of the task."""
    changes: tuple[Change, ...] = ()
    """What is other on some data sets; the benchmark knows them by name."""

    def at(self, dataset: str, n_shots: int | None) -> "Preset":
        """The preset on a data set, with the changes that apply there."""
        found = [change for change in self.changes if change.applies(dataset, n_shots)]
        settings, recipe = dict(self.settings), dict(self.recipe)
        for change in found:
            settings |= change.settings
            recipe |= change.recipe
        return Preset(self.source, settings, recipe, self.task)

    def texts(self) -> list[str]:
        """Its values for a table: `name=value`, and those of some data sets with their names."""
        of_task = {f"task.{name}": value for name, value in self.task.items()}
        texts = [f"{name}={value}" for name, value in {**self.settings, **self.recipe, **of_task}.items()]
        for change in self.changes:
            values = ", ".join(f"{name}={value}" for name, value in {**change.settings, **change.recipe}.items())
            shots = f" with {' or '.join(map(str, change.shots))} shots" if change.shots else ""
            texts.append(f"{values} on {', '.join(change.datasets)}{shots}")
        return texts


class Method(nn.Module):
    """Base of all methods.

    A method's parameters are exactly its `state_dict()`: whatever else it holds (token embeddings, the frozen model)
    is a plain attribute. The meaning of `forward` never depends on `self.training`.

    Attributes:
        vlm: the frozen model.
        class_names: C names, the words of the outputs; underscores become spaces in prompts.
        task: what the outputs mean; classification unless another one is set.
        key: its name in `METHODS`, or `module:Class`.
        settings: the constructor's keyword arguments, defaults included. Where None stood for a number that the
            constructor finds (`n_ctx`), that number: it makes the same method again.
        found: values that were found in place of a setting (searched numbers), by the setting's name; run folders say
            them, and a new fit with the same settings searches again.
    """

    paper: ClassVar[str] = ""
    """Address of the paper."""
    summary: ClassVar[str] = ""
    """What is learned, in a few words, for `coopt methods`."""
    kind: ClassVar[str] = ""
    """Which family it belongs to, in a few words: "text prompt", "cache of features", ..."""
    inputs: Inputs = Inputs()
    """What it looks at; an instance may have its own value."""
    uses_shots: ClassVar[bool] = True
    """Whether it looks at labelled images at all."""
    steps: ClassVar[bool] = True
    """Whether it is trained in steps along a gradient; the recipe is for those. A method without steps uses only what
    its own `recipe` names."""
    uses_validation: ClassVar[bool] = False
    """Whether it chooses something on validation shots (by cross-validation on the shots where there are none)."""
    uses_weights: ClassVar[bool] = True
    """Whether what it learns changes with weights of the images: by `task_loss`, or by its own use of them."""
    uses_words: ClassVar[bool] = True
    """Whether the words of the classes are part of what it computes."""
    ordered: ClassVar[bool] = False
    """Whether it is for labels in an order only (the task "ordinal"): the place of a class then counts."""
    new_classes: bool = True
    """Whether what was learned applies to class names never seen in training; an instance may say no."""
    recipe: ClassVar[Mapping[str, Any]] = {}
    """Where the paper's training differs from CoOp's: fields of `coopt.fit.Recipe`."""
    presets: ClassVar[Mapping[str, Preset]] = {}
    """The authors' other settings, by protocol ("base-to-new", "cross-dataset", "few-shot")."""
    own_templates: ClassVar[Mapping[str, str | Sequence[str]] | None] = {}
    """The hand-written prompts of the authors' code by data set, where it has others than the data set's own (CoOp's).
    The benchmark fills them in; None says that one prompt serves all data sets there."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Method":
        """Remember the settings, so that a method made by its constructor can be saved."""
        made = super().__new__(cls)
        made.__dict__["settings"] = {name: kwargs.get(name, p.default) for name, p in cls.setting_parameters().items()}
        return made

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__()
        if len(class_names) < 2:
            n = "1 class" if len(class_names) == 1 else "none"
            raise DataError(f"A classifier needs at least 2 class names; got {n}: {list(class_names)}.")
        self.vlm = vlm
        self.class_names = list(class_names)
        self.task: Task = Classification(class_names)
        self.key = outside_name(type(self))  # build_method knows shorter names
        self.settings: dict[str, Any]  # filled by __new__
        self.found: dict[str, Any] = {}

    @classmethod
    def setting_parameters(cls) -> dict[str, inspect.Parameter]:
        """The constructor's keyword arguments, by name, with their annotations and defaults."""
        parameters = inspect.signature(cls.__init__).parameters
        return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    # What is learned from, before and after the steps.

    def prepare(self, shots: Shots) -> None:
        """Take what the method needs from the shots before the first step (a cache, a fitted matrix, pseudo-labels)."""

    def trainings(self, shots: Shots | None) -> Iterator[Training]:
        """The trainings to be done, one after the other; `fit` runs each before it asks for the next.

        By default one, of the method itself. Rounds train the method again on other images; candidates are methods
        made here, of which the best is taken over at the end. What a generator does between two trainings must depend
        on the shots, the trained parameters and torch's random stream only, so that a resumed run repeats it.
        """
        yield Training(self)

    def finish(self, shots: Shots) -> None:
        """Choose what is chosen after the last step (searched numbers), with the same shots as `prepare`."""

    # What a step does.

    def class_features(self) -> Float[Tensor, "C E"] | None:
        """Normalised class features; None where the logits are no cosine of image features to fixed class features."""
        return None

    def image_features(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B E"]:
        """What class features are compared with: the images themselves, where they are features."""
        return images

    def forward(self, images: Float[Tensor, "B ..."]) -> Float[Tensor, "B C"]:
        """Logits of images as `inputs` says."""
        class_features = self.class_features()
        if class_features is None:
            raise NotImplementedError(f"{type(self).__name__} must define forward or class_features.")
        return cosine_logits(self.vlm, self.image_features(images), class_features)

    def loss(self, batch: Batch) -> Losses:
        """The task's loss, unless the paper adds to it."""
        logits = self(batch.images)
        return Losses(self.task_loss(logits, batch), logits.detach())

    def task_loss(self, logits: Float[Tensor, "B C"], batch: Batch) -> Float[Tensor, ""]:
        """The task's own loss of a labelled batch."""
        assert batch.targets is not None  # images of the loop are labelled
        return self.task.loss(logits, batch.targets, batch.weight)

    def gradients(self, batch: Batch, scale: Callable[[Tensor], Tensor]) -> Losses:
        """Fill the parameters' gradients; a method that mixes or estimates gradients does it here.

        Args:
            batch: the step's images.
            scale: multiplies a loss before its backward pass, against underflow in half precision.
        """
        losses = self.loss(batch)
        with torch.autocast(self.device.type, enabled=False):  # a backward pass follows its forward pass's precision
            scale(losses.total).backward()
        return losses

    def parameter_groups(self, recipe: Any) -> list[dict[str, Any]]:
        """What the optimizer steps: groups as `torch.optim` takes them; "lr_scale" multiplies the recipe's rate."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def end_epoch(self, epoch: int, n_epochs: int) -> None:
        """Called after each epoch (from 0) of `n_epochs`: averages of parameters are taken here."""

    # What is saved.

    def training_state(self) -> dict[str, Tensor]:
        """Tensors besides the parameters that a resumed training needs (running averages); saved in checkpoints."""
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `training_state` gave."""

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make parameters the size of saved ones, where it depends on the training set; called before loading."""

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over saved parameters.

        Raises:
            RuntimeError: a tensor is missing, too many, or of another shape.
        """
        self.reshape({name: tuple(value.shape) for name, value in tensors.items()})
        self.load_state_dict(dict(tensors), strict=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as what makes it again: its class, settings and learned tensors, none of the model's."""
        tensors = {name: value.detach().cpu() for name, value in self.state_dict().items()}
        return _remake, (
            type(self),
            self.vlm,
            self.class_names,
            self.settings,
            self.task,
            self.key,
            self.found,
            tensors,
        )

    # What is left when learning is over.

    @torch.no_grad()
    def predictor(self) -> Predictor:
        """The trained method as a module from inputs to logits; class features are computed once."""
        class_features = self.class_features()
        if class_features is None or type(self).forward is not Method.forward:
            return MethodPredictor(self)  # the logits are not, or not only, cosines to the class features
        linear, probe = None, torch.zeros(1, self.vlm.embed_dim, device=self.device)
        if self.inputs.are_plain and self.image_features(probe) is probe:  # features are compared as they are
            bias = class_features.new_full((len(class_features),), self.vlm.logit_bias)
            linear = Classifier(self.vlm.logit_scale * class_features.detach(), bias, normalize=True)
        return CosinePredictor(self, class_features.detach(), linear)

    @property
    def device(self) -> torch.device:
        """Where the frozen model lies."""
        return self.vlm.device

    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())


def _remake(
    kind: type[Method],
    vlm: VLM,
    class_names: Sequence[str],
    settings: Mapping[str, Any],
    task: Task,
    key: str,
    found: dict[str, Any],
    tensors: Mapping[str, Tensor],
) -> Method:
    with torch.random.fork_rng(devices=[]):  # the constructor draws a start, which the tensors replace
        method = kind(vlm, class_names, **settings)
    method.load_tensors(tensors)
    for part in method.modules():
        if isinstance(part, Method):
            part.task = task
    method.key, method.found = key, found
    return method
