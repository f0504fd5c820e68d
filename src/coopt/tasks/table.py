"""The one list of tasks."""

from coopt.errors import ConfigError, did_you_mean
from coopt.outside import import_class, is_outside
from coopt.tasks.classification import Classification
from coopt.tasks.task import Task

DEFAULT_TASK = "classification"
TASKS: dict[str, type[Task]] = {"classification": Classification}


def find_task(name: str) -> type[Task]:
    """The class of a task's name, or of `module:Class`.

    Raises:
        ConfigError: there is no such task.
    """
    if is_outside(name):
        return import_class(name, Task)  # type: ignore[type-abstract]
    if name not in TASKS:
        raise ConfigError(f"There is no task {name!r}; the tasks are {', '.join(TASKS)}.{did_you_mean(name, TASKS)}")
    return TASKS[name]
