"""The version of coopt, read by the build and written into every run folder."""

__version__ = "0.1.0"
