"""The golden cases of both variants of Tip-Adapter: a model whose logit scale is the authors' 100, and its images."""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from coopt.methods import Examples, Shots
from coopt.models import VLM
from tests.goldens.golden import golden_cases, golden_tensor, golden_vlm

CASES = golden_cases("tip_adapter")


@dataclass(frozen=True)
class Case:
    meta: dict
    golden: dict[str, np.ndarray]
    vlm: VLM
    train: Examples
    val: Examples
    test: torch.Tensor

    @property
    def shots(self) -> Shots:
        return Shots(self.train, self.val)

    def settings(self) -> dict:
        cfg = self.meta["cfg"]
        return {
            "templates": self.meta["templates"],
            "max_beta": float(cfg["search_scale"][0]),
            "max_alpha": float(cfg["search_scale"][1]),
            "beta_steps": cfg["search_step"][0],
            "alpha_steps": cfg["search_step"][1],
            "n_views": cfg["augment_epoch"],
        }


@torch.no_grad()
def tip_case(name: str) -> Case:
    meta, golden = CASES[name]
    vlm = copy.copy(golden_vlm(meta["model"]))
    vlm.logit_scale = 100.0  # the authors' code does not read the model's
    shots, inputs = meta["shots"], {key: golden_tensor(spec) for key, spec in meta["inputs"].items()}
    views = torch.stack([vlm.encode_image(view) for view in inputs["train_images"]])  # (V, N, E)
    # Plain features that are no view: whoever takes them for keys is found out.
    plain = vlm.encode_image(inputs["train_images"][0].flip(-1))
    labels = torch.arange(len(meta["classnames"])).repeat_interleave(shots)

    def mixed(part: str) -> torch.Tensor:
        base = inputs["train_images"][0][inputs[f"{part}_labels"] * shots]
        return vlm.encode_image(0.3 * inputs[f"{part}_images"] + 1.0 * base)

    val = Examples(mixed("val"), inputs["val_labels"])
    return Case(meta, golden, vlm, Examples(plain, labels, views), val, mixed("test"))
