"""What a method starts from, where that is an earlier run: the shared context that a run folder holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from coopt.artifacts.load import load_run
from coopt.errors import ConfigError, RunError
from coopt.methods import find_method
from coopt.models import VLM
from coopt.prompting import clean_name


def resolve_starts(key: str, settings: Mapping[str, Any], vlm: VLM) -> dict[str, Any]:
    """The settings of a method, with run folders replaced by their context where the method takes vectors."""
    resolved = dict(settings)
    for name, parameter in find_method(key).setting_parameters().items():
        if "Tensor" in str(parameter.annotation) and isinstance(resolved.get(name), str | Path):
            resolved[name] = shared_context(vlm, name, Path(resolved[name]), resolved.get("position", "end"))
    return resolved


def shared_context(vlm: VLM, name: str, folder: Path, position: str) -> Tensor:
    """The context vectors (M, d_t) of a run whose one shared context is all that it learned.

    Raises:
        ConfigError: it cannot be read, belongs to another model or position, or learned something else too.
    """
    try:
        run = load_run(folder)
    except RunError as error:
        raise ConfigError(f"{name} is {str(folder)!r}, which cannot be read as a run folder: {error}") from error
    settings, ctx = run.config["settings"], run.tensors.get("ctx")
    found = (run.config["fingerprint"], settings.get("position", "end"))
    for what, has, needs in zip(
        ("a model of fingerprint", "position"), found, (vlm.fingerprint, position), strict=True
    ):
        if has != needs:
            raise ConfigError(f"{name} {str(folder)!r} was trained with {what} {has!r}; this is {needs!r}.")
    words = vlm.tokenizer.encode(clean_name(settings.get("ctx_init") or ""))
    if (
        set(run.tensors) != {"ctx"}
        or ctx is None
        or len(words) > len(ctx)
        or ctx.ndim != 2
        or ctx.shape[1] != vlm.text.width
    ):
        raise ConfigError(
            f"{name} {str(folder)!r} is a run of {run.config['method']!r} that holds no context which all classes "
            "share and which is the whole prompt; take a run of coop (not class-specific), kgcoop or prograd."
        )
    return ctx.to(vlm.device)
