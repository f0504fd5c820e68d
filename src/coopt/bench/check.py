"""Rows that cannot be used are refused before anything is written or learned."""

from collections.abc import Sequence

from coopt.artifacts import resolve_starts
from coopt.bench.grid import Run
from coopt.bench.protocols import Asked
from coopt.errors import ConfigError, DataError, ModelError
from coopt.evaluate import own_stream
from coopt.messages import listening
from coopt.methods import build_method
from coopt.models import VLM
from coopt.prompting import equal_prompts_allowed


def check_rows(runs: Sequence[Run], asked: Asked, vlm: VLM) -> None:
    """Make the method of each row once, for two classes of its data: only a constructor knows what its settings may be.

    What the data or the model do not allow is left to the runs: other data sets of the grid may go.

    Raises:
        ConfigError: settings that the method does not allow; all rows that have such are named.
    """
    problems = []
    for run in {run.variant: run for run in reversed(runs)}.values():
        names = asked.benchmarks[run.source].class_names[:2]
        settings = run.settings_for(run.source, run.template)
        try:
            with own_stream(run.seed), listening(lambda message: None), equal_prompts_allowed():
                build_method(run.method, vlm, names, resolve_starts(run.method, settings, vlm))
        except ConfigError as error:
            problems.append(f"The row {run.variant!r} cannot be used: {error}")
        except (DataError, ModelError):
            continue
    if problems:
        raise ConfigError("\n".join(problems))
