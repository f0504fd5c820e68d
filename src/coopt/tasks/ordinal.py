"""Ordinal: a number, or one of several ordered categories, decided by a distribution over ranks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from coopt.data import ImageDataset
from coopt.data.wording import count
from coopt.errors import ConfigError, DataError, did_you_mean
from coopt.messages import tell
from coopt.tasks.ordinal_decisions import RankDecisions, expectation, interval_ends
from coopt.tasks.ordinal_metrics import FIGURES, OrdinalMetrics, measure_ranks
from coopt.tasks.ranks import Ranks, RanksGiven, make_ranks, ranks_option, read_number
from coopt.tasks.task import Task, check_images

LOSSES = ("cross-entropy", "distance-weighted")
N_BINS, FEW = 10, 2.0
"""Shots are drawn from so many bins where there are fewer images per rank than this on average."""


class Ordinal(Task):
    """One number per image, or one of several ordered categories; targets are numbers (N,) float64.

    The outputs of a model are ranks: the numbers that can be answered. Logits are a distribution over them; the answer
    is its expectation, with an interval between two of its quantiles, beside the most likely rank. A label between two
    ranks is learned as the nearer one (the lower of two that are equally near) and measured as it is. Categories count
    as 0, 1, 2, ...

    Args:
        class_names: the words that prompts use, of the labels of the data or of the ranks.
        class_labels: the labels as the data writes them, or the ranks; `class_names` when None.
        ranks: "0:100" (both ends), "0:100:5", "low,medium,high", or a list; None takes the numbers of the data. Ranks
            that no training image has can be answered too.
        interval: share of the distribution between the two ends of the interval.
        loss: "cross-entropy" of the nearest rank, or "distance-weighted", in which each logit of another rank is
            multiplied by its distance, of mean 1 over the other ranks (NumCLIP).

    Raises:
        DataError: a label is no number, all are one number, or they are too many for ranks.
        ConfigError: `ranks`, `interval` or `loss` cannot be used.
    """

    name = "ordinal"
    progress_name = "error"
    figures = FIGURES
    ordered = True

    def __init__(
        self,
        class_names: Sequence[str],
        class_labels: Sequence[str] | None = None,
        *,
        ranks: RanksGiven = None,
        interval: float = 0.9,
        loss: str = "cross-entropy",
    ) -> None:
        labels = list(class_names if class_labels is None else class_labels)
        self.ranks = make_ranks(ranks, labels)
        super().__init__(words_of_ranks(self.ranks, class_names, labels), self.ranks.labels)
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1:
            raise ConfigError(f"interval is {interval!r}; allowed is a number above 0 and below 1, such as 0.9.")
        if loss not in LOSSES:
            listed = " or ".join(map(repr, LOSSES))
            raise ConfigError(f"loss is {loss!r}; allowed is {listed}.{did_you_mean(str(loss), LOSSES)}")
        self.interval, self.loss_name = float(interval), loss
        given = ranks if ranks is None or isinstance(ranks, str) else [str(rank) for rank in ranks]
        self.settings = {"ranks": given, "interval": self.interval, "loss": loss}

    @classmethod
    def check(cls, dataset: ImageDataset, settings: Mapping[str, Any]) -> None:
        """Refuse labels that are no numbers, or none of the ranks that are given.

        Raises:
            DataError: naming the label and where it stands.
            ConfigError: the ranks cannot be used.
        """
        given = settings.get("ranks")
        if dataset.labels is not None:
            read_labels(dataset, read_number if given is None else make_ranks(given, []).value)

    def targets(self, dataset: ImageDataset) -> Float[Tensor, " N"]:
        """The number of each image's label; of a category its place.

        Raises:
            DataError: a label is no number, or none of the ranks; the message names the label and its first image.
        """
        return torch.from_numpy(read_labels(dataset, self.ranks.value)[dataset.labels])

    @property
    def output_values(self) -> list[float]:
        """The number of each rank."""
        return self.ranks.values

    def classes(self, targets: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
        """The place of the rank that is nearest to each number, the lower one of two."""
        values = targets.new_tensor(self.ranks.values)  # (C,)
        middles = (values[1:] + values[:-1]) / 2
        return torch.bucketize(targets, middles)

    def loss(
        self, logits: Float[Tensor, "B C"], targets: Float[Tensor, " B"], weight: Float[Tensor, " B"] | None = None
    ) -> Float[Tensor, ""]:
        """Cross entropy of the nearest rank, the mean over the batch of each image's times its weight."""
        classes = self.classes(targets)
        if self.loss_name == "distance-weighted":
            logits = logits * distance_weights(classes, logits.shape[-1])
        each = F.cross_entropy(logits, classes, reduction="none")
        return each.mean() if weight is None else (weight * each).mean()

    def progress(self, logits: Float[Tensor, "B C"], targets: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """The distance of the expectation from the truth."""
        return (expectation(logits.float().softmax(-1), self.ranks) - targets).abs()

    def decide(self, logits: Float[Tensor, "N C"], top_k: int = 1) -> RankDecisions:
        """A number with an interval, and the most likely ranks."""
        return RankDecisions(logits.cpu().double().softmax(-1), self.ranks, self.interval, top_k)

    def metrics(self, logits: Float[Tensor, "N C"], targets: Float[Tensor, " N"]) -> OrdinalMetrics:
        """Errors of the expectation and of the most likely rank, order, agreement, and coverage of the interval.

        Raises:
            DataError: there is no image, or a logit is not finite.
        """
        check_images(logits, targets)
        probabilities, true = logits.cpu().double().softmax(-1), targets.cpu()
        low, high = interval_ends(probabilities, self.interval)
        return measure_ranks(
            self.ranks,
            true.double().numpy(),
            self.classes(true).numpy(),
            expectation(probabilities, self.ranks).numpy(),
            probabilities.argmax(-1).numpy(),
            (low.numpy(), high.numpy()),
            self.interval,
        )

    def strata(self, dataset: ImageDataset) -> Int64[np.ndarray, " N"] | None:
        """The nearest ranks; bins of equal width where there are fewer than two images per rank."""
        targets = self.targets(dataset)
        places = self.classes(targets).numpy()
        n_present, n_labels = len(np.unique(places)), int((dataset.class_counts() > 0).sum())
        if n_present <= N_BINS or len(places) / n_present >= FEW:
            return None if n_present == n_labels else places  # the labels have names for messages
        numbers = targets.numpy()
        edges = np.linspace(numbers.min(), numbers.max(), N_BINS + 1)
        tell(
            f"{len(places)} images have {n_present} different ranks: shots are drawn from {N_BINS} bins of "
            f"{edges[1] - edges[0]:g} each, from {edges[0]:g} to {edges[-1]:g}, and not from each rank."
        )
        return np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, N_BINS - 1).astype(np.int64)


def read_labels(dataset: ImageDataset, read: Callable[[str], Any]) -> Float64[np.ndarray, " C"]:
    """The number of each label that an image has, 0 for the others.

    Raises:
        DataError: `read` refuses a label; the message counts the images and says where the first one's label stands.
    """
    assert dataset.labels is not None and dataset.class_labels is not None  # labelled data is asked for
    values, wrong = np.zeros(len(dataset.class_labels)), {}
    for label in np.unique(dataset.labels).tolist():
        try:
            values[label] = read(dataset.class_labels[label])
        except DataError as error:
            wrong[label] = str(error)
    if wrong:
        images = np.flatnonzero(np.isin(dataset.labels, list(wrong)))
        first = int(images[0])
        raise DataError(
            f"{count(len(images), 'image has a label', 'images have labels')} that the task 'ordinal' cannot use; the "
            f"first is {dataset.place_of_label(first)}: {wrong[int(dataset.labels[first])]}. Mend the labels, or give "
            f"ranks that have them when training: {ranks_option('0:100')}, or categories in their order, "
            f"{ranks_option('low,medium,high')}."
        )
    return values


def words_of_ranks(ranks: Ranks, names: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The words of each rank: those of the data's label of that number, else the rank as it is written."""
    by_value: dict[float, str] = {}
    for name, label in zip(names, labels, strict=True):
        try:
            by_value.setdefault(ranks.value(label), name)
        except DataError:
            continue  # `targets` refuses an image that has it; a label without images does no harm
    words = [by_value.get(value, label) for value, label in zip(ranks.values, ranks.labels, strict=True)]
    unnamed = [label for value, label in zip(ranks.values, ranks.labels, strict=True) if value not in by_value]
    if unnamed and any(name != label for name, label in zip(names, labels, strict=True)):
        tell(
            f"{len(unnamed)} of the {len(words)} ranks are no labels of the data, so that no words were given for "
            f"them; their prompts say the rank itself, the first is {unnamed[0]!r}."
        )
    return words


def distance_weights(classes: Int[Tensor, " B"], n_ranks: int) -> Float[Tensor, "B C"]:
    """How far each rank is from the right one, of mean 1 over the wrong ones; 1 for the right one."""
    away = (torch.arange(n_ranks, device=classes.device) - classes[:, None]).abs().float()
    weights = away * (n_ranks - 1) / away.sum(-1, keepdim=True)
    return weights.scatter(1, classes[:, None], 1.0)
