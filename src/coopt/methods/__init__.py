"""The methods, one file each, and the table that names them."""

from coopt.methods.batch import Batch, Examples, Losses, Shots, Training
from coopt.methods.cocoop import CoCoOp
from coopt.methods.coop import CoOp
from coopt.methods.ivlp import IVLP
from coopt.methods.kgcoop import KgCoOp
from coopt.methods.linear_probe import LinearProbe
from coopt.methods.maple import MaPLe
from coopt.methods.method import Method, Preset
from coopt.methods.predictor import (
    Classifier,
    MethodPredictor,
    Predictor,
    cosine_logits,
)
from coopt.methods.prograd import ProGrad
from coopt.methods.promptsrc import PromptSRC
from coopt.methods.settings import (
    build_method,
    check_settings,
    find_preset,
    for_classes,
    jsonable,
    method_name,
    parse_settings,
    plain,
    set_task,
)
from coopt.methods.table import METHODS, find_method
from coopt.methods.tip_adapter import TipAdapter
from coopt.methods.tip_adapter_f import TipAdapterF
from coopt.methods.tpt import TPT
from coopt.methods.vpt import VPT
from coopt.methods.zero_shot import ZeroShot

__all__ = [
    "IVLP",
    "METHODS",
    "TPT",
    "VPT",
    "Batch",
    "Classifier",
    "CoCoOp",
    "CoOp",
    "Examples",
    "KgCoOp",
    "LinearProbe",
    "Losses",
    "MaPLe",
    "Method",
    "MethodPredictor",
    "Predictor",
    "Preset",
    "ProGrad",
    "PromptSRC",
    "Shots",
    "TipAdapter",
    "TipAdapterF",
    "Training",
    "ZeroShot",
    "build_method",
    "check_settings",
    "cosine_logits",
    "find_method",
    "find_preset",
    "for_classes",
    "jsonable",
    "plain",
    "method_name",
    "parse_settings",
    "set_task",
]
