"""Fitted classifiers in run folders and in pickles, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coopt.artifacts import Run, save_run
from coopt.artifacts.save import CALLER_FACTS, read_records
from coopt.data.label_values import LabelValues, label_values, values_of_type
from coopt.errors import CooptError, RunError
from coopt.estimator.inputs import class_words
from coopt.estimator.settings import PROMPT_SETTINGS
from coopt.fit import Learned, used_settings
from coopt.models import VLM

Facts = tuple[dict[str, Any], list[dict[str, Any]]]
"""What a run folder keeps beyond the method (see `training_details`), and its records."""


def save_fitted(classifier: Any, folder: Path | str, *, overwrite: bool) -> Path:
    """Write a run folder of a fitted classifier."""
    details, records = facts_of(classifier)
    images = classifier.seen_
    return save_run(folder, classifier.method_, records=records, details=details, images=images, overwrite=overwrite)


def facts_of(classifier: Any) -> Facts:
    """What was learned from what: of the training itself, or as the run folder or the pickle had it."""
    learned: Learned | None = classifier.learned_
    if learned is None:
        details, records = classifier._facts
    else:
        details, records = learned.details(), [record.as_dict() for record in learned.records]
        details |= {} if classifier.preset is None else {"preset": classifier.preset}
    dtype = classifier.classes_.dtype
    return {**details, "label_dtype": "str" if dtype.kind == "U" else dtype.name}, records


def run_facts(run: Run) -> Facts:
    """The same of a run folder."""
    return {name: run.config[name] for name in CALLER_FACTS if name in run.config}, read_records(run.folder)


def run_parameters(run: Run, vlm: VLM, model: Any, device: str | None) -> dict[str, Any]:
    """The parameters with which a new `PromptClassifier` would train what a run folder holds."""
    config = run.config
    settings = dict(config["settings"])
    prompt = {name: settings.pop(name) for name in PROMPT_SETTINGS if name in settings}
    if model is None:
        # Only by its name another revision might be loaded.
        model = vlm if config.get("revision_asked") else vlm.name
    return {
        "model": model,
        "method": config["method"],
        **prompt,
        "settings": settings or None,
        "task": config["task"]["name"],
        "task_settings": config["task"]["settings"] or None,
        "shots": config.get("shots"),
        "seed": config.get("seed", 1),
        "recipe": _used_recipe(config),
        "class_weight": config.get("class_weight"),
        "class_names": class_words(run.task.class_labels, run.class_names),
        "device": device,
    }


def _used_recipe(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the run's method used of its recipe; runs of earlier versions say all of it."""
    used = used_settings(config["method"])
    return {name: value for name, value in (config.get("recipe") or {}).items() if name in used} or None


def run_values(config: Mapping[str, Any], labels: list[str]) -> LabelValues | None:
    """The labels of a run folder in the type in which they were given; None where that is text.

    Raises:
        RunError: the configuration says a type that its labels do not have.
    """
    dtype = config.get("label_dtype") or ("int64" if config.get("numeric_labels") else None)
    if dtype is None:
        return None
    try:
        return label_values(values_of_type(labels, dtype))
    except (TypeError, ValueError) as error:
        raise RunError(f"The run's labels {labels[:3]} are not of its label_dtype {dtype!r}: {error}.") from error


def pickled_state(state: Mapping[str, Any], classifier: Any) -> dict[str, Any]:
    """The attributes of a classifier for a pickle: what was learned, and no training images.

    The model is in it as the way to load it again (see `VLM.reopen`), the method as its settings and tensors.
    """
    kept = dict(state)
    if "method_" in kept:
        for name in ("predictor_", "vlm_", "learned_"):  # made again from the method
            kept.pop(name, None)
        try:
            kept["_facts"] = facts_of(classifier)
        except (CooptError, OSError):  # the training images are gone; what they looked like is not needed to predict
            learned: Learned = classifier.learned_
            kept["_facts"] = ({"class_labels": learned.method.task.class_labels}, [])
    return kept
