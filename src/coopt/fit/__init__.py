"""Fitting: the recipe, the loop, what a batch is, checkpoints."""

from coopt.errors import Interrupted
from coopt.fit.batches import TrainingBatches
from coopt.fit.checkpoint import Checkpoint
from coopt.fit.learn import Learned, learn
from coopt.fit.loop import EpochRecord, fit
from coopt.fit.recipe import (
    Recipe,
    learning_rate,
    make_optimizer,
    paper_epochs,
    recipe_for,
    recipe_value,
    used_settings,
)
from coopt.fit.reporter import Reporter

__all__ = [
    "Checkpoint",
    "EpochRecord",
    "Interrupted",
    "Learned",
    "Recipe",
    "Reporter",
    "TrainingBatches",
    "fit",
    "learn",
    "learning_rate",
    "make_optimizer",
    "paper_epochs",
    "recipe_for",
    "recipe_value",
    "used_settings",
]
