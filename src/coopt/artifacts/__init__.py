"""Run folders: saving and loading what was learned."""

from coopt.artifacts.card import card
from coopt.artifacts.run_folder import Run, describe_versions, load_run, save_run

__all__ = ["Run", "card", "describe_versions", "load_run", "save_run"]
