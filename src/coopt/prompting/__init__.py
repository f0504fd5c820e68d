"""Prompts as token sequences: what sits where, and how sequences become class features."""

from coopt.prompting.context import check_size as check_size
from coopt.prompting.context import noise as noise
from coopt.prompting.context import start_context as start_context
from coopt.prompting.dense import encode_dense as encode_dense
from coopt.prompting.encoder import PromptEncoder as PromptEncoder
from coopt.prompting.equal import check_class_names as check_class_names
from coopt.prompting.equal import equal_prompts_allowed as equal_prompts_allowed
from coopt.prompting.layout import PromptLayout as PromptLayout
from coopt.prompting.layout import check_position as check_position
from coopt.prompting.names import clean_name as clean_name
from coopt.prompting.templates import TEMPLATES as TEMPLATES
from coopt.prompting.templates import read_templates as read_templates
from coopt.prompting.templates import template_features as template_features
from coopt.prompting.visual import PromptedImageTower as PromptedImageTower
from coopt.prompting.words import nearest_words as nearest_words
