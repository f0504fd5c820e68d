"""Prompts as token sequences: what sits where, and how sequences become class features."""

from coopt.prompting.dense import encode_dense, run_blocks
from coopt.prompting.encoder import PromptEncoder
from coopt.prompting.layout import POSITIONS, PromptLayout
from coopt.prompting.templates import TEMPLATES, read_templates, template_features
from coopt.prompting.words import NearestWord, nearest_words

__all__ = [
    "POSITIONS",
    "TEMPLATES",
    "NearestWord",
    "PromptEncoder",
    "PromptLayout",
    "encode_dense",
    "nearest_words",
    "read_templates",
    "run_blocks",
    "template_features",
]
