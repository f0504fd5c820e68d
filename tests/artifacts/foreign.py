"""Checkpoint files as the trainers of other projects write them (Dassl's save_checkpoint, Tip-Adapter's caches)."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from coopt.models import VLM
from tests.goldens.gold_recipe import clip_weights
from tests.goldens.golden import MODELS, golden_vlm

WHOLE_MODEL = ("maple", "ivlp", "vpt", "promptsrc")
"""Trainers that save the whole model."""


def padded_tokens(vlm: VLM, texts: list[str]) -> Tensor:
    ids = torch.zeros(len(texts), vlm.context_length, dtype=torch.int64)
    for row, text in zip(ids, texts, strict=True):
        tokens = [vlm.tokenizer.bos_id, *vlm.tokenizer.encode(text), vlm.tokenizer.eos_id]
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


def buffers(vlm: VLM, prefix: str, names: list[str], n_ctx: int) -> dict[str, Tensor]:
    """`token_prefix` and `token_suffix`, slices of the embeddings of whole prompts."""
    ids = padded_tokens(vlm, [f"{prefix} {name.replace('_', ' ')}." for name in names])
    embedding = vlm.text.vocabulary[ids]
    return {"token_prefix": embedding[:, :1], "token_suffix": embedding[:, 1 + n_ctx :]}


def frozen(model: str, *, copy_of_images: bool = False) -> dict[str, Tensor]:
    """CLIP's weights by the names that they have in the trainers' models."""
    found = {}
    for name, value in clip_weights(MODELS[model]).items():
        tensor = torch.from_numpy(value.copy())
        if name.startswith("visual."):
            found[f"image_encoder.{name.removeprefix('visual.')}"] = tensor
            if copy_of_images:
                found[f"prompt_learner.ZS_image_encoder.{name.removeprefix('visual.')}"] = tensor
        elif name == "logit_scale":
            found[name] = tensor
        elif name != "token_embedding.weight":
            found[f"text_encoder.{name}"] = tensor
    return found


def state_of(topic: str, meta: dict[str, Any], golden: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The state dict that the authors' trainer has after the steps of a golden case."""
    learned = {name[6:]: torch.from_numpy(value) for name, value in golden.items() if name.startswith("after.")}
    vlm, names = golden_vlm(meta["model"]), meta["classnames"]
    ctx = learned.get("ctx", learned.get("prompt_learner.ctx"))
    n_ctx = 0 if ctx is None else ctx.shape[-2]
    words = meta.get("ctx_init") or meta.get("cfg", {}).get("CTX_INIT")
    words = "a photo of a" if words is True else words and words.replace("_", " ")
    if topic == "prograd" and words:
        prefix = " ".join(["X"] * (n_ctx - len(words.split())) + [words])
    else:
        prefix = words if words and (topic not in WHOLE_MODEL or n_ctx <= 4) else " ".join(["X"] * n_ctx)
    bound = {} if ctx is None else buffers(vlm, prefix, names, n_ctx)
    if topic in WHOLE_MODEL:
        whole = {f"prompt_learner.{name}": tensor for name, tensor in bound.items()}
        return {**learned, **whole, **frozen(meta["model"], copy_of_images=topic == "promptsrc")}
    unused = {}
    if topic == "kgcoop":
        width = vlm.text.width
        unused = {"bias_vectors": torch.randn(1, 512), "meta_net.linear1.weight": torch.randn(7, width)}
    return {**learned, **unused, **bound}


class ConstantWarmupScheduler(torch.optim.lr_scheduler.LRScheduler):
    """Dassl's: its state holds its successor, a scheduler object that holds the optimizer object."""

    def __init__(self, optimizer: Any, successor: Any, warmup_epoch: int, cons_lr: float) -> None:
        self.successor, self.warmup_epoch, self.cons_lr = successor, warmup_epoch, cons_lr
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        return [self.cons_lr for _ in self.base_lrs]


def save_checkpoint(
    path: Path,
    state: dict[str, Tensor],
    *,
    half: bool = False,
    epoch: int = 50,
    val_result: Any = None,
    **torch_save: Any,
) -> Path:
    """What Dassl's save_model writes; the optimizer has taken a step."""
    tensors = OrderedDict(
        (name, tensor.half() if half and tensor.is_floating_point() else tensor.clone())
        for name, tensor in state.items()
    )
    parameter = nn.Parameter(torch.ones(3, 5))
    optimizer = torch.optim.SGD([parameter], lr=0.002, momentum=0.9, weight_decay=5e-4)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50.0)
    scheduler = ConstantWarmupScheduler(optimizer, successor, 1, 1e-5)
    parameter.sum().backward()
    optimizer.step()
    value = {
        "state_dict": tensors,
        "epoch": epoch,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "val_result": val_result,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path, **torch_save)
    return path
