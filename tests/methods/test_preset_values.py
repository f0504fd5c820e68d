"""Recipes and presets as values, with the file that each is read from; a generated page is no test of them."""

from typing import Any

import pytest

from coopt.fit import recipe_for
from coopt.methods import METHODS, check_settings, find_preset

MAPLE = "muzairkhattak/multimodal-prompt-learning@69bce21, configs/trainers/"
SRC = "muzairkhattak/PromptSRC@bb95c77, configs/trainers/PromptSRC/vit_b16_c2_"
TIP = "gaopengcuhk/Tip-Adapter@d0e2d6f, configs/"
DASSL = {
    "optimizer": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4, "schedule": "cosine",
    "warmup_epochs": 1, "warmup_lr": 1e-5, "warmup": "constant", "min_crop": 0.08, "drop_last": True,
}  # fmt: skip
"""Dassl's defaults and the parts that all these files share: cosine, one epoch of constant warm-up at 1e-5."""
PIXELS = {**DASSL, "batch_size": 4, "views": "fresh"}
TIPS = {
    "optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01, "eps": 1e-4, "schedule": "cosine-step",
    "warmup_epochs": 0, "batch_size": 256, "views": 10, "min_crop": 0.5, "drop_last": False, "nesterov": False,
}  # fmt: skip
"""main.py: AdamW(lr, eps=1e-4), weight decay by default of torch, cosine over all steps, RandomResizedCrop from 0.5."""
WORDS = {"ctx_init": "a photo of a"}
DEEP = {"n_ctx": 4, "n_ctx_vision": 4, "text_weight": 25.0, "image_weight": 10.0, **WORDS}
PRESETS: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "maple", "base-to-new", MAPLE + "MaPLe/vit_b16_c2_ep5_batch4_2ctx.yaml",
        {"n_ctx": 2, "prompt_depth": 9, **WORDS}, {"epochs": 5, "lr": 0.0035, **PIXELS},
    ),
    (
        "maple", "cross-dataset", MAPLE + "MaPLe/vit_b16_c2_ep5_batch4_2ctx_cross_datasets.yaml",
        {"n_ctx": 2, "prompt_depth": 3, **WORDS}, {"epochs": 2, "lr": 0.0026, **PIXELS},
    ),
    (
        "ivlp", "base-to-new", MAPLE + "IVLP/vit_b16_c2_ep5_batch4_2+2ctx.yaml",
        {"n_ctx": 2, "n_ctx_vision": 2, "prompt_depth": 12, "prompt_depth_vision": 12, **WORDS},
        {"epochs": 5, "lr": 0.0035, **PIXELS},
    ),
    (
        "ivlp", "language-only", MAPLE + "IVLP/vit_b16_c2_ep5_batch4_4ctx_language_only.yaml",
        {"n_ctx": 4, "n_ctx_vision": 0, "prompt_depth": 12, **WORDS}, {"epochs": 5, "lr": 0.0025, **PIXELS},
    ),
    (
        "vpt", "base-to-new", MAPLE + "VPT/vit_b16_c2_ep5_batch4_4.yaml",
        {"n_ctx": 8, "prompt_depth": 12, "templates": "a photo of a {}."}, {"epochs": 5, "lr": 0.0025, **PIXELS},
    ),
    (
        "promptsrc", "base-to-new", SRC + "ep20_batch4_4+4ctx.yaml",
        {"prompt_depth": 9, "prompt_depth_vision": 9, "gpa_mean": 15.0, "gpa_std": 1.0, **DEEP},
        {"epochs": 20, "lr": 0.0025, **PIXELS},
    ),
    (
        "promptsrc", "cross-dataset", SRC + "ep20_batch4_4+4ctx_cross_datasets.yaml",
        {"prompt_depth": 3, "prompt_depth_vision": 3, "gpa_mean": 6.0, "gpa_std": 10.0, **DEEP},
        {"epochs": 20, "lr": 0.0025, **PIXELS},
    ),
    (
        "promptsrc", "few-shot", SRC + "ep50_batch4_4+4ctx_few_shot.yaml",
        {"prompt_depth": 9, "prompt_depth_vision": 9, "gpa_mean": 30.0, "gpa_std": 30.0, **DEEP},
        {"epochs": 50, "lr": 0.0025, **PIXELS},
    ),
    (
        "promptsrc", "few-shot-specialised", SRC + "ep50_batch4_4+4ctx_few_shot.yaml, its comment",
        {"prompt_depth": 9, "prompt_depth_vision": 9, "gpa_mean": 45.0, "gpa_std": 5.0, **DEEP},
        {"epochs": 50, "lr": 0.0025, **PIXELS},
    ),
]  # fmt: skip
SEARCHES = {
    "imagenet": ("imagenet", 7.0, 3.0, 1.17),
    "caltech101": ("caltech101", 12.0, 5.0, 3.0),
    "oxford-pets": ("oxford_pets", 7.0, 3.0, 1.17),
    "stanford-cars": ("stanford_cars", 20.0, 10.0, 3.0),
    "flowers102": ("oxford_flowers", 50.0, 50.0, 10.0),
    "food101": ("food101", 10.0, 10.0, 1.17),
    "fgvc-aircraft": ("fgvc", 30.0, 30.0, 5.0),
    "sun397": ("sun397", 12.0, 10.0, 1.17),
    "dtd": ("dtd", 13.0, 13.0, 2.0),
    "eurosat": ("eurosat", 12.0, 10.0, 2.0),
    "ucf101": ("ucf101", 7.0, 3.0, 3.0),
}
"""The authors' file, its search_scale (beta, alpha) and its init_alpha."""
for name, (file, max_beta, max_alpha, start_alpha) in SEARCHES.items():
    numbers = {"max_beta": max_beta, "max_alpha": max_alpha, "start_alpha": start_alpha, "start_beta": 1.0}
    settings = {**numbers, "alpha_steps": 20, "beta_steps": 200, "n_views": 10}
    settings["templates"] = "imagenet-7" if name == "imagenet" else name
    for method in ("tip-adapter", "tip-adapter-f"):
        trained = {"epochs": 100 if name == "eurosat" else 20, **TIPS} if method.endswith("f") else {"min_crop": 0.5}
        PRESETS.append((method, name, f"{TIP}{file}.yaml", settings, trained))


@pytest.mark.parametrize(("method", "preset", "file", "settings", "recipe"), PRESETS)
def test_a_preset_has_the_values_of_its_file(
    method: str, preset: str, file: str, settings: dict[str, Any], recipe: dict[str, Any]
) -> None:
    found = check_settings(method, find_preset(method, preset).settings)
    assert {name: found[name] for name in settings} == settings
    made = recipe_for(method, preset=preset).as_dict()
    assert {name: made[name] for name in recipe} == recipe
    assert file.rsplit("/", 1)[-1].split(",")[0] in find_preset(method, preset).source


def test_no_preset_of_these_methods_is_left_out() -> None:
    for method in ("maple", "ivlp", "vpt", "promptsrc", "tip-adapter", "tip-adapter-f"):
        listed = {preset for key, preset, *_ in PRESETS if key == method}
        assert listed == set(METHODS[method].presets) - ({"few-shot"} if method.startswith("tip") else set())


@pytest.mark.parametrize(
    ("method", "settings", "recipe"),
    [
        ("maple", {"n_ctx": 2, "prompt_depth": 9, **WORDS}, {"epochs": 5, "lr": 0.0035, **PIXELS}),
        (
            "ivlp",
            {"n_ctx": 2, "n_ctx_vision": 2, "prompt_depth": 12, "prompt_depth_vision": 12, **WORDS},
            {"epochs": 5, "lr": 0.0035, **PIXELS},
        ),
        ("vpt", {"n_ctx": 8, "prompt_depth": 12}, {"epochs": 5, "lr": 0.0025, **PIXELS}),
        (
            "promptsrc",
            {"prompt_depth": 9, "gpa_mean": 15.0, "gpa_std": 1.0, "kl_mean": "elements", **DEEP},
            {"epochs": 20, "lr": 0.0025, **PIXELS},
        ),
        ("tip-adapter", {"max_beta": 7.0, "max_alpha": 3.0, "start_alpha": 1.17, "n_views": 10}, {"min_crop": 0.5}),
        ("tip-adapter-f", {"max_beta": 7.0, "max_alpha": 3.0, "start_alpha": 1.17}, {"epochs": 20, **TIPS}),
        (
            "coop",
            {"n_ctx": None, "position": "end", "class_specific": False, "ctx_init": None},
            {"epochs": None, **DASSL},
        ),
        ("cocoop", {"n_ctx": None, **WORDS}, {"epochs": 10, "lr": 0.002, **DASSL, "batch_size": 1}),
        ("kgcoop", {"weight": 8.0, **WORDS}, {"epochs": 100, "lr": 0.002, **DASSL, "batch_size": 128}),
        ("prograd", {"projection": 1.0, "temperature": 1.0}, {"epochs": None, "lr": 0.002, **DASSL, "batch_size": 32}),
    ],
)
def test_without_a_preset_a_method_has_its_papers_values(
    method: str, settings: dict[str, Any], recipe: dict[str, Any]
) -> None:
    found, made = check_settings(method, {}), recipe_for(method).as_dict()
    assert {name: found[name] for name in settings} == settings
    assert {name: made[name] for name in recipe} == recipe
