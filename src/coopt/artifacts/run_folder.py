"""The run folder, in the adapter convention of the ecosystem: kilobytes that turn a frozen model into a classifier.

adapter_config.json         method, settings, base model, class names, seed, recipe, data, versions
adapter_model.safetensors   the learned tensors, nothing else
classifier.safetensors      the class features as a matrix: predicting needs no text tower
metrics.jsonl               one line per epoch and per evaluation
README.md                   a card
"""

import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from coopt.artifacts.card import card
from coopt.errors import RunError
from coopt.files import atomic_folder, write_json, write_tensors, write_text
from coopt.methods import METHODS, Classifier, Method, build_method
from coopt.models import VLM, load_model
from coopt.version import __version__

FORMAT = 1
CONFIG, WEIGHTS, CLASSIFIER = "adapter_config.json", "adapter_model.safetensors", "classifier.safetensors"
METRICS, CARD = "metrics.jsonl", "README.md"


@dataclass(frozen=True)
class Run:
    """A run folder that was read: what was learned, and for which model and classes."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    """The learned tensors, by the method's parameter names."""
    classifier: Classifier | None
    """None where the method's logits are not linear in the image feature."""

    @property
    def class_names(self) -> list[str]:
        """The classes it was trained for."""
        return self.config["class_names"]

    def load_vlm(self, device: str | torch.device | None = None, dtype: Any = None, model: str | None = None) -> VLM:
        """The base model that the run names (or `model` in its place), checked to be the same weights.

        Raises:
            ModelError: the model cannot be loaded.
            RunError: it is another model.
        """
        name = model or self.config["base_model_name_or_path"]
        revision = None if model else self.config.get("revision_asked")
        vlm = load_model(name, device=device, dtype=dtype, revision=revision)
        self.check_backbone(vlm)
        return vlm

    def check_backbone(self, vlm: VLM) -> None:
        """Refuse a model whose weights or preprocessing differ from those the run was trained on."""
        if vlm.fingerprint != self.config["fingerprint"]:
            raise RunError(
                f"The run {self.folder} was trained on {self.config['base_model_name_or_path']!r} with fingerprint "
                f"{self.config['fingerprint']}; {vlm.name!r} has {vlm.fingerprint}: other weights or another "
                "preprocessing. Load the same model (--model takes a local copy of it), or train again."
            )

    def build(self, vlm: VLM, class_names: Sequence[str] | None = None) -> Method:
        """The method with its learned tensors, for its own classes or for new ones.

        Raises:
            RunError: the model is another one, the learned prompt belongs to its classes, or the tensors do not fit.
        """
        self.check_backbone(vlm)
        key, settings = self.config["method"], self.config["settings"]
        if settings.get("ctx_init") and "ctx" in self.tensors:  # older runs name an n_ctx that the words overruled
            settings = {**settings, "n_ctx": self.tensors["ctx"].shape[-2]}
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
        method = build_method(key, vlm, self.class_names if class_names is None else class_names, settings)
        method.reshape({name: tuple(value.shape) for name, value in self.tensors.items()})
        expected = {name: tuple(value.shape) for name, value in method.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in self.tensors.items()}
        if expected != found:
            raise RunError(f"{self.folder / WEIGHTS} holds {found}; the method {key!r} needs {expected}.")
        method.load_state_dict(self.tensors, strict=True)
        return method


def save_run(
    folder: Path | str,
    method: Method,
    *,
    records: Sequence[Mapping[str, Any]] = (),
    details: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write a run folder; it is complete or absent.

    Args:
        folder: where; must not exist yet, or be an empty folder, unless `overwrite`.
        method: the trained method, made by `build_method`.
        records: lines of `metrics.jsonl`.
        details: what the caller knows beyond the method: seed, shots, recipe, data, class labels.
        overwrite: replace a run that is there; the old one stays until the new one is complete.

    Raises:
        RunError: the folder holds something and `overwrite` is not set, or it holds something that is no run.
    """
    folder = Path(folder)
    check_target(folder, overwrite)
    config = {
        "format": FORMAT,
        "library": "coopt",
        "method": method.key,
        "settings": _jsonable(method.settings),
        "base_model_name_or_path": method.vlm.name,
        "base_model_source": method.vlm.source,
        "revision": method.vlm.revision,
        "fingerprint": method.vlm.fingerprint,
        "class_names": method.class_names,
        "new_classes": method.new_classes,
        "n_parameters": method.n_parameters(),
        **details,
        "versions": describe_versions(),
    }
    # A run that is there stays until the new one is complete beside it; then the two are swapped.
    is_taken = folder.exists() and any(folder.iterdir())
    place = folder.with_name(f".{folder.name}.new") if is_taken else folder
    if is_taken:
        shutil.rmtree(place, ignore_errors=True)  # left by a kill
    with atomic_folder(place) as temporary:
        write_tensors(temporary / WEIGHTS, method.state_dict(), metadata={"format": "pt"})
        classifier = method.classifier()
        if classifier is not None:
            tensors = {"weight": classifier.weight, "bias": classifier.bias}
            # One entry only: safetensors writes several in random order, and equal runs shall be equal files.
            write_tensors(temporary / CLASSIFIER, tensors, metadata={"normalize": json.dumps(classifier.normalize)})
        write_text(temporary / METRICS, "".join(json.dumps(dict(record)) + "\n" for record in records))
        write_text(temporary / CARD, card(config, records))
        write_json(temporary / CONFIG, config)
    if is_taken:
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        finish_swap(folder)
    return folder


def finish_swap(folder: Path) -> None:
    """The second half of replacing a run, also after a kill between the halves: move the new one in, drop the old."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    if not folder.exists() and (new / CONFIG).is_file():
        os.replace(new, folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that something else lives in or that cannot be written, before any work is done.

    Raises:
        RunError: it holds a run (and `overwrite` is not set) or something else, or cannot be made.
    """
    finish_swap(folder)
    if not folder.exists():
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            kind = "cannot be written to" if parent.is_dir() else "is a file"
            raise RunError(f"The run folder {folder} cannot be made: {parent} {kind}. Choose another --out.")
        return
    if not folder.is_dir():
        raise RunError(f"{folder} is a file; a run is written to a folder. Choose another --out.")
    if not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} is not empty and holds no run; choose another --out.")
    if not overwrite:
        raise RunError(f"{folder} already holds a run; choose another --out, or pass --overwrite to replace it.")


def load_run(folder: Path | str) -> Run:
    """Read a run folder. Nothing in it is ever executed: the files are JSON and safetensors.

    Raises:
        RunError: the folder is missing, unfinished, damaged, or of another version or method.
    """
    folder = Path(folder)
    finish_swap(folder)
    if not folder.is_dir():
        partial = folder.with_name(folder.name + ".partial")
        hint = " Its training is unfinished: go on with `coopt fit ... --resume`." if partial.is_dir() else ""
        raise RunError(f"There is no run folder {folder}.{hint}")
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise RunError(f"{folder} is not a complete run: {', '.join(missing)} missing.")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        file_format, method = config["format"], config["method"]
        if not isinstance(method, str):
            raise TypeError(f"method is {method!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / CONFIG} is damaged or not a coopt run: {error!r}.") from error
    if file_format != FORMAT:
        writer = config.get("versions", {}).get("coopt", "unknown")
        raise RunError(
            f"{folder} has run format {file_format!r}, written by coopt {writer}; coopt {__version__} reads format "
            f"{FORMAT}. Use the version that wrote it, or train again."
        )
    if method not in METHODS:
        raise RunError(f"{folder} was made by the method {method!r}, which coopt {__version__} does not have.")
    try:
        tensors = load_file(folder / WEIGHTS)
        classifier = _load_classifier(folder / CLASSIFIER) if (folder / CLASSIFIER).is_file() else None
    except (SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"The tensors in {folder} are damaged: {error}. Train again or restore the files.") from error
    check_config(folder / CONFIG, config)
    n_classes = len(config["class_names"])
    if classifier is not None and len(classifier.weight) != n_classes:
        raise RunError(
            f"{folder / CLASSIFIER} is for {len(classifier.weight)} classes, {CONFIG} names {n_classes}: "
            "the files belong to different runs."
        )
    return Run(folder, config, tensors, classifier)


def check_config(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that lacks what is needed to use the run.

    Raises:
        RunError: a key is missing or has another type.
    """
    kinds = {"class_names": list, "fingerprint": str, "base_model_name_or_path": str, "settings": dict}
    wrong = [f"{key} must be a {kind.__name__}" for key, kind in kinds.items() if not isinstance(config.get(key), kind)]
    if not isinstance(config.get("new_classes"), bool):
        wrong.append("new_classes must be true or false")
    if not isinstance(config.get("seed", 1), int):
        wrong.append(f"seed must be a whole number, not {config['seed']!r}")
    labels = config.get("class_labels")
    if not wrong and labels is not None and len(labels) != len(config["class_names"]):
        wrong.append(f"there are {len(labels)} class_labels for {len(config['class_names'])} class_names")
    if wrong:
        raise RunError(f"{path} is damaged: {'; '.join(wrong)}.")


def describe_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"coopt": __version__, "python": platform.python_version()}
    for package in (
        "torch",
        "transformers",
        "numpy",
        "scikit-learn",
        "pillow",
        "safetensors",
        "open_clip_torch",
    ):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _load_classifier(path: Path) -> Classifier:
    with safe_open(path, framework="pt") as file:
        normalize = json.loads((file.metadata() or {})["normalize"])
        return Classifier(file.get_tensor("weight"), file.get_tensor("bias"), normalize)


def _jsonable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
