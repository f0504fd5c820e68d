"""The one list of tasks."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from coopt.data import ImageDataset
from coopt.errors import ConfigError, did_you_mean
from coopt.messages import option
from coopt.outside import class_key, import_class, is_outside
from coopt.tasks.classification import Classification
from coopt.tasks.ordinal import Ordinal
from coopt.tasks.task import Task

DEFAULT_TASK = "classification"
TASKS: dict[str, type[Task]] = {"classification": Classification, "ordinal": Ordinal}


def make_task(
    task: str | type[Task],
    class_names: Sequence[str],
    class_labels: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Task:
    """A task for the classes of a data set.

    Raises:
        ConfigError: there is no such task, or it has no such setting.
    """
    check_task_settings(task, settings or {})
    return find_task(task)(class_names, class_labels, **(settings or {}))


def check_task_settings(task: str | type[Task], settings: Mapping[str, Any]) -> None:
    """Refuse settings that a task does not have.

    Raises:
        ConfigError: there is no such task, or it has no such setting.
    """
    kind = find_task(task)
    allowed = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    unknown = [name for name in settings if name not in allowed]
    if unknown:
        why = " (it is what several data sets at once need)" if "grouped" in unknown else ""
        listed = ", ".join(allowed) or "none"
        if unknown[0] == "ranks":
            why = f", which goes with ordered labels ({option('--task', 'task')} ordinal)"
        raise ConfigError(f"The task {task!r} has no setting {unknown[0]!r}{why}; its settings are: {listed}.")


def task_of(task: str | type[Task], dataset: ImageDataset, settings: Mapping[str, Any] | None = None) -> Task:
    """A task for the labels of a data set, which are checked first, so that messages say where they stand.

    Raises:
        ConfigError: as `make_task`.
        DataError: a label cannot be used.
    """
    find_task(task).check(dataset, settings or {})
    return make_task(task, dataset.class_names, dataset.class_labels, settings)


def find_task(task: str | type[Task]) -> type[Task]:
    """The class of a task's name, or of `module:Class`.

    Raises:
        ConfigError: there is no such task.
    """
    name = class_key(task, TASKS, Task)
    if is_outside(name):
        return import_class(name, Task)  # type: ignore[type-abstract]
    if name not in TASKS:
        raise ConfigError(f"There is no task {name!r}; the tasks are {', '.join(TASKS)}.{did_you_mean(name, TASKS)}")
    return TASKS[name]
