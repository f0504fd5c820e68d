"""What the command line says of the task: its settings, and that there is another one for numbers."""

from collections.abc import Sequence
from typing import Any

from coopt.data import ImageDataset
from coopt.fit import recipe_value
from coopt.tasks import check_task_settings, is_number


def read_task_settings(
    pairs: Sequence[str], task: str, ranks: str | None, grouped: bool
) -> tuple[dict[str, Any], list[str]]:
    """The task's settings (--ranks, `task.` before a --set pair, several data sets), and the --set pairs that are left.

    Raises:
        ConfigError: the task has no such setting, or a value is not allowed.
    """
    settings: dict[str, Any] = {"grouped": True} if grouped else {}
    rest = []
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name.strip().startswith("task."):
            settings[name.strip().removeprefix("task.")] = recipe_value(text)
        else:
            rest.append(pair)
    if ranks is not None:
        settings["ranks"] = ranks
    check_task_settings(task, settings)
    return settings, rest


def numbers_note(dataset: ImageDataset) -> str | None:
    """That labels which are all numbers can be learned as quantities; None for other labels."""
    labels = dataset.class_labels or []
    if dataset.labels is None or len(labels) < 3 or not all(map(is_number, labels)):
        return None
    return f"all {len(labels)} labels are numbers and are learned as classes; --task ordinal learns them as quantities"
