"""What a label means, one file per task, and the table that names them."""

from coopt.tasks.classification import Classification, ClassificationMetrics
from coopt.tasks.metrics import expected_calibration_error, wilson_interval
from coopt.tasks.table import DEFAULT_TASK, TASKS, find_task, make_task
from coopt.tasks.task import Decisions, Figure, Metrics, Table, Task, check_logits

__all__ = [
    "DEFAULT_TASK",
    "TASKS",
    "Classification",
    "ClassificationMetrics",
    "Decisions",
    "Figure",
    "Metrics",
    "Table",
    "Task",
    "check_logits",
    "expected_calibration_error",
    "find_task",
    "make_task",
    "wilson_interval",
]
