"""Run folders: saving and loading what was learned."""

from coopt.artifacts.card import card as card
from coopt.artifacts.earlier import EarlierRunWarning as EarlierRunWarning
from coopt.artifacts.images import SeenImages as SeenImages
from coopt.artifacts.imports import Imported as Imported
from coopt.artifacts.imports import import_checkpoint as import_checkpoint
from coopt.artifacts.load import load_run as load_run
from coopt.artifacts.place import check_target as check_target
from coopt.artifacts.pretrained import Pretrained as Pretrained
from coopt.artifacts.run_folder import Run as Run
from coopt.artifacts.save import save_run as save_run
from coopt.artifacts.save import training_details as training_details
from coopt.artifacts.share import push_run as push_run
from coopt.artifacts.start import resolve_starts as resolve_starts
