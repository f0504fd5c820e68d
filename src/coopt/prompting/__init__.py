"""Prompts as token sequences: what sits where, and how sequences become class features."""

from coopt.prompting.context import check_size, noise, start_context
from coopt.prompting.dense import encode_dense
from coopt.prompting.encoder import PromptEncoder
from coopt.prompting.layout import PromptLayout, clean_name
from coopt.prompting.templates import TEMPLATES, read_templates, template_features
from coopt.prompting.visual import PromptedImageTower
from coopt.prompting.words import nearest_words

__all__ = [
    "TEMPLATES",
    "PromptEncoder",
    "PromptLayout",
    "PromptedImageTower",
    "check_size",
    "clean_name",
    "encode_dense",
    "nearest_words",
    "noise",
    "read_templates",
    "start_context",
    "template_features",
]
