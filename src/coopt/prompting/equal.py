"""Classes that a model cannot tell apart, because its tokenizer makes the same prompt of both names.

Names are compared by the token ids of their laid-out prompts: underscores, case, Unicode forms, unknown characters and
cut tokens make the same prompt of names that differ as texts. A list that has the very same name for two classes comes
from the authors of a data set (ImageNet's), who tell the classes apart by their labels; it is allowed here.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from coopt.errors import DataError
from coopt.messages import option
from coopt.models import VLM
from coopt.prompting.names import clean_name

_allowed: ContextVar[bool] = ContextVar("equal_prompts_allowed", default=False)
SHOWN = 5


@contextmanager
def equal_prompts_allowed(allowed: bool = True) -> Iterator[None]:
    """Within, classes may have equal prompts, where `allowed` or allowed before."""
    token = _allowed.set(_allowed.get() or allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


def refuse_equal_prompts(prompts: Sequence[Hashable], class_names: Sequence[str], cut: bool = False) -> None:
    """Refuse two classes with the same prompt, unless that is allowed.

    Args:
        prompts: for each class what is the same for equal prompts only, such as its token ids.
        class_names: their names.
        cut: whether tokens of the names may have been cut off.

    Raises:
        DataError: two names that differ have the same prompt; the message names them.
    """
    if _allowed.get():
        return
    first: dict[Hashable, str] = {}
    pairs = [
        (first[prompt], name)
        for prompt, name in zip(prompts, class_names, strict=True)
        if first.setdefault(prompt, name) != name
    ]
    if not pairs:
        return
    shown = "; ".join(f"{_short(one)!r} and {_short(other)!r}" for one, other in pairs[:SHOWN])
    more = f"; and {len(pairs) - SHOWN} more pairs" if len(pairs) > SHOWN else ""
    why = " (the last tokens of names that are too long are cut)" if cut else ""
    raise DataError(
        f"Classes have the same prompt for this model, and it cannot tell them apart: {shown}{more}. Their names "
        f"become the same tokens{why}. Give them other words with "
        f"{option('--class-names FILE', 'class_names')}, or allow it with "
        f"{option('--allow-equal-prompts', 'allow_equal_prompts=True')}."
    )


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:30]} ... {name[-20:]}"


def check_class_names(vlm: VLM, class_names: Sequence[str]) -> None:
    """Refuse names that are the same tokens, before any prompt is laid out: for methods that need no words, too.

    Raises:
        DataError: as `refuse_equal_prompts`.
    """
    refuse_equal_prompts([tuple(vlm.tokenizer.encode(clean_name(name))) for name in class_names], class_names)
