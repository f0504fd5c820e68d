"""What a worker does with a run: learn, test, and return its records. It writes nothing."""

import random
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from coopt.bench.choice import align_labels
from coopt.bench.grid import Run
from coopt.bench.memory import PeakMemory
from coopt.bench.protocols import PROTOCOLS, Evaluation, classes_of
from coopt.bench.shared import Shared
from coopt.data import Splits
from coopt.datasets import Benchmark
from coopt.errors import CooptError
from coopt.evaluate import dataset_logits, measure, own_stream
from coopt.evaluate.record import Record
from coopt.fit import Interrupted, Learned, Recipe, Reporter, learn
from coopt.messages import listening
from coopt.methods import Method, find_method, for_classes, jsonable
from coopt.prompting import equal_prompts_allowed
from coopt.tasks import DEFAULT_TASK
from coopt.version import describe_versions

PACKAGES = ("torch", "transformers", "numpy", "scikit-learn")
"""Whose versions a record names."""


@dataclass
class Result:
    """The records of a run that succeeded."""

    records: list[Record]
    notes: list[str] = field(default_factory=list)
    """Messages for the user: skipped images, classes with few images."""


@dataclass
class Failed:
    """Why a run failed, as text: not every exception of another library can be sent from one process to another."""

    reason: str
    traceback: str | None = None
    """Only of an error that no setting of the user explains."""
    interrupted: bool = False
    """Whether the worker was stopped or died: the run begins again."""


class Notes(Reporter):
    """Keeps the notes of a run for its result."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        """Keep a note."""
        self.notes.append(message)


def attempt(run: Run, shared: Shared, may_interrupt: bool = False) -> Result | Failed:
    """`execute` with errors as a value; with `may_interrupt` an interruption is raised instead."""
    try:
        return execute(run, shared)
    except Interrupted:
        if may_interrupt:
            raise
        return Failed("its process was asked to stop", interrupted=True)
    except CooptError as error:
        return Failed(f"{type(error).__name__}: {error}")
    except Exception as error:
        return Failed(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def execute(run: Run, shared: Shared) -> Result:
    """Learn as a run says and test what was learned, with what this process keeps between runs."""
    reporter, memory = Notes(), PeakMemory(run.model.device)
    with settled(run.seed, run.n_threads), listening(reporter.note), memory:
        vlm = shared.model(run.model)
        benchmark = shared.benchmark(run.places, run.source)
        started = time.perf_counter()
        learned = learn_run(run, vlm, benchmark, reporter)
        fit_seconds = time.perf_counter() - started
        method = learned.method
        results = {test: evaluate(run, method, benchmark, test, shared, reporter) for test in run.tests}
    facts = run.facts() | {"settings": jsonable({**method.settings, **method.found})}
    facts["recipe"] = learned.recipe.as_dict() if learned.records else None
    records = [
        Record(
            run=run.id,
            **facts,
            **test._asdict(),
            selection=selection(run, benchmark),
            n_train=len(learned.train),
            n_parameters=method.n_parameters(),
            **result[0],
            seconds={"fit": fit_seconds, "evaluate": result[1]},
            peak_memory_mb=memory.peak_mb,
            task=method.task.key,
            headline=method.task.figures[0],
            date=datetime.now(timezone.utc).date().isoformat(),
            versions={**describe_versions(PACKAGES), "source_data": run.source_data, "test_data": run.tests_data[test]},
        )
        for test, result in results.items()
        if result is not None
    ]
    return Result(records, [f"{run.source}: {note}" for note in dict.fromkeys(reporter.notes)])


def learn_run(run: Run, vlm: Any, benchmark: Benchmark, reporter: Reporter) -> Learned:
    """Train on the run's shots, with the data set's own validation images where a method chooses something.

    Shots are drawn from all classes and then cut to the run's, as in the authors' code.
    """
    parts = Splits(benchmark.train, benchmark.val, made_by=benchmark.made_by)
    parts = parts if find_method(run.method).uses_validation else parts.without_validation()
    train, val = parts.train, parts.val
    if not find_method(run.method).uses_shots:
        train, val = benchmark.test, None  # for its class names
    assert train is not None  # `choose` refuses others
    return learn(
        vlm,
        train,
        val=val,
        classes=None if run.subset == "all" else classes_of(benchmark, run.subset),
        method=run.method,
        task=benchmark.task or DEFAULT_TASK,
        task_settings=benchmark.task_settings,
        settings=run.settings_for(run.source, benchmark.template),
        shots=run.shots,
        seed=run.seed,
        recipe=Recipe.from_dict(dict(run.recipe)) if run.recipe is not None else None,
        allow_equal_prompts=benchmark.allow_equal_prompts,
        n_workers=run.n_decoders,
        reporter=reporter,
    )


def evaluate(
    run: Run, learner: Method, source: Benchmark, test: Evaluation, shared: Shared, reporter: Reporter
) -> tuple[dict[str, Any], float] | None:
    """Metrics on one test set and the seconds they took; None where what was learned does not apply to its classes."""
    test_set = shared.test_set(run.places, test.dataset)
    classes = None if test.subset == "all" else classes_of(test_set.benchmark, test.subset)
    dataset = test_set.part(classes)
    is_new = (test.dataset, test.subset) != (run.source, run.subset)
    if is_new and not learner.new_classes and not PROTOCOLS[run.protocol].to_variants:
        return None
    encoded = None
    if learner.inputs.are_plain:
        # Encoded once for all runs of this process, so the time belongs to none of them.
        encoded = test_set.features(shared.model(run.model), classes, run.n_decoders)
    started = time.perf_counter()
    task, columns = learner.task, None
    if is_new:
        task = learner.task.for_classes(dataset.class_names, dataset.class_labels)
    if is_new and learner.new_classes:
        settings = run.settings_for(test.dataset, test_set.benchmark.template)
        changes = {name: value for name, value in settings.items() if name == "templates"}
        with equal_prompts_allowed(test_set.benchmark.allow_equal_prompts):
            learner = for_classes(learner, task, changes)
    elif is_new:
        columns = align_labels(dataset, source)  # the classes of the source that the variant has
    predictor = learner.predictor()
    found = dataset_logits(learner.vlm, predictor, dataset, encoded=encoded, seed=run.seed, n_workers=run.n_decoders)
    reporter.skipped(found.skipped)
    metrics = measure(task, found, dataset, columns)
    facts = {"n_classes": len(dataset.class_names), "n_test": metrics.n_images, "metrics": metrics.figures()}
    return facts, time.perf_counter() - started


def selection(run: Run, benchmark: Benchmark) -> str:
    """The images on which the method chose its hyperparameters; never test images."""
    method = find_method(run.method)
    if not (method.uses_shots and method.uses_validation):
        return "none"
    if benchmark.val is not None:
        return "validation shots"
    return "none" if run.shots == 1 else "cross-validation"  # one image per class leaves nothing to compare


@contextmanager
def settled(seed: int, n_threads: int) -> Iterator[None]:
    """Set seeds and threads, so that a result does not depend on what this process did before; then restore them."""
    states = random.getstate(), np.random.get_state(), torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with own_stream(seed), threadpool_limits(n_threads):
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_num_threads(states[2])
