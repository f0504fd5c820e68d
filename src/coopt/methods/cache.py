"""What both variants of Tip-Adapter share: the cache of training images, and the search for its two numbers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from coopt.errors import ConfigError
from coopt.methods.batch import Examples
from coopt.methods.method import Change, Preset
from coopt.methods.predictor import cosine_logits
from coopt.models import VLM
from coopt.prompting import TEMPLATES, read_templates, template_features

SOURCE = "gaopengcuhk/Tip-Adapter@d0e2d6f, configs/"
START_ALPHA, START_BETA = 1.17, 1.0
"""The authors' numbers before the search (configs/imagenet.yaml)."""

SEARCHES = {
    "imagenet": ("imagenet", 7.0, 3.0, START_ALPHA),
    "caltech101": ("caltech101", 12.0, 5.0, 3.0),
    "oxford-pets": ("oxford_pets", 7.0, 3.0, START_ALPHA),
    "stanford-cars": ("stanford_cars", 20.0, 10.0, 3.0),
    "flowers102": ("oxford_flowers", 50.0, 50.0, 10.0),
    "food101": ("food101", 10.0, 10.0, START_ALPHA),
    "fgvc-aircraft": ("fgvc", 30.0, 30.0, 5.0),
    "sun397": ("sun397", 12.0, 10.0, START_ALPHA),
    "dtd": ("dtd", 13.0, 13.0, 2.0),
    "eurosat": ("eurosat", 12.0, 10.0, 2.0),
    "ucf101": ("ucf101", 7.0, 3.0, 3.0),
}
"""By data set: the authors' configuration file, its search_scale (largest beta, largest alpha) and its init_alpha."""
OWN_TEMPLATES = {"imagenet": TEMPLATES["imagenet-7"]}
"""The authors' code prompts ImageNet with the seven templates."""


def search_presets(trained: bool) -> dict[str, Preset]:
    """The authors' settings by data set, and "few-shot", which takes those of the benchmark's data set."""
    presets, changes = {}, []
    for name, (file, max_beta, max_alpha, start_alpha) in SEARCHES.items():
        settings = {"max_alpha": max_alpha, "max_beta": max_beta, "start_alpha": start_alpha}
        recipe = {"epochs": 100} if trained and name == "eurosat" else {}
        templates = "imagenet-7" if name in OWN_TEMPLATES else name
        presets[name] = Preset(f"{SOURCE}{file}.yaml", {"templates": templates, **settings}, recipe)
        changes.append(Change((name,), settings, recipe))
    return {"few-shot": Preset(f"{SOURCE}*.yaml, one for each data set", changes=tuple(changes)), **presets}


@dataclass(frozen=True)
class Grid:
    """The authors' grid of beta and alpha, and the values before the search; a number that is given is not searched.

    Raises:
        ConfigError: a number is out of its range; the message lists all problems at once.
    """

    alpha: float | None
    beta: float | None
    max_alpha: float
    max_beta: float
    alpha_steps: int
    beta_steps: int
    start_alpha: float = START_ALPHA
    start_beta: float = START_BETA

    def __post_init__(self) -> None:
        problems = []
        for name in ("alpha", "beta", "start_alpha", "start_beta"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                hint = "" if name.startswith("start") else ", or None to search"
                problems.append(f"{name} is {value}; allowed is a number above 0{hint}")
        for name in ("max_alpha", "max_beta"):
            value = getattr(self, name)
            if not 0.1 < value < math.inf:
                problems.append(f"{name} is {value}; the search runs from 0.1 up to it, so it must be above 0.1")
        for name in ("alpha_steps", "beta_steps"):
            value = getattr(self, name)
            if value < 1:
                problems.append(f"{name} is {value}; allowed is a whole number from 1")
        if problems:
            raise ConfigError("The cache's numbers cannot be used: " + "; ".join(problems) + ".")

    def pairs(self) -> Iterator[tuple[float, float]]:
        """(alpha, beta), beta outside; the upper ends themselves are left out, as in the authors' code."""
        for beta in _steps(self.beta, self.max_beta, self.beta_steps):
            for alpha in _steps(self.alpha, self.max_alpha, self.alpha_steps):
                yield alpha, beta


def _steps(given: float | None, upper: float, n: int) -> list[float]:
    return [given] if given is not None else [i * (upper - 0.1) / n + 0.1 for i in range(n)]


class Cache(nn.Module):
    r"""Training images as keys, their labels as values, and the two numbers that weigh them, beside hand-written words.

    .. math::
        \mathrm{logits}(x) = s \, f W^\top + \alpha \exp\left(-\beta (1 - f G^\top)\right) V

    `forward` gives the second term; it is 0 until `fill`.

    Shape:
        - keys: (N, E), labels: (N,), alpha and beta: scalars
        - images: (B, E), not normalised
        - logits: (B, C)
    """

    def __init__(
        self,
        vlm: VLM,
        class_names: Sequence[str],
        templates: str | Path | Sequence[str],
        grid: Grid,
        *,
        truncate_names: bool,
        trained: bool,
    ) -> None:
        super().__init__()
        self.vlm, self.n_classes, self.grid = vlm, len(class_names), grid
        self.prompts = template_features(vlm, class_names, read_templates(templates), truncate=truncate_names)  # (C, E)
        self.keys = nn.Parameter(torch.zeros(0, vlm.embed_dim, device=vlm.device), trained)
        self.labels = nn.Parameter(torch.zeros(0, dtype=torch.int64, device=vlm.device), False)
        self.alpha = nn.Parameter(torch.tensor(0.0, device=vlm.device), False)
        self.beta = nn.Parameter(torch.tensor(0.0, device=vlm.device), False)
        self.start()

    def start(self) -> dict[str, float]:
        """Set the given numbers, and the starting ones in place of those that are searched."""
        grid = self.grid
        return self.weigh(
            grid.start_alpha if grid.alpha is None else grid.alpha, grid.start_beta if grid.beta is None else grid.beta
        )

    def weigh(self, alpha: float, beta: float) -> dict[str, float]:
        """Set the two numbers; returned as settings, because the run folder says what was found."""
        self.alpha.data.fill_(alpha)
        self.beta.data.fill_(beta)
        return {"alpha": alpha, "beta": beta}

    def fill(self, train: Examples) -> None:
        """One row per image; its key is the mean over its views of features that are not normalised, normalised."""
        views = train.images[None] if train.views is None else train.views  # (V, N, E)
        self.keys.data = F.normalize(views.float().mean(0), dim=-1).to(self.keys.device)  # (N, E)
        assert train.targets is not None  # shots are labelled
        self.labels.data = train.targets.to(self.keys.device)

    def resize(self, n_rows: int) -> None:
        """Make room for as many rows as a saved cache has."""
        self.keys.data = self.keys.new_zeros(n_rows, self.keys.shape[1])
        self.labels.data = self.labels.new_zeros(n_rows)

    def zero_shot(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits by the hand-written words only."""
        return cosine_logits(self.vlm, images, self.prompts)

    def affinity(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B N"]:
        """Each image's cosine to each key; trained keys are no longer of length 1, as in the paper."""
        return F.normalize(images.to(self.keys.device).float(), dim=-1) @ self.keys.T

    def values(self) -> Float[Tensor, "N C"]:
        """The labels, one-hot; they are kept as numbers, which take C times less room in a run folder."""
        return F.one_hot(self.labels, self.n_classes).float()

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """What the cache adds to the logits of the words."""
        with torch.autocast(self.keys.device.type, enabled=False):  # the exponent magnifies what a cosine is off by
            return self.alpha * votes(self.affinity(images), self.values(), self.beta)

    @torch.no_grad()
    def search(self, train: Examples, val: Examples | None) -> dict[str, float]:
        """Set the first pair of the grid that is right most often on `val`, or on shots left out of the cache.

        Args:
            train: the shots, with which the cache was filled.
            val: the validation shots; None cross-validates the shots.

        Returns:
            The numbers as settings; with one shot per class and no validation set nothing can be compared, and they are
            the starting ones.
        """
        scoring = train if val is None else val
        assert scoring.targets is not None  # shots are labelled
        labels = scoring.targets.to(self.keys.device)
        affinity, by_words, values = self.affinity(scoring.images), self.zero_shot(scoring.images), self.values()
        if val is None:
            usable, scored = left_out(labels, scoring.groups)
            if not scored.any():
                return self.start()
            # A key at minus infinity has no vote.
            affinity = affinity.masked_fill(~usable, -torch.inf)[scored]  # (Q, N)
            by_words, labels = by_words[scored], labels[scored]  # (Q, C), (Q,)
        best, most, last = (0.0, 0.0), -1, None
        for alpha, beta in self.grid.pairs():
            if beta != last:  # alpha changes inside: the votes are counted once for each beta
                counted, last = votes(affinity, values, beta), beta  # (Q, C)
            right = int(((by_words + alpha * counted).argmax(-1) == labels).sum())
            if right > most:
                best, most = (alpha, beta), right
        return self.weigh(*best)


def votes(
    affinity: Float[Tensor, "B N"], values: Float[Tensor, "N C"], beta: float | Float[Tensor, ""]
) -> Float[Tensor, "B C"]:
    """``exp(-beta (1 - affinity)) values``."""
    return torch.exp(-beta * (1 - affinity)) @ values


def left_out(
    labels: Int[Tensor, " N"], groups: Int[Tensor, " N"] | None = None
) -> tuple[Bool[Tensor, "N N"], Bool[Tensor, " N"]]:
    """Cross-validation of the shots on themselves: the r-th shots of all classes are left out together.

    Leaving out only an image's own key would take a key from its class and none from the others, and so favour small
    alphas; leaving out one of each class keeps the classes even. Other images of its own object (`groups`) say nothing
    about an image either.

    Returns:
        Which keys each image may look at, and which images can be scored (those whose class keeps a key).
    """
    same = labels[:, None] == labels[None]  # (N, N)
    place = same.tril(-1).sum(1)  # (N,): how many of the class come before
    usable = place[:, None] != place[None]
    if groups is not None:
        groups = groups.to(labels.device)
        usable &= groups[:, None] != groups[None]
    return usable, (usable & same).any(1)
