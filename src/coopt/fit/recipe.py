"""The training recipe: the paper's values by default, every one of them a setting."""

import contextlib
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from coopt.errors import ConfigError, did_you_mean
from coopt.methods import find_method, find_preset, plain

MAX_LR = 1e6
"""Beyond it even one step leaves the range of float32."""
TYPES: dict[Any, str] = {float: "a number", bool: "true or false"}
"""Settings of which only the type may be wrong, and what to say."""
OPTIMIZERS = ("sgd", "adamw", "adam", "radam")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SCHEDULES = ("cosine", "cosine-step", "constant", "step")
STEP_AT, STEP_TO = 0.6, 0.1
"""The schedule "step": the share of the epochs after which the rate falls, and the factor by which it does."""
WARMUPS = ("constant", "linear")


@dataclass(frozen=True)
class Recipe:
    """How a prompt is trained (CoOp, section 4.1 and its released configurations).

    Raises:
        ConfigError: a value is out of its range; the message lists all problems at once.
    """

    epochs: int | None = None
    """Passes over the shots; None takes the paper's: 50 for 1 shot, 100 for 2 and 4, 200 for 8 and 16."""
    batch_size: int = 32
    """Images per step."""
    optimizer: str = "sgd"
    """sgd, adamw, adam or radam (with its authors' decoupled weight decay)."""
    lr: float = 0.002
    """Learning rate after the warm-up."""
    momentum: float = 0.9
    """Momentum of sgd."""
    nesterov: bool = False
    """Nesterov momentum for sgd."""
    weight_decay: float = 5e-4
    """L2 penalty, applied to the prompts too."""
    eps: float = 1e-8
    """Added to the denominator of adamw, adam and radam."""
    schedule: str = "cosine"
    """cosine (changed once per epoch), cosine-step (changed at every step), constant, or step (a tenth of the rate
    after three fifths of the epochs)."""
    warmup_epochs: int = 1
    """First epochs at a small rate; 0 for none."""
    warmup_lr: float = 1e-5
    """Learning rate of the first epoch, and of the whole warm-up where it is constant."""
    warmup: str = "constant"
    """constant, or linear: after the first epoch the rate grows with each epoch of the warm-up."""
    views: int | str = 0
    """Training images as the model sees them: "fresh" draws a new augmentation in every epoch (the paper's way,
    encodes every batch); a number V draws V augmented views per image once and reuses their features; 0 uses the
    un-augmented images."""
    min_crop: float = 0.08
    """Smallest share of an image that an augmentation crops; the largest is the whole image."""
    drop_last: bool = True
    """Leave out an epoch's last batch where it is not full, unless it is the only one."""
    precision: str = "auto"
    """auto (bf16 autocast on CUDA that has it, else fp32), fp32, bf16 or fp16; the prompt itself stays in fp32."""

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            object.__setattr__(self, name, plain(value))
        check_types(vars(self))
        problems = []
        for name in ("batch_size", "epochs"):
            value = getattr(self, name)
            if value is not None and (not _is_int(value) or value < 1):
                problems.append(f"{name} is {value!r}; allowed is a whole number from 1")
        if not _is_int(self.warmup_epochs) or self.warmup_epochs < 0:
            problems.append(f"warmup_epochs is {self.warmup_epochs!r}; allowed is a whole number from 0")
        for name in ("lr", "warmup_lr", "eps"):
            value = getattr(self, name)
            if not 0 < value <= MAX_LR:
                problems.append(f"{name} is {value!r}; allowed is a number above 0, up to {MAX_LR:g}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            problems.append(f"weight_decay is {self.weight_decay!r}; allowed is a number from 0")
        if not 0 < self.min_crop <= 1:
            problems.append(f"min_crop is {self.min_crop!r}; allowed is a number above 0, up to 1")
        if not 0 <= self.momentum < 1:
            problems.append(f"momentum is {self.momentum!r}; allowed is a number from 0, below 1")
        if self.nesterov and (self.momentum == 0 or self.optimizer != "sgd"):
            problems.append("nesterov needs the optimizer sgd with a momentum above 0")
        if self.views != "fresh" and (not _is_int(self.views) or int(self.views) < 0):
            problems.append(f"views is {self.views!r}; allowed is 'fresh' or a whole number from 0")
        kinds = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "warmup": WARMUPS, "precision": PRECISIONS}
        for name, allowed in kinds.items():
            value = getattr(self, name)
            if value not in allowed:
                hint = did_you_mean(str(value), allowed)
                problems.append(f"{name} is {value!r}; allowed is one of {', '.join(allowed)}.{hint}".rstrip("."))
        if problems:
            raise ConfigError("The recipe cannot be used: " + "; ".join(problems) + ".")

    def resolve(self, n_shots: int | None) -> "Recipe":
        """With `epochs` filled in from the number of shots (None: all images, 50 epochs as for ImageNet)."""
        return self if self.epochs is not None else replace(self, epochs=paper_epochs(n_shots))

    def as_dict(self) -> dict[str, Any]:
        """For run folders."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Back from a run folder.

        Raises:
            ConfigError: a key is no setting of the recipe.
        """
        names = [field.name for field in fields(cls)]
        unknown = [key for key in values if key not in names]
        if unknown:
            hints = "".join(did_you_mean(key, names, n=1) for key in unknown)
            raise ConfigError(
                f"The recipe has no setting {' or '.join(map(repr, unknown))}; it has {', '.join(names)}.{hints}"
            )
        # A whole number is a number too: "lr": 1 from JSON or a command line.
        decimals = {field.name for field in fields(cls) if field.type is float}
        given = {name: plain(value) for name, value in values.items()}
        read: dict[str, Any] = {k: float(v) if k in decimals and _is_int(v) else v for k, v in given.items()}
        check_types(read)
        return cls(**read)


def check_types(values: Mapping[str, Any]) -> None:
    """Refuse settings that are no number or no truth value where they must be one.

    Raises:
        ConfigError: naming all of them.
    """
    kinds = {field.name: field.type for field in fields(Recipe) if field.type in TYPES}
    problems = [
        f"{name} is {value!r}; allowed is {TYPES[kinds[name]]}"
        for name, value in values.items()
        if name in kinds and not _is_of(value, kinds[name])
    ]
    if problems:
        raise ConfigError("The recipe cannot be used: " + "; ".join(problems) + ".")


def paper_epochs(n_shots: int | None) -> int:
    """Epochs by shots: 1: 50; 2 to 4: 100; from 5: 200; all images: 50 (CoOp's scripts)."""
    if n_shots is None or n_shots <= 1:
        return 50
    return 100 if n_shots <= 4 else 200


def recipe_for(method: str, values: Mapping[str, Any] | None = None, preset: str | None = None) -> Recipe:
    """A method's recipe: the paper's of CoOp, changed by the method's own, its preset's and then `values`.

    Raises:
        ConfigError: the method or its preset does not exist, a value cannot be used, or the method does not use it.
    """
    check_used(method, values or {})
    own, chosen = find_method(method).recipe, find_preset(method, preset).recipe
    return Recipe.from_dict({**own, **chosen, **(values or {})})


def used_settings(method: str) -> list[str]:
    """The fields of the recipe that a method uses."""
    kind = find_method(method)
    return [field.name for field in fields(Recipe) if (kind.steps and kind.uses_shots) or field.name in kind.recipe]


def check_used(method: str, names: Collection[str]) -> None:
    """Refuse settings of the recipe that a method does not use: a run would say what was never done.

    Raises:
        ConfigError: naming all of them.
    """
    used = used_settings(method)
    unused = [field.name for field in fields(Recipe) if field.name in names and field.name not in used]
    if unused:
        why = "has no training steps" if find_method(method).uses_shots else "learns nothing"
        raise ConfigError(
            f"The method {method!r} {why} and does not use {', '.join(unused)}; leave "
            f"{'it' if len(unused) == 1 else 'them'} out. Of the recipe it uses {' and '.join(used) or 'nothing'}; "
            f"`coopt methods {method}` lists its settings."
        )


def recipe_value(value: Any) -> Any:
    """Text of a --set pair as a number, a truth value or a word; `Recipe` checks the rest."""
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return words[value.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def learning_rate(recipe: Recipe, epoch: int, done: float = 0.0) -> float:
    """The rate during `epoch` (from 0), of which the share `done` is over; only cosine-step looks at the latter.

    Cosine over all E epochs, counted from the end of the W warm-up epochs, so that the last epoch still has a rate
    above 0: ``lr / 2 * (1 + cos(pi * (epoch - W) / E))``. A linear warm-up has `warmup_lr` in its first epoch and then
    ``lr * epoch / W`` (Dassl.pytorch, dassl/optim/lr_scheduler.py).
    """
    assert recipe.epochs is not None, "resolve() the recipe first"
    if epoch < recipe.warmup_epochs:
        grows = recipe.warmup == "linear" and epoch > 0
        return recipe.lr * epoch / recipe.warmup_epochs if grows else recipe.warmup_lr
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "step":
        return recipe.lr * (STEP_TO if epoch >= STEP_AT * recipe.epochs else 1.0)
    place = epoch + (done if recipe.schedule == "cosine-step" else 0.0)
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * (place - recipe.warmup_epochs) / recipe.epochs))


def make_optimizer(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; its rate is set per epoch from `learning_rate`."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
        )
    if recipe.optimizer == "radam":
        return torch.optim.RAdam(
            groups, lr=recipe.lr, weight_decay=recipe.weight_decay, eps=recipe.eps, decoupled_weight_decay=True
        )
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, eps=recipe.eps)


def _is_of(value: object, kind: Any) -> bool:
    return isinstance(value, bool) if kind is bool else isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
