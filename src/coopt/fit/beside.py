"""What was learned beside a hand-written prompt: on a part of the data, or by cross-validation of the shots."""

from typing import Any, NamedTuple

import numpy as np
import torch

from coopt.data import ImageDataset
from coopt.errors import CooptError
from coopt.evaluate import dataset_logits, measure
from coopt.features import encode_dataset
from coopt.files import is_cache_off
from coopt.fit.learn import Learned, learn
from coopt.fit.reporter import Reporter
from coopt.methods import Method, ZeroShot, jsonable, set_task
from coopt.prompting import equal_prompts_allowed
from coopt.tasks import Metrics

MAX_FOLDS = 4
CHEAP_SECONDS = 3.0
"""Cross-validation trains again for each fold; it is done where the training itself took no longer than this."""


class Comparison(NamedTuple):
    """Metrics of a hand-written prompt and of what was learned, on the same images."""

    by_hand: Metrics
    learned: Metrics
    images: str
    """Which images they are, in words."""

    @property
    def headline(self) -> tuple[str, str]:
        """The figure that results of the task are compared by, as text, of each."""
        figure = self.learned.shown[0]
        return figure.show(self.by_hand.figures()[figure.name]), figure.show(self.learned.figures()[figure.name])

    @property
    def is_below(self) -> bool:
        """Whether what was learned is worse by that figure."""
        figure = self.learned.shown[0]
        gain = self.learned.figures()[figure.name] - self.by_hand.figures()[figure.name]
        return gain < 0 if figure.higher_is_better else gain > 0


class Silent(Reporter):
    """Says nothing: the notes of a training were said when it was done first."""

    def note(self, message: str) -> None:
        """Drop it."""


def compare(
    method: Method,
    part: ImageDataset,
    template: str,
    images: str,
    *,
    seed: int,
    n_workers: int = 0,
    strict: bool = False,
    reporter: Reporter,
) -> Comparison:
    """Both on a labelled part of the data; its images are encoded once where the method looks at plain features."""
    bar = f"{len(part)} {images}"
    encoded = encode_dataset(method.vlm, part, n_workers=n_workers, strict=strict, progress=reporter.encoding(bar))
    reporter.skipped(encoded.skipped)
    results = []
    for predictor in (hand_written(method, template).predictor(), method.predictor()):
        # A bar of its own: a method that adapts to each test image takes far longer than encoding.
        progress = reporter.encoding(f"{bar} (predicting)")
        options: dict[str, Any] = {"seed": seed, "n_workers": n_workers, "strict": strict, "progress": progress}
        found = dataset_logits(method.vlm, predictor, part, encoded=encoded, **options)
        results.append(measure(predictor.task, found, part))
    return Comparison(results[0], results[1], bar)


def cross_validate(learned: Learned, template: str) -> Comparison | None:
    """Both on the shots: each fold of them by what the same method learns from the others.

    None where that is not cheap (it trains on more than features that are kept, or took long), or not possible (a
    class has one image).
    """
    method, train, task = learned.method, learned.train, learned.method.task
    seconds = sum(record.seconds for record in learned.records)
    cheap = method.inputs.are_plain and learned.recipe.views == 0 and seconds <= CHEAP_SECONDS and not is_cache_off()
    if not (learned.records and cheap):
        return None
    strata = task.strata(train)
    strata = train.labels if strata is None else strata
    assert strata is not None  # what was learned from is labelled
    n_folds = min(MAX_FOLDS, int(np.unique(strata, return_counts=True)[1].min()))
    if n_folds < 2:
        return None
    order = np.argsort(strata, kind="stable")
    fold = np.empty(len(train), dtype=np.int64)
    fold[order] = np.arange(len(train)) % n_folds
    logits = torch.zeros(len(train), len(task.class_names), device=method.device)
    for number in range(n_folds):
        held_out = np.flatnonzero(fold == number)
        try:
            again = learn(
                method.vlm,
                train.subset(np.flatnonzero(fold != number)),
                method=method.key,
                settings=jsonable(method.settings),
                task=task.key,
                task_settings=task.settings,
                shots=None,
                seed=learned.seed,
                recipe=learned.recipe,
                allow_equal_prompts=True,
                reporter=Silent(),
            )
        except CooptError:  # the method needs what a part of the shots does not have
            return None
        found = dataset_logits(method.vlm, again.method.predictor(), train.subset(held_out), seed=learned.seed)
        logits[torch.as_tensor(held_out)[found.indices.cpu()]] = found.logits
    targets = task.targets(train).to(method.device)
    by_hand = dataset_logits(method.vlm, hand_written(method, template).predictor(), train)
    return Comparison(
        measure(task, by_hand, train),
        task.metrics(logits, targets),
        f"{len(train)} shots, each left out in one of {n_folds} trainings",
    )


def hand_written(method: Method, template: str) -> ZeroShot:
    """The hand-written prompt for the classes of a method."""
    cut = bool(method.settings.get("truncate_names", False))
    with equal_prompts_allowed():  # they were checked before learning
        made = ZeroShot(method.vlm, method.class_names, templates=template, truncate_names=cut)
    set_task(made, method.task)
    return made
