"""Reading a run folder, of which nothing is believed: every file is checked, and nothing in it is ever executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from coopt.artifacts.earlier import BINDING, EarlierRunWarning
from coopt.artifacts.hub import find_run, hub_id
from coopt.artifacts.images import SeenImages
from coopt.artifacts.place import BOUND, CLASSIFIER, CONFIG, IMAGES, WEIGHTS, finish_swap
from coopt.artifacts.run_folder import Run, check_names
from coopt.artifacts.schema import read_config, refusing
from coopt.download import file_digest
from coopt.errors import RunError
from coopt.messages import tell
from coopt.methods import Classifier


def load_run(folder: Path | str, *, revision: str | None = None, trust_code: bool = False) -> Run:
    """Read a run folder. Nothing in it is ever executed: the files are JSON and safetensors.

    Args:
        folder: what `save_run` wrote, or OWNER/NAME of a run on the Hugging Face hub.
        revision: branch, tag or commit of a run on the hub.
        trust_code: leave to import the method or the task of the run, where it is a class from outside the package.

    Raises:
        RunError: the folder is missing, unfinished, damaged, of another version or method, or needs `trust_code`.
    """
    place, folder = folder, find_run(folder, revision)
    finish_swap(folder)
    if not folder.is_dir():
        partial = folder.with_name(folder.name + ".partial")
        hint = " Its training is unfinished: go on with `coopt fit ... --resume`." if partial.is_dir() else ""
        raise RunError(f"There is no run folder {folder}.{hint}")
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        where = folder if hub_id(place) is None else f"{place} on the hub"
        raise RunError(f"{where} is not a complete run: {', '.join(missing)} missing.")
    config = read_config(folder / CONFIG)
    check_names(folder, config, trust_code)
    try:
        tensors = load_file(folder / WEIGHTS)
        classifier = _load_classifier(folder / CLASSIFIER) if (folder / CLASSIFIER).is_file() else None
        images = SeenImages.read(folder / IMAGES) if (folder / IMAGES).is_file() else None
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise RunError(f"The tensors in {folder} are damaged: {error}. Train again or restore the files.") from error
    n_classes = len(config["class_names"])
    if classifier is not None and len(classifier.weight) != n_classes:
        raise RunError(
            f"{folder / CLASSIFIER} is for {len(classifier.weight)} classes, {CONFIG} names {n_classes}: "
            "the files belong to different runs."
        )
    check_files(folder, config)
    run = Run(folder, config, tensors, classifier, images)
    with refusing(folder, "task"):
        _ = run.task
    return run


def check_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse files that are not those which were saved with the configuration.

    Raises:
        RunError: a file was replaced, changed, added or taken away.
    """
    if config["format"] < BINDING:
        tell(
            f"The run {folder} was written by an earlier version, which kept no digests of its files: whether they "
            "belong together cannot be checked.",
            EarlierRunWarning,
        )
        return
    saved = config["files"]
    for name in BOUND:
        found = file_digest(folder / name) if (folder / name).is_file() else None
        if found == saved.get(name) or (found is None and name == IMAGES):
            continue
        what = "is missing" if found is None else "is not the file" if name in saved else "is none of the files"
        raise RunError(
            f"{folder / name} {what} that {CONFIG} was saved with: it was changed, or belongs to another run. Restore "
            "the files of the run, or train again; only README.md may be edited."
        )


def _load_classifier(path: Path) -> Classifier:
    with safe_open(path, framework="pt") as file:
        normalize = json.loads((file.metadata() or {})["normalize"])
        weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
    fits = (
        weight.ndim == 2
        and bias.shape == weight.shape[:1]
        and weight.is_floating_point()
        and isinstance(normalize, bool)
    )
    if not fits:
        raise ValueError(
            f"{path.name} holds {tuple(weight.shape)} numbers and a bias of {tuple(bias.shape)}, no matrix"
        )
    return Classifier(weight.float(), bias.float(), normalize)
