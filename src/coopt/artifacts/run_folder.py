"""The run folder, in the adapter convention of the ecosystem: kilobytes that turn a frozen model into a classifier.

adapter_config.json         method, settings, base model, class names, seed, recipe, data, versions, digests of files
adapter_model.safetensors   the learned tensors, nothing else
classifier.safetensors      the class features as a matrix: predicting needs no text tower
images.safetensors          which images it was trained on, and the split that was made, by digests of their content
metrics.jsonl               one line per epoch and per evaluation
README.md                   a card
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopt.artifacts.images import SeenImages, seen_by_names
from coopt.artifacts.place import CLASSIFIER, WEIGHTS
from coopt.artifacts.schema import refusing
from coopt.data import ImageDataset
from coopt.data.wording import some
from coopt.download import Progress
from coopt.errors import ModelError, RunError
from coopt.features import Inputs
from coopt.messages import option
from coopt.methods import METHODS, Classifier, Method, Predictor, build_method
from coopt.methods.settings import METHOD
from coopt.models import VLM, load_model
from coopt.outside import is_outside
from coopt.prompting import equal_prompts_allowed
from coopt.tasks import TASKS, Task, make_task
from coopt.version import __version__


@dataclass(frozen=True)
class Run:
    """A run folder that was read: what was learned, and for which model and classes."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    """The learned tensors, by the method's parameter names."""
    classifier: Classifier | None
    """None where the method's logits are not linear in the image feature."""
    images: SeenImages | None = None
    """What it has seen; None where the run does not say it by the images' content."""

    def seen(self, dataset: ImageDataset) -> SeenImages:
        """What it has seen, for a comparison with a data set; of a run of an earlier version as far as names tell."""
        return seen_by_names(self.config, dataset) if self.images is None else self.images

    def __repr__(self) -> str:
        """Folder, method, model and classes on one line."""
        names = some(self.class_names, 3)
        model = self.config["base_model_name_or_path"]
        n = len(self.class_names)
        return f"Run({str(self.folder)!r}, {self.config['method']!r} on {model!r}, {n} classes: {names})"

    @property
    def class_names(self) -> list[str]:
        """The classes it was trained for."""
        return self.config["class_names"]

    @property
    def image_bits(self) -> int | None:
        """The bits of 16-bit grey that it was trained with; None where each image went by itself."""
        bits = (self.config.get("data") or {}).get("image_bits")
        return bits if isinstance(bits, int) else None

    @property
    def task(self) -> Task:
        """What its labels mean."""
        facts = self.config["task"]
        return make_task(facts["name"], self.class_names, self.config.get("class_labels"), facts["settings"])

    def load_vlm(
        self,
        device: str | torch.device | None = None,
        dtype: Any = None,
        model: str | None = None,
        progress: Progress | None = None,
    ) -> VLM:
        """The base model that the run names (or `model` in its place), checked to be the same weights.

        Raises:
            ModelError: the model cannot be loaded.
            RunError: it is another model.
        """
        name = model or self.config["base_model_name_or_path"]
        revision = None if model else self.config.get("revision_asked")
        try:
            vlm = load_model(name, device=device, dtype=dtype, revision=revision, progress=progress)
        except ModelError as error:
            if model is not None:
                raise
            raise ModelError(
                f"The base model {name!r} that the run {self.folder} names cannot be loaded: {error} If the model lies "
                f"elsewhere now, give its place: {option('--model PLACE', 'model=...')}."
            ) from error
        self.check_backbone(vlm)
        return vlm

    def check_backbone(self, vlm: VLM) -> None:
        """Refuse a model whose weights or preprocessing differ from those the run was trained on."""
        if vlm.fingerprint != self.config["fingerprint"]:
            raise RunError(
                f"The run {self.folder} was trained on {self.config['base_model_name_or_path']!r} with fingerprint "
                f"{self.config['fingerprint']}; {vlm.name!r} has {vlm.fingerprint}: other weights or another "
                f"preprocessing. Load the same model ({option('--model', 'model=...')} takes a local copy of it), "
                "or train again."
            )

    def build(
        self,
        vlm: VLM,
        class_names: Sequence[str] | None = None,
        class_labels: Sequence[str] | None = None,
        *,
        allow_equal_prompts: bool = False,
    ) -> Method:
        """The method with its learned tensors, for its own classes or for new ones.

        Args:
            vlm: the base model.
            class_names: new classes; its own where None.
            class_labels: their labels; the names where None.
            allow_equal_prompts: whether two new classes may have the same prompt.

        Raises:
            RunError: the model is another one, the learned prompt belongs to its classes, or the tensors do not fit.
            DataError: two of the new classes have the same prompt.
        """
        self.check_backbone(vlm)
        key, settings = self.config["method"], self.config["settings"]
        task = self.task
        if class_names is not None and list(class_names) != self.class_names:
            if len(set(class_names)) != len(class_names):
                repeated = sorted({name for name in class_names if list(class_names).count(name) > 1})
                raise RunError(f"Class names must differ from each other; repeated: {', '.join(repeated)}.")
            if not self.config["new_classes"]:
                raise RunError(
                    f"The run {self.folder} holds what was learned for its own {len(self.class_names)} classes "
                    f"(method {key!r}, settings {settings}); it cannot take other class names. Train a shared prompt "
                    "(coop without class_specific) for that."
                )
            task = self.task.for_classes(class_names, class_labels)
        found = {name: tuple(value.shape) for name, value in self.tensors.items()}
        # Its own classes were checked when they were learned.
        equal = equal_prompts_allowed(allow_equal_prompts or task.class_names == self.class_names)
        with refusing(self.folder, f"method {key!r}"), equal:
            method = build_method(key, vlm, task.class_names, settings, task)
            method.reshape(found)
        expected = {name: tuple(value.shape) for name, value in method.state_dict().items()}
        if expected != found:
            raise RunError(f"{self.folder / WEIGHTS} holds {found}; the method {key!r} needs {expected}.")
        method.load_tensors(self.tensors)
        method.found = dict(self.config.get("found") or {})
        return method

    def predictor(
        self,
        vlm: VLM,
        class_names: Sequence[str] | None = None,
        class_labels: Sequence[str] | None = None,
        *,
        allow_equal_prompts: bool = False,
    ) -> Predictor:
        """What predicts: the saved matrix where there is one, for which no text tower is needed, else the method.

        Raises:
            RunError, DataError: as `build`.
        """
        if class_names is None and self.classifier is not None:
            self.check_backbone(vlm)
            width = self.classifier.weight.shape[1]
            if width != vlm.embed_dim:
                raise RunError(
                    f"{self.folder / CLASSIFIER} is for features of {width} numbers; those of {vlm.name!r} have "
                    f"{vlm.embed_dim}: the file belongs to another run."
                )
            return Predictor(Inputs(), self.task, self.classifier)
        return self.build(vlm, class_names, class_labels, allow_equal_prompts=allow_equal_prompts).predictor()


def inner_methods(settings: Mapping[str, Any]) -> list[str]:
    """Names of the methods that are values of settings, and of those inside them."""
    inner = [value for value in settings.values() if isinstance(value, dict) and isinstance(value.get(METHOD), str)]
    return [name for value in inner for name in (value[METHOD], *inner_methods(value))]


def check_names(folder: Path, config: Mapping[str, Any], trust_code: bool) -> None:
    """Refuse a method or a task that is not in the tables, unless it is from outside and there is leave to import it.

    Raises:
        RunError: see above.
    """
    named: list[tuple[str, str, Mapping[str, Any]]] = [
        ("method", name, METHODS) for name in (config["method"], *inner_methods(config["settings"]))
    ]
    for what, name, table in [*named, ("task", config["task"]["name"], TASKS)]:
        if is_outside(name):
            if not trust_code:
                raise RunError(
                    f"{folder} was made by the {what} {name!r}, which is code from outside coopt: to use the run, that "
                    f"module is imported and its code runs. If you trust it, pass "
                    f"{option('--trust-code', 'trust_code=True')}."
                )
        elif name not in table:
            raise RunError(f"{folder} was made by the {what} {name!r}, which coopt {__version__} does not have.")
