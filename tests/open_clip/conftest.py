"""The open_clip tests need open_clip, and open_clip needs torchvision to import.

A torchvision built for CUDA cannot load its C++ operators beside a CPU build of PyTorch, and then fails to import
because it registers a shape rule for an operator that nobody defined. None of its operators is used here, so the
definition alone is put in its place.
"""

import importlib.util
from pathlib import Path

import pytest
import torch

SPEC = importlib.util.find_spec("open_clip")
# This very folder passes for a package of that name without a file of its own.
MISSING = SPEC is None or SPEC.origin is None
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def define_missing_operators() -> torch.library.Library | None:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    try:
        torch.ops.load_library(str(Path(spec.origin).with_name("_C.so")))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in OPERATORS:
            library.define(operator)
        return library
    return None


# Kept for as long as the tests run: a library that is collected takes its definitions with it.
LIBRARY = None if MISSING else define_missing_operators()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.open_clip)
            if MISSING:
                item.add_marker(pytest.mark.skip(reason="open_clip is not installed (make test-open-clip)"))
