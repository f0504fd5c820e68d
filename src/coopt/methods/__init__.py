"""The methods, one file each, and the table that names them."""

from coopt.methods.cocoop import CoCoOp
from coopt.methods.coop import CoOp
from coopt.methods.ivlp import IVLP
from coopt.methods.kgcoop import KgCoOp
from coopt.methods.linear_probe import LinearProbe
from coopt.methods.maple import MaPLe
from coopt.methods.method import Classifier, FeatureSet, Method, Preset
from coopt.methods.prograd import ProGrad
from coopt.methods.promptsrc import PromptSRC
from coopt.methods.settings import build_method, check_settings, find_preset, method_settings, parse_settings
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
    "Classifier",
    "CoCoOp",
    "CoOp",
    "FeatureSet",
    "KgCoOp",
    "LinearProbe",
    "MaPLe",
    "Method",
    "Preset",
    "ProGrad",
    "PromptSRC",
    "TipAdapter",
    "TipAdapterF",
    "ZeroShot",
    "build_method",
    "check_settings",
    "find_method",
    "find_preset",
    "method_settings",
    "parse_settings",
]
