"""Fitting: the recipe, the loop, what a batch is, checkpoints."""

from coopt.errors import Interrupted as Interrupted
from coopt.fit.batches import TrainingBatches as TrainingBatches
from coopt.fit.checkpoint import Checkpoint as Checkpoint
from coopt.fit.learn import Learned as Learned
from coopt.fit.learn import learn as learn
from coopt.fit.loop import EpochRecord as EpochRecord
from coopt.fit.loop import fit as fit
from coopt.fit.recipe import Recipe as Recipe
from coopt.fit.recipe import learning_rate as learning_rate
from coopt.fit.recipe import make_optimizer as make_optimizer
from coopt.fit.recipe import paper_epochs as paper_epochs
from coopt.fit.recipe import recipe_for as recipe_for
from coopt.fit.recipe import recipe_value as recipe_value
from coopt.fit.recipe import used_settings as used_settings
from coopt.fit.reporter import Reporter as Reporter
