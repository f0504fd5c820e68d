"""From what is asked for to a list of runs, each with an id that says all it depends on."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from coopt.bench.choice import Places
from coopt.bench.digests import Digests, digest
from coopt.bench.protocols import Asked, Evaluation, Protocol
from coopt.bench.variants import OWN, Variant, fill_templates, own_template, resolve
from coopt.datasets import BENCHMARKS
from coopt.evaluate.record import GridRow
from coopt.fit import recipe_for
from coopt.methods import check_settings, find_method, jsonable
from coopt.version import __version__

RESULTS = 2
"""Raised when the same run gives other numbers than before, so that its records are not taken from before."""

LATER = (("warmup", "constant"),)
"""Parts of a recipe that came later, with what all runs did before: these leave ids as they were."""


@dataclass(frozen=True)
class ModelChoice:
    """The backbone as the user named it, and what was found under the name."""

    name: str
    fingerprint: str
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Run:
    """One training and its evaluations: all that a worker needs to know."""

    protocol: str
    model: ModelChoice
    places: Places
    variant: str
    method: str
    preset: str | None
    settings: Mapping[str, Any]
    """Resolved, with `OWN` among the templates where each data set fills in its own."""
    recipe: Mapping[str, Any] | None
    source: str
    subset: str
    """Which classes of the source are learned from: "all" or "base"."""
    template: str
    """The source's own."""
    shots: int | None
    seed: int
    source_data: str
    """Digest of the images that are learned from."""
    tests: tuple[Evaluation, ...]
    tests_data: Mapping[Evaluation, str] = field(default_factory=dict)
    """Digest of each test set."""
    n_threads: int = 1
    n_decoders: int = 0

    @cached_property
    def key(self) -> str:
        """What the training is: readable, and a hash of everything that its result depends on."""
        identity = {
            "library": [__version__.split(".")[0], RESULTS],
            "protocol": self.protocol,
            "model": [self.model.name, self.model.fingerprint, self.model.dtype or "float32"],
            # The row's name too: a row of another name is measured again, and its cells are not missing.
            "method": [
                self.method,
                self.variant,
                self.preset,
                jsonable(self.settings),
                jsonable(self.settings_for(self.source, self.template)),
            ],
            "recipe": self.recipe and {k: v for k, v in self.recipe.items() if (k, v) not in LATER},
            "source": [self.source, self.subset, self.source_data],
            "shots": self.shots,
            "seed": self.seed,
        }
        shots = "" if self.shots is None else f"-{self.shots}shot"
        words = f"{self.protocol}-{self.source}-{self.method}{shots}-seed{self.seed}"
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', words)}-{digest(identity, 12)}"

    @property
    def id(self) -> str:
        """The training and what it is tested on."""
        return f"{self.key}-{digest([[*test, self.tests_data[test]] for test in self.tests], 6)}"

    @property
    def label(self) -> str:
        """The run in words for messages."""
        shots = "" if self.shots is None else f" {self.shots} shot{'s' if self.shots > 1 else ''}"
        return f"{self.source} {self.variant}{shots} seed {self.seed}"

    def settings_for(self, dataset: str, template: str) -> dict[str, Any]:
        """The method's settings on a data set, with its template where the method is given the data set's own."""
        own = own_template(self.method, dataset, template)
        filled = fill_templates(self.settings.get("templates"), own, dataset)
        return {name: filled if name == "templates" else value for name, value in self.settings.items()}

    def facts(self) -> dict[str, Any]:
        """What a record says of the run besides its results."""
        return {
            "protocol": self.protocol,
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "method": self.method,
            "variant": self.variant,
            "preset": self.preset,
            "settings": jsonable(self.settings_for(self.source, self.template)),
            "recipe": self.recipe,
            "source": self.source,
            "shots": self.shots,
            "seed": self.seed,
        }


def make_runs(
    protocol: Protocol,
    asked: Asked,
    variants: Sequence[Variant],
    *,
    shots: Sequence[int],
    n_seeds: int,
    model: ModelChoice,
    places: Places,
    use_presets: bool = True,
    n_threads: int = 1,
    n_decoders: int = 0,
) -> list[Run]:
    """Every run of a grid, those of one data set together, so that workers seldom load another.

    Raises:
        ConfigError: settings that are not allowed.
    """
    digests = Digests(asked.benchmarks)
    given = {"model": model, "places": places, "n_threads": n_threads, "n_decoders": n_decoders}
    presets = protocol.presets if use_presets else ()
    parts = [_runs_of(variant, protocol, presets, asked, digests, shots, n_seeds, given) for variant in variants]
    runs = [run for part in parts for run in part]
    place = {name: number for number, name in enumerate(asked.benchmarks)}
    return sorted(runs, key=lambda run: place[run.source])


def _runs_of(
    variant: Variant,
    protocol: Protocol,
    presets: Sequence[str],
    asked: Asked,
    digests: Digests,
    shots: Sequence[int],
    n_seeds: int,
    given: Mapping[str, Any],
) -> Iterator[Run]:
    method = find_method(variant.method)
    # What neither learns nor looks at augmented views is the same for every seed.
    seeds = range(1, 1 + (n_seeds if method.uses_shots or method.inputs.test_views else 1))
    # Contexts of the classes' own apply to no others; the method's class cannot know its settings.
    applies = method.new_classes and not resolve(variant, presets)[1].get("class_specific")
    row: dict[str, Any] = {"variant": variant.name, "method": variant.method}
    for training in protocol.trainings(asked, method.uses_shots, applies):
        source = asked.benchmarks[training.source]
        for n_shots in shots if method.uses_shots else (None,):
            preset, settings, changes = resolve(variant, presets, training.source, n_shots)
            settings = check_settings(variant.method, settings)
            recipe = resolve_recipe(variant.method, changes, training.source, n_shots)
            has_own = OWN in (settings.get("templates") or [])
            tests_data = {test: digests.of_test(test, variant.method if has_own else None) for test in training.tests}
            for seed in seeds:
                yield Run(
                    protocol=protocol.name,
                    preset=preset,
                    settings=settings,
                    recipe=recipe,
                    source=training.source,
                    subset=training.subset,
                    template=source.template,
                    shots=n_shots,
                    seed=seed,
                    source_data=digests.of_source(source, training.subset) if method.uses_shots else "",
                    tests=training.tests,
                    tests_data=tests_data,
                    **row,
                    **given,
                )


def resolve_recipe(method: str, changes: Mapping[str, Any], source: str, n_shots: int | None) -> dict[str, Any] | None:
    """The recipe with its number of epochs; None for a method that does not learn."""
    if not find_method(method).uses_shots:
        return None
    recipe = recipe_for(method, changes)
    facts = BENCHMARKS.get(source)
    if recipe.epochs is None and facts is not None:
        recipe = replace(recipe, epochs=facts.epochs)
    return recipe.resolve(n_shots).as_dict()


def grid_rows(runs: Iterable[Run]) -> list[GridRow]:
    """The cells that the runs fill, for `grid.json`."""
    rows = []
    for run in runs:
        kind = (run.protocol, run.model.name, run.method, run.variant, run.source, run.shots)
        rows.append(GridRow(*kind, seeds=(run.seed,), tests=run.tests, preset=run.preset))
    return rows
