"""What a label means, one file per task, and the table that names them."""

from coopt.tasks.classification import Classification as Classification
from coopt.tasks.classification import ClassificationMetrics as ClassificationMetrics
from coopt.tasks.metrics import expected_calibration_error as expected_calibration_error
from coopt.tasks.metrics import wilson_interval as wilson_interval
from coopt.tasks.ordinal import Ordinal as Ordinal
from coopt.tasks.ordinal_metrics import OrdinalMetrics as OrdinalMetrics
from coopt.tasks.ranks import is_number as is_number
from coopt.tasks.table import DEFAULT_TASK as DEFAULT_TASK
from coopt.tasks.table import TASKS as TASKS
from coopt.tasks.table import check_task_settings as check_task_settings
from coopt.tasks.table import find_task as find_task
from coopt.tasks.table import make_task as make_task
from coopt.tasks.table import task_of as task_of
from coopt.tasks.task import Decisions as Decisions
from coopt.tasks.task import Figure as Figure
from coopt.tasks.task import Metrics as Metrics
from coopt.tasks.task import Table as Table
from coopt.tasks.task import Task as Task
from coopt.tasks.task import check_logits as check_logits
