"""The frozen dual encoders: `load_model(name)` gives a `VLM`, whatever the weights' source."""

from coopt.models.block import Block, Layer, Mlp, attention, run_block
from coopt.models.catalogue import list_models
from coopt.models.load import load_model
from coopt.models.preprocess import Preprocess
from coopt.models.towers import ImageTower, TextTower, VisionTransformer
from coopt.models.vlm import VLM

__all__ = [
    "VLM",
    "Block",
    "ImageTower",
    "Layer",
    "Mlp",
    "Preprocess",
    "TextTower",
    "VisionTransformer",
    "attention",
    "list_models",
    "load_model",
    "run_block",
]
