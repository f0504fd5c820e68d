"""The one list of methods."""

from coopt.errors import ConfigError, did_you_mean
from coopt.methods.cocoop import CoCoOp
from coopt.methods.coop import CoOp
from coopt.methods.ivlp import IVLP
from coopt.methods.kgcoop import KgCoOp
from coopt.methods.linear_probe import LinearProbe
from coopt.methods.maple import MaPLe
from coopt.methods.method import Method
from coopt.methods.nearest_neighbours import NearestNeighbours
from coopt.methods.ordinal_logistic import OrdinalLogistic
from coopt.methods.ordinalclip import OrdinalCLIP
from coopt.methods.prograd import ProGrad
from coopt.methods.promptsrc import PromptSRC
from coopt.methods.ridge import Ridge
from coopt.methods.tip_adapter import TipAdapter
from coopt.methods.tip_adapter_f import TipAdapterF
from coopt.methods.tpt import TPT
from coopt.methods.vpt import VPT
from coopt.methods.zero_shot import ZeroShot
from coopt.outside import import_class, is_outside

METHODS: dict[str, type[Method]] = {
    "zero-shot": ZeroShot,
    "coop": CoOp,
    "cocoop": CoCoOp,
    "kgcoop": KgCoOp,
    "prograd": ProGrad,
    "tpt": TPT,
    "linear-probe": LinearProbe,
    "tip-adapter": TipAdapter,
    "tip-adapter-f": TipAdapterF,
    "vpt": VPT,
    "ivlp": IVLP,
    "maple": MaPLe,
    "promptsrc": PromptSRC,
    "ordinalclip": OrdinalCLIP,
    "ridge": Ridge,
    "ordinal-logistic": OrdinalLogistic,
    "nearest-neighbours": NearestNeighbours,
}


def find_method(name: str) -> type[Method]:
    """The class of a method's name, or of `module:Class` from outside the package, which is then imported.

    Raises:
        ConfigError: there is no such method.
    """
    if is_outside(name):
        return import_class(name, Method)
    if name not in METHODS:
        raise ConfigError(
            f"There is no method {name!r}; the methods are {', '.join(METHODS)}.{did_you_mean(name, METHODS)} "
            "`coopt methods` describes them."
        )
    return METHODS[name]
