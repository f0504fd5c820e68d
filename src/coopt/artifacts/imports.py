"""Checkpoints of other projects become methods here, held to the model and the classes they are said to be for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopt.artifacts.checkpoint import Checkpoint, read_checkpoint
from coopt.artifacts.tokens import check_model, fixed_words, start_words
from coopt.artifacts.translate import Translated, translate
from coopt.data.wording import count
from coopt.download import Progress, file_digest
from coopt.errors import ConfigError, DataError, ModelError
from coopt.messages import option
from coopt.methods import Method, build_method, check_settings, find_method, parse_settings
from coopt.models import VLM, load_model
from coopt.prompting import equal_prompts_allowed
from coopt.tasks import Classification


@dataclass(frozen=True)
class Imported:
    """A method with what another project's trainer has learned; `coopt.save_run(folder, method, details=details)`."""

    method: Method
    details: dict[str, Any]
    """What a run folder keeps of it."""
    notes: list[str]
    """What was found, left out, or could not be checked."""


def import_checkpoint(
    path: Path | str,
    class_names: Sequence[str] | None,
    model: str | VLM | None,
    *,
    method: str | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    class_labels: Sequence[str] | None = None,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Read a checkpoint of CoOp, CoCoOp, KgCoOp, ProGrad, VPT, IVLP, MaPLe, PromptSRC or Tip-Adapter.

    Nothing in the file is run. Settings are found from the tensors. Where the checkpoint holds the embeddings of its
    class names or weights of its model, `class_names` and `model` are held to them.

    Args:
        path: the file (`model.pth.tar-N`, `model-best.pth.tar`, `keys_Nshots.pt`, `best_F_Nshots.pt`), or its folder.
        class_names: the classes it was trained for, in their order.
        model: the model it was trained with: a name, a place, or a loaded `VLM`.
        method: its method, where the tensors may be of several.
        settings: what the tensors do not say, such as {"position": "end"} or ["position=end"]; an error names what is
            missing.
        class_labels: the labels of the data for the class names, where they differ.
        device: where to put the model.
        dtype: of the model.
        revision: branch, tag or commit of a hub model.
        progress: called while a published model file is downloaded.

    Raises:
        ConfigError: something that the tensors do not say is missing, or contradicts them.
        DataError: `class_names` are not the checkpoint's classes.
        ModelError: the file cannot be read or is of another architecture, or `model` is not its model.
    """
    checkpoint = read_checkpoint(path)
    found = translate(checkpoint, method)
    given = dict(settings) if isinstance(settings, Mapping) else parse_settings(found.method, settings)
    _check_given(found, given, class_names, model)
    assert class_names is not None and model is not None  # _check_given has refused it
    if found.n_classes is not None and len(class_names) != found.n_classes:
        raise DataError(
            f"There are {count(len(class_names), 'class name', 'class names')}, but '{checkpoint.file}' was trained "
            f"for {found.n_classes} classes; give those, in their order."
        )
    vlm = model if isinstance(model, VLM) else load_model(model, device, dtype, revision=revision, progress=progress)
    check_model(vlm, found, checkpoint.file)
    words = fixed_words(vlm, found, class_names, checkpoint.file)
    if words is not None:
        found.settings |= {"ctx_init": start_words(vlm, found.settings["n_ctx"], words, given, checkpoint.file)}
        given.pop("ctx_init", None)
    made = _build(found, checkpoint, vlm, Classification(class_names, class_labels), given)
    return Imported(made, _details(found, checkpoint, made, revision), _notes(found, checkpoint, words))


def _check_given(found: Translated, given: dict[str, Any], class_names: Any, model: Any) -> None:
    """Refuse what contradicts the tensors, and ask by name for all that is missing."""
    check_settings(found.method, given)
    for name, value in found.settings.items():
        if name in given and given.pop(name) != value:
            raise ConfigError(f"The checkpoint's tensors say {name}={value!r} of {found.method}; leave {name} out.")
    missing = {name: what for name, what in found.asked.items() if given.get(name, ...) is ...}
    if "token_suffix" in found.tokens:
        missing.pop("ctx_init", None)  # found from it
    lines = [
        f"the setting {name}: {what} ({option(f'--set {name}=...', f'settings={{{name!r}: ...}}')})"
        for name, what in missing.items()
    ]
    if model is None:
        lines.insert(0, f"the model that it was trained with, such as 'ViT-B/16' ({option('--model', 'model')})")
    if class_names is None:
        lines.insert(0, f"the classes it was trained for, in their order ({option('--classes', 'class_names')})")
    if lines:
        raise ConfigError(f"The checkpoint (of {found.method}) does not say: {'; '.join(lines)}.")


def _build(
    found: Translated, checkpoint: Checkpoint, vlm: VLM, task: Classification, given: Mapping[str, Any]
) -> Method:
    settings = {**found.settings, **given}
    if "ctx_init" in find_method(found.method).setting_parameters():
        settings.setdefault("ctx_init", None)  # its default would leave words after a shorter context
    with equal_prompts_allowed():  # the classes are what they were when the checkpoint was trained
        method = build_method(found.method, vlm, task.class_names, settings, task)
    tensors = dict(found.tensors)
    if "cache.keys" in tensors:
        tensors |= {f"cache.{name}": torch.tensor(float(settings[name])) for name in ("alpha", "beta")}
        method.found = {name: float(settings[name]) for name in ("alpha", "beta")}
    method.reshape(_shapes(tensors))
    needed, held = _shapes(method.state_dict()), _shapes(tensors)
    if needed != held:
        wrong = [name for name in sorted({*needed, *held}) if needed.get(name) != held.get(name)]
        listed = "; ".join(
            f"{name} is {held.get(name, 'missing')}, needed is {needed.get(name, 'none')}" for name in wrong
        )
        raise ModelError(
            f"'{checkpoint.file}' does not fit {found.method} with {vlm.name!r}: {listed}. Load the model that it was "
            "trained with."
        )
    method.load_tensors({name: tensor.to(vlm.device) for name, tensor in tensors.items()})
    return method


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _details(found: Translated, checkpoint: Checkpoint, method: Method, revision: str | None) -> dict[str, Any]:
    source = {"file": checkpoint.file.name, "sha256": file_digest(checkpoint.file), "epoch": checkpoint.epoch}
    return {"class_labels": list(method.task.class_labels), "imported": source, "revision_asked": revision}


def _notes(found: Translated, checkpoint: Checkpoint, words: Sequence[int] | None) -> list[str]:
    notes = list(checkpoint.notes)
    if found.method == "coop" and not found.settings["class_specific"]:
        notes.append("prompts of ProGrad have the same tensors and predict alike; method prograd says so in the run")
    bound = [name for name in found.tokens if name.startswith("token_")]
    if bound:
        notes.append(f"left out, as they belong to the class names: {', '.join(bound)}")
    if found.frozen:
        notes.append(f"left out, as they are the model's own weights: {len(found.frozen)} tensors")
    if found.left_out:
        notes.append(f"left out, as the authors' prediction does not use them: {', '.join(found.left_out)}")
    if words is None:
        notes.append(
            "the checkpoint does not hold its class names: whether these are its classes, in their order, cannot be "
            "checked"
        )
    if not found.frozen and not found.tokens:
        notes.append("it holds nothing of its model either: whether this is the one cannot be checked beyond its sizes")
    return notes
