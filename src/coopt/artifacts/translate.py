"""What the tensors of another project's checkpoint are here: which method, which settings, which of its parameters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from coopt.artifacts.checkpoint import Checkpoint
from coopt.errors import ConfigError, ModelError, did_you_mean

IMPORTED = ("coop", "cocoop", "kgcoop", "prograd", "vpt", "ivlp", "maple", "promptsrc", "tip-adapter", "tip-adapter-f")
"""The methods whose authors' checkpoints are read."""
SAME_NAMES = {"coop": ("prograd", "kgcoop"), "ivlp": ("promptsrc",), "promptsrc": ("ivlp",)}
"""Methods of which a checkpoint may also be one: their learned tensors have the same names."""
CLASS_BOUND = ("token_prefix", "token_suffix", "token_midfix")
"""Embeddings of the training classes' words: buffers that a checkpoint holds beside what was learned."""
BLOCK = (
    r"transformer\.resblocks\.\d+\.(ln_[12]\.(weight|bias)|attn\.in_proj_(weight|bias)|attn\.out_proj\.(weight|bias)"
)
BLOCK += r"|mlp\.c_(fc|proj)\.(weight|bias))"
FROZEN = re.compile(
    rf"logit_scale|text_encoder\.({BLOCK}|positional_embedding|ln_final\.(weight|bias)|text_projection)"
    rf"|(ZS_)?image_encoder\.({BLOCK}|class_embedding|positional_embedding|proj|conv1\.weight|ln_(pre|post)\.(weight|bias)"
    r"|conv[123]\.weight|(layer\d\.\d+\.)?(conv\d|bn\d|downsample\.\d)\.\w+|attnpool\.[\w.]+)"
)
"""Weights of CLIP itself, which trainers that change the image tower save too."""
DEEP = re.compile(r"(image|text)_encoder\.transformer\.resblocks\.(\d+)\.VPT_shallow")
META_NET = [f"meta_net.linear{number}.{part}" for number in (1, 2) for part in ("weight", "bias")]
POSITION = "where the class name stood in the prompt: end (the usual one), middle or front"
TEMPLATES = "the hand-written prompt, such as 'a photo of a {}.'"
CTX_INIT = "the words that the prompt started from, such as 'a photo of a', or none"


@dataclass
class Translated:
    """A checkpoint in the words of a method."""

    method: str
    tensors: dict[str, Tensor]
    """By the method's parameter names."""
    settings: dict[str, Any]
    """What the tensors say."""
    asked: dict[str, str] = field(default_factory=dict)
    """Settings that they do not say, with what each means."""
    n_classes: int | None = None
    tokens: Mapping[str, Tensor] = field(default_factory=dict)
    """Embeddings of the start token (C, 1, d_t) and of what follows the context (C, L - 1 - M, d_t)."""
    frozen: Mapping[str, Tensor] = field(default_factory=dict)
    """Weights of the model, by OpenAI's names inside `image_encoder.` and `text_encoder.`."""
    left_out: Sequence[str] = ()
    """Names of tensors that play no part in prediction."""


def translate(checkpoint: Checkpoint, method: str | None = None) -> Translated:
    """Find the method of a checkpoint, or take `method` where it can be that one.

    Raises:
        ConfigError: `method` is not one that is imported, or not one that the tensors can be of.
        ModelError: the tensors are of none of the methods.
    """
    if method is not None and method not in IMPORTED:
        raise ConfigError(
            f"method is {method!r}; checkpoints of {', '.join(IMPORTED)} are imported.{did_you_mean(method, IMPORTED)}"
        )
    named = {name.removeprefix("prompt_learner."): tensor for name, tensor in checkpoint.tensors.items()}
    if "values" in named and {"keys", "trained_keys"} & set(named):
        found = _cache(named)
    else:
        tokens = {name: named[name] for name in CLASS_BOUND if name in named}
        frozen = {name: tensor for name, tensor in named.items() if FROZEN.fullmatch(name)}
        learned = {name: tensor for name, tensor in named.items() if name not in tokens and name not in frozen}
        found = _prompts(learned, frozen, checkpoint)
        found.tokens, found.frozen = tokens, frozen
        misshapen = [name for name, tensor in tokens.items() if tensor.ndim != 3 or 0 in tensor.shape]
        if misshapen or len({len(tensor) for tensor in tokens.values()}) > 1:
            shapes = {name: tuple(tensor.shape) for name, tensor in tokens.items()}
            raise ModelError(f"'{checkpoint.file}' is damaged: its token embeddings have the shapes {shapes}.")
        if "token_prefix" in tokens:
            found.n_classes = len(tokens["token_prefix"])
    return found if method in (None, found.method) else _as_method(found, str(method), checkpoint)


def _as_method(found: Translated, method: str, checkpoint: Checkpoint) -> Translated:
    fits = SAME_NAMES.get(found.method, ())
    if method not in fits or (method != "coop" and found.settings.get("class_specific")):
        also = f" or {' or '.join(fits)}" if fits and not found.settings.get("class_specific") else ""
        raise ConfigError(
            f"method is {method!r}, but '{checkpoint.file}' holds the tensors of {found.method}{also}; leave method "
            "out, or give the one that it was trained with."
        )
    found.method = method
    found.settings.pop("class_specific", None)
    if method == "kgcoop":
        found.asked.pop("position", None)
    return found


def _prompts(learned: Mapping[str, Tensor], frozen: Mapping[str, Tensor], checkpoint: Checkpoint) -> Translated:
    names = set(learned)
    deep = {name for name in names if DEEP.fullmatch(name)}
    ctx = learned.get("ctx")
    if ctx is not None and (ctx.ndim not in (2, 3) or 0 in ctx.shape):
        raise ModelError(f"'{checkpoint.file}': its context has the shape {tuple(ctx.shape)}; needed is (M, width).")
    if names == {"ctx"} and not frozen:
        return _context(learned)
    if names == {"ctx", *META_NET} and ctx is not None and ctx.ndim == 2:
        tensors = {name: learned[name] for name in ("ctx", *META_NET)}
        return Translated("cocoop", tensors, {"n_ctx": len(learned["ctx"])})
    if {"ctx", "bias_vectors"} <= names and ctx is not None and ctx.ndim == 2:
        unused = sorted(names - {"ctx"})
        if all(re.match(r"bias_vectors$|meta_net\.|adapter\.", name) for name in unused):
            return Translated("kgcoop", {"ctx": ctx}, {"n_ctx": len(ctx)}, left_out=unused)
    if ctx is not None and ctx.ndim == 2 and {"proj.weight", "proj.bias"} <= names:
        found = _maple(learned)
        if found is not None:
            return found
    others = names - deep - {"ctx", "image_encoder.VPT"}
    if not others and frozen and (ctx is None or ctx.ndim == 2) and (ctx is not None or "image_encoder.VPT" in names):
        return _both_towers(learned, any(name.startswith("ZS_") for name in frozen), checkpoint)
    if not names:
        raise ModelError(f"'{checkpoint.file}' holds weights of a model and nothing that was learned with it.")
    unknown = sorted(others or names)
    raise ModelError(
        f"'{checkpoint.file}' is not a checkpoint of {', '.join(IMPORTED)}: of its {len(checkpoint.tensors)} tensors "
        f"these are not known, or do not go together: {', '.join(unknown[:5])}{', ...' * (len(unknown) > 5)}."
    )


def _context(learned: Mapping[str, Tensor]) -> Translated:
    ctx = learned["ctx"]
    settings = {"n_ctx": ctx.shape[-2], "class_specific": ctx.ndim == 3}
    found = Translated("coop", {"ctx": ctx}, settings, {"position": POSITION})
    found.n_classes = len(ctx) if ctx.ndim == 3 else None
    return found


def _maple(learned: Mapping[str, Tensor]) -> Translated | None:
    """None where the tensors are not those of MaPLe."""
    depth = 1 + sum(name.startswith("compound_prompts_text.") for name in learned)
    names = {"ctx": "ctx", "proj.weight": "coupling.0.weight", "proj.bias": "coupling.0.bias"}
    for layer in range(depth - 1):
        for part in ("weight", "bias"):
            names[f"compound_prompt_projections.{layer}.{part}"] = f"coupling.{layer + 1}.{part}"
    deep = [f"compound_prompts_text.{layer}" for layer in range(depth - 1)]
    if set(learned) != {*names, *deep}:
        return None
    tensors = {ours: learned[theirs] for theirs, ours in names.items()}
    if deep:
        tensors["deep"] = torch.stack([learned[name] for name in deep])
    settings = {"n_ctx": len(learned["ctx"]), "prompt_depth": depth}
    return Translated("maple", tensors, settings, {"ctx_init": CTX_INIT})


def _both_towers(learned: Mapping[str, Tensor], has_frozen_copy: bool, checkpoint: Checkpoint) -> Translated:
    """VPT, IVLP and PromptSRC, which differ in what is there."""
    tensors, depths = {}, {}
    starts = {"text": "ctx", "image": "image_encoder.VPT"}
    for tower, ours, ours_deep in (("text", "ctx", "deep"), ("image", "ctx_visual", "deep_visual")):
        first = learned.get(starts[tower])
        blocks = sorted(int(m[2]) for name in learned if (m := DEEP.fullmatch(name)) and m[1] == tower)
        if blocks != list(range(1, len(blocks) + 1)) or (first is None and blocks):
            raise ModelError(
                f"'{checkpoint.file}' has prompts of the {tower} tower in the blocks {blocks} after the first; "
                "needed are all blocks from 1 on, and those of the first."
            )
        depths[tower] = 0 if first is None or len(first) == 0 else 1 + len(blocks)
        if first is None or len(first) == 0:
            continue
        tensors[ours] = first
        if blocks:
            name = "{}_encoder.transformer.resblocks.{}.VPT_shallow"
            tensors[ours_deep] = torch.stack([learned[name.format(tower, block)] for block in blocks])
    if "ctx" not in tensors:
        settings = {"n_ctx": len(tensors["ctx_visual"]), "prompt_depth": depths["image"]}
        return Translated("vpt", tensors, {**settings, "templates": "a photo of a {}."})
    settings = {
        "n_ctx": len(tensors["ctx"]),
        "n_ctx_vision": len(tensors.get("ctx_visual", ())),
        "prompt_depth": depths["text"],
        "prompt_depth_vision": depths["image"],
    }
    method = "promptsrc" if has_frozen_copy else "ivlp"
    return Translated(method, tensors, settings, {"ctx_init": CTX_INIT})


def _cache(named: Mapping[str, Tensor]) -> Translated:
    trained = "trained_keys" in named
    keys, values = named["trained_keys" if trained else "keys"], named["values"]
    tensors = {"cache.keys": keys, "cache.labels": values.argmax(1)}
    asked = {
        "alpha": "how much the cache counts, the number that the authors' search printed",
        "beta": "how sharp the cache is, likewise",
        "templates": TEMPLATES,
    }
    return Translated("tip-adapter-f" if trained else "tip-adapter", tensors, {}, asked, values.shape[1])
