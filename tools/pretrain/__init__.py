"""Pretraining of the built-in model: a small CLIP trained on openly licensed icon and emoji sets."""
