"""Holding a model and class names to what a checkpoint remembers of them: token embeddings and frozen weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from coopt.artifacts.translate import Translated
from coopt.errors import ConfigError, DataError, ModelError
from coopt.models import VLM
from coopt.prompting import clean_name

NEAR = 0.01
"""How far apart equal weights may be, beside the largest of them: half precision, and averages of epochs."""
TRIED = 8
"""Classes that are looked at for one whose name is right, by which the words before all names are known."""
SHOWN = 3
"""Classes that an error shows."""
WEIGHTS = {
    "text_encoder.positional_embedding": lambda vlm: vlm.text.positions,
    "text_encoder.ln_final.weight": lambda vlm: vlm.text.norm.weight,
    "image_encoder.ln_post.weight": lambda vlm: vlm.image.post_norm.weight,
    "image_encoder.conv1.weight": lambda vlm: vlm.image.patch.weight,
}
"""Weights that a checkpoint and any vision transformer hold alike."""
WIDTHS = {
    "ctx": lambda vlm: vlm.text.width,
    "ctx_visual": lambda vlm: vlm.image.width,
    "coupling.0.weight": lambda vlm: vlm.text.width,
    "meta_net.linear1.weight": lambda vlm: vlm.embed_dim,
    "cache.keys": lambda vlm: vlm.embed_dim,
}
"""The last size of a learned tensor, which the model must have."""


@torch.no_grad()
def check_model(vlm: VLM, found: Translated, file: Path) -> None:
    """Refuse a model that is not the checkpoint's.

    Raises:
        ModelError: a width, the start token's embedding, or a weight of the model differs.
    """
    for name, width in WIDTHS.items():
        if name in found.tensors and found.tensors[name].shape[-1] != width(vlm):
            has = found.tensors[name].shape[-1]
            raise ModelError(
                f"'{file}' was trained with another model than {vlm.name!r}: {name} has a width of {has}, the model's "
                f"is {width(vlm)}. Give the model that it was trained with."
            )
    pairs = [(name, tensor, WEIGHTS[name](vlm)) for name, tensor in found.frozen.items() if _is_compared(name, vlm)]
    if "token_prefix" in found.tokens and vlm.tokenizer.bos_id is not None:
        first = vlm.text.vocabulary[vlm.tokenizer.bos_id]
        pairs.append(("the start token's embedding", found.tokens["token_prefix"][0, 0], first))
    for name, saved, own in pairs:
        if saved.shape != own.shape or not bool(_near(saved, own.cpu().float()).all()):
            raise ModelError(
                f"'{file}' was trained with another model than {vlm.name!r}: {name} differs. Give the model that it "
                "was trained with."
            )


def _is_compared(name: str, vlm: VLM) -> bool:
    return name in WEIGHTS and (name.startswith("text_") or vlm.image.kind == "vit")


def _near(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs() <= NEAR * second.abs().max()


@torch.no_grad()
def fixed_words(vlm: VLM, found: Translated, class_names: Sequence[str], file: Path) -> list[int] | None:
    """The tokens that stand between the learned context and the class names; None where the checkpoint has no names.

    Raises:
        DataError: the names that the checkpoint holds are not `class_names`, or are in another order.
    """
    suffix = found.tokens.get("token_suffix")
    if suffix is None:
        return None
    tokenizer, vocabulary = vlm.tokenizer, vlm.text.vocabulary.cpu().float()
    ends = [[*tokenizer.encode(clean_name(name) + "."), tokenizer.eos_id] for name in class_names]
    fixed: list[int] = []
    for row, end in zip(suffix[:TRIED], ends, strict=False):
        ids = nearest_tokens(vlm, row)
        if ids[-len(end) :] == end:
            fixed = ids[: -len(end)]
            break
    wrong = []
    for row, (name, end) in enumerate(zip(class_names, ends, strict=True)):
        ids = [*fixed, *end]
        saved = suffix[row, : len(ids)]
        if len(saved) < len(ids) or not bool(_near(saved, vocabulary[torch.tensor(ids)]).all()):
            wrong.append((row, name))
    if not wrong:
        return fixed
    shown = [
        f"class {row + 1} of the checkpoint is {_text(vlm, nearest_tokens(vlm, suffix[row]), fixed)!r}, "
        f"the list has {name!r}"
        for row, name in wrong[:SHOWN]
    ]
    raise DataError(
        f"{len(wrong)} of {len(class_names)} class names are not those that '{file}' was trained for, or stand at "
        f"another place: {'; '.join(shown)}. Give its class names in its order."
    )


def _text(vlm: VLM, ids: Sequence[int], fixed: Sequence[int]) -> str:
    """A class's tokens as text, without the fixed words before and the full stop after it."""
    ids = list(ids)[len(fixed) :] if list(ids)[: len(fixed)] == list(fixed) else list(ids)
    return vlm.tokenizer.decode(ids).removesuffix(".").strip()


def nearest_tokens(vlm: VLM, rows: Float[Tensor, "L d"]) -> list[int]:
    """The tokens whose embeddings lie nearest, up to the end token."""
    ids = torch.cdist(rows.float(), vlm.text.vocabulary.cpu().float()).argmin(-1).tolist()
    return ids[: ids.index(vlm.tokenizer.eos_id) + 1] if vlm.tokenizer.eos_id in ids else ids


def start_words(vlm: VLM, n_ctx: int, words: Sequence[int], given: Mapping[str, Any], file: Path) -> str | None:
    """`ctx_init` whose tokens after the first `n_ctx` are `words`; None where there are none.

    Which words the learned vectors started from no longer matters, so any stand in their place.

    Raises:
        ConfigError: the given `ctx_init` has other words, or the class name does not stand at the end.
    """
    encode = vlm.tokenizer.encode
    if isinstance(given.get("ctx_init"), str) and encode(clean_name(given["ctx_init"]))[n_ctx:] != list(words):
        raise ConfigError(
            f"ctx_init is {given['ctx_init']!r}, but '{file}' has {vlm.tokenizer.decode(words)!r} between its {n_ctx} "
            "learned vectors and the class names; leave ctx_init out."
        )
    if not words:
        return None
    if given.get("position", "end") != "end":
        raise ConfigError(
            f"position is {given['position']!r}, but '{file}' has the fixed words {vlm.tokenizer.decode(words)!r} "
            "after its context, which only goes with position 'end'."
        )
    for start in (given.get("ctx_init"), "a photo of a", "a " * n_ctx + vlm.tokenizer.decode(words)):
        if isinstance(start, str) and encode(clean_name(start))[n_ctx:] == list(words):
            return start
    raise ConfigError(f"The fixed words {vlm.tokenizer.decode(words)!r} of '{file}' cannot be written as ctx_init.")
