"""Run folders: saving and loading what was learned."""

from coopt.artifacts.card import card
from coopt.artifacts.earlier import EarlierRunWarning
from coopt.artifacts.images import SeenImages, without
from coopt.artifacts.load import load_run
from coopt.artifacts.place import check_target
from coopt.artifacts.run_folder import Run
from coopt.artifacts.save import save_run, training_details
from coopt.artifacts.start import resolve_starts

__all__ = [
    "EarlierRunWarning",
    "Run",
    "SeenImages",
    "card",
    "check_target",
    "load_run",
    "resolve_starts",
    "save_run",
    "training_details",
    "without",
]
