"""The frozen dual encoders: `load_model(name)` gives a `VLM`, whatever the weights' source."""

from coopt.models.catalogue import ModelInfo, list_models
from coopt.models.load import load_model
from coopt.models.preprocess import Preprocess
from coopt.models.tokens import Tokenizer
from coopt.models.vlm import VLM, Block, ImageTower, Layer, Mlp, TextTower

__all__ = [
    "VLM",
    "Block",
    "ImageTower",
    "Layer",
    "Mlp",
    "ModelInfo",
    "Preprocess",
    "TextTower",
    "Tokenizer",
    "list_models",
    "load_model",
]
