"""What the bench gives each method on each data set: epochs, presets and prompts as the authors' code has them.

The values are written out here, with their source, so that a change of any of them is seen.
"""

import hashlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coopt.bench import ModelChoice, Places, Run, find_protocol, make_runs, read_variants
from coopt.bench.protocols import Asked
from coopt.data import ImageDataset
from coopt.datasets import SUITES, Benchmark
from coopt.datasets.table import BENCHMARKS
from coopt.prompting import TEMPLATES

COOPS = {
    "imagenet": "a photo of a {}.",
    "caltech101": "a photo of a {}.",
    "oxford-pets": "a photo of a {}, a type of pet.",
    "stanford-cars": "a photo of a {}.",
    "flowers102": "a photo of a {}, a type of flower.",
    "food101": "a photo of {}, a type of food.",
    "fgvc-aircraft": "a photo of a {}, a type of aircraft.",
    "sun397": "a photo of a {}.",
    "dtd": "{} texture.",
    "eurosat": "a centered satellite photo of {}.",
    "ucf101": "a photo of a person doing {}.",
}
"""KaiyangZhou/CoOp@ff61507, trainers/zsclip.py."""
PROGRADS = COOPS | {
    "oxford-pets": "a type of pet, a photo of a {}.",
    "flowers102": "a type of flower, a photo of a {}.",
    "fgvc-aircraft": "a type of aircraft, a photo of a {}.",
    "dtd": "a texture of {}.",
    "food101": "a type of food, a photo of {}.",
}
"""BeierZhu/Prompt-align@1b76203, ProGrad.public/trainers/prograd.py."""
OTHERS = {
    **dict.fromkeys(("imagenetv2", "imagenet-sketch", "imagenet-a", "imagenet-r"), "a photo of a {}."),
    **dict.fromkeys(("icons", "icon-names", "emoji-names", "emoji", "unicons", "unicon-names"), "an icon of a {}."),
    **dict.fromkeys(("digits", "mnist"), "a photo of the number {}."),
    **dict.fromkeys(("animals", "animal-emoji"), "a silhouette of a {}."),
    **dict.fromkeys(("textiles", "solar-cells", "solar-grades"), "a photo of a {}."),
    **dict.fromkeys(
        ("morph", "utkface", *(f"adience-{n}" for n in range(5))), "a photo of a person who is {} years old."
    ),
    "historical-color": "a photo taken in the {}.",
    "koniq": "a photo of quality {}.",
    "aadb": "a photo of beauty {}.",
    "digit-values": "a photo of the number {}.",
    "dots": "a picture of {} dots.",
    "icon-counts": "a picture of {} icons.",
    "icon-angles": "an icon turned by {} degrees.",
}
"""Variants of ImageNet (the same file), and the prompts that were written for the offline sets."""
SEVEN = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
]
"""KaiyangZhou/CoOp@ff61507, trainers/imagenet_templates.py, the selected ones."""
TIPS = {
    "imagenet": (7.0, 3.0, 1.17),
    "caltech101": (12.0, 5.0, 3.0),
    "oxford-pets": (7.0, 3.0, 1.17),
    "stanford-cars": (20.0, 10.0, 3.0),
    "flowers102": (50.0, 50.0, 10.0),
    "food101": (10.0, 10.0, 1.17),
    "fgvc-aircraft": (30.0, 30.0, 5.0),
    "sun397": (12.0, 10.0, 1.17),
    "dtd": (13.0, 13.0, 2.0),
    "eurosat": (12.0, 10.0, 2.0),
    "ucf101": (7.0, 3.0, 3.0),
}
"""gaopengcuhk/Tip-Adapter@d0e2d6f, configs/*.yaml: search_scale (beta, alpha) and init_alpha; init_beta is 1."""


def benchmark(name: str) -> Benchmark:
    """Four classes with an image each, under the name of a data set."""
    names = [f"class {label}" for label in range(4)]
    part = ImageDataset([Image.new("RGB", (4, 4))] * 4, np.arange(4), names)
    return Benchmark(name, BENCHMARKS[name].template, names, part, None, part)


ALL = {name: benchmark(name) for name in SUITES["paper"]}


def runs_of(protocol: str, method: str, shots: int = 16, **options: Any) -> dict[str, Run]:
    """The run of each of the paper's data sets."""
    asked = Asked(ALL, list(ALL))
    made = make_runs(
        find_protocol(protocol), asked, read_variants([method]), shots=[shots], n_seeds=1,
        model=ModelChoice("builtin", "f"), places=Places("nowhere"), **options,
    )  # fmt: skip
    return {run.source: run for run in made}


def epochs(protocol: str, method: str, shots: int = 16) -> dict[str, int]:
    return {name: (run.recipe or {})["epochs"] for name, run in runs_of(protocol, method, shots).items()}


def templates(protocol: str, method: str, **options: Any) -> dict[str, Any]:
    runs = runs_of(protocol, method, **options)
    return {name: run.settings_for(name, ALL[name].template)["templates"] for name, run in runs.items()}


def test_the_papers_suite_is_its_eleven() -> None:
    assert list(ALL) == list(COOPS)


def test_the_prompt_of_every_data_set_is_what_it_was() -> None:
    assert {name: facts.template for name, facts in BENCHMARKS.items()} == {**COOPS, **OTHERS}
    assert {name: TEMPLATES[name] for name in COOPS} == {name: [text] for name, text in COOPS.items()}


def test_the_named_lists_are_the_authors() -> None:
    """The sixty are compared by a hash: muzairkhattak/PromptSRC@bb95c77, trainers/imagenet_templates.py."""
    assert TEMPLATES["imagenet-7"] == SEVEN
    sixty = "\n".join(TEMPLATES["imagenet-60"])
    assert (
        hashlib.sha256(sixty.encode()).hexdigest() == "dc3398ed3ffc7c259342582bc0f36d7ac66c4dee17981a37b77b0fc9c23d4f72"
    )


@pytest.mark.parametrize(
    ("protocol", "method", "usual", "on_imagenet"),
    [
        ("base-to-new", "coop", 200, 50),
        ("base-to-new", "prograd", 100, 50),
        ("base-to-new", "cocoop", 10, 10),
        ("base-to-new", "kgcoop", 100, 100),
        ("base-to-new", "maple", 5, 5),
        ("base-to-new", "ivlp", 5, 5),
        ("base-to-new", "vpt", 5, 5),
        ("base-to-new", "promptsrc", 20, 20),
        ("fewshot", "coop", 200, 50),
        ("fewshot", "prograd", 200, 50),
        ("fewshot", "kgcoop", 100, 100),
        ("fewshot", "promptsrc", 50, 50),
        ("cross-dataset", "coop", 50, 50),
        ("cross-dataset", "prograd", 50, 50),
        ("cross-dataset", "maple", 2, 2),
        ("base-to-new", "coop epochs=7", 7, 7),
    ],
)
def test_epochs_of_each_data_set(protocol: str, method: str, usual: int, on_imagenet: int) -> None:
    """CoOp: vit_b16_ep50_ctxv1 on ImageNet; ProGrad: its README, rn50_ep50; the others have one number."""
    expected = dict.fromkeys(ALL, usual) | {"imagenet": on_imagenet}
    assert epochs(protocol, method) == expected


def test_epochs_by_shots_and_of_tip_adapter_f() -> None:
    for shots, usual in ((1, 50), (2, 100), (4, 100), (8, 200), (16, 200)):
        assert epochs("fewshot", "coop", shots) == dict.fromkeys(ALL, usual) | {"imagenet": 50}
    assert epochs("fewshot", "tip-adapter-f") == dict.fromkeys(ALL, 20) | {"eurosat": 100}


@pytest.mark.parametrize("protocol", ["fewshot", "base-to-new"])
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("zero-shot", COOPS),
        ("kgcoop", COOPS | {"dtd": "a photo of a {}, a type of texture."}),
        ("prograd", PROGRADS),
        ("vpt", dict.fromkeys(COOPS, "a photo of a {}.")),
        ("tip-adapter", COOPS | {"imagenet": SEVEN}),
        ("tip-adapter-f", COOPS | {"imagenet": SEVEN}),
        ("promptsrc", dict.fromkeys(COOPS, "imagenet-60")),
    ],
)
def test_prompts_of_each_method_on_each_data_set(protocol: str, method: str, expected: dict[str, Any]) -> None:
    assert templates(protocol, method) == expected
    assert templates(protocol, method, use_presets=False) == expected  # they are no part of a preset


def test_prompts_that_are_asked_for_go_before_the_methods_own() -> None:
    assert templates("fewshot", "vpt templates=own") == COOPS
    assert templates("fewshot", "prograd templates=dtd") == dict.fromkeys(COOPS, ["{} texture."])
    both = templates("fewshot", "prograd templates=own + a sketch of a {}.")
    assert both == {name: [own, "a sketch of a {}."] for name, own in PROGRADS.items()}
    ensemble = templates("zero-shot", "zero-shot templates=imagenet-7 + own")
    assert ensemble == {name: [*SEVEN, own] for name, own in COOPS.items()} | {"imagenet": SEVEN}


def test_another_prompt_on_a_test_set_is_another_run() -> None:
    """ProGrad's words on the data set that is tested are in the digest of the test."""
    runs = {method: runs_of("zero-shot", method)["dtd"] for method in ("zero-shot", "zero-shot templates=a {}.")}
    assert len({run.tests_data[run.tests[0]] for run in runs.values()}) == 2
    digests = {method: runs_of("fewshot", method)["dtd"].tests_data for method in ("prograd", "kgcoop", "tip-adapter")}
    assert len({next(iter(found.values())) for found in digests.values()}) == 3


@pytest.mark.parametrize("method", ["tip-adapter", "tip-adapter-f"])
def test_tip_adapters_search_of_each_data_set(method: str) -> None:
    runs = runs_of("fewshot", method)
    names = ("max_beta", "max_alpha", "start_alpha")
    assert {name: tuple(run.settings[key] for key in names) for name, run in runs.items()} == TIPS
    assert {
        (run.preset, run.settings["start_beta"], run.settings["beta_steps"], run.settings["alpha_steps"])
        for run in runs.values()
    } == {("few-shot", 1.0, 200, 20)}
    plain = runs_of("fewshot", method, use_presets=False)
    assert {tuple(run.settings[key] for key in names) for run in plain.values()} == {(7.0, 3.0, 1.17)}
    given = runs_of("fewshot", f"{method} max_beta=9")
    assert {run.settings["max_beta"] for run in given.values()} == {9.0}


def test_prograds_projection_and_promptsrcs_epoch_weights() -> None:
    """ProGrad: README, 0.8 with 8 and 16 shots on three data sets; PromptSRC: the comment of its few-shot file."""
    three = dict.fromkeys(("flowers102", "dtd", "eurosat"), 0.8)
    for shots in (1, 2, 4, 8, 16):
        found = {name: run.settings["projection"] for name, run in runs_of("fewshot", "prograd", shots).items()}
        assert found == dict.fromkeys(ALL, 1.0) | (three if shots >= 8 else {})
    assert {run.settings["projection"] for run in runs_of("base-to-new", "prograd").values()} == {1.0}
    five = ("stanford-cars", "flowers102", "fgvc-aircraft", "dtd", "eurosat")
    found = {n: (r.settings["gpa_mean"], r.settings["gpa_std"]) for n, r in runs_of("fewshot", "promptsrc").items()}
    assert found == dict.fromkeys(ALL, (30.0, 30.0)) | dict.fromkeys(five, (45.0, 5.0))
    assert {r.settings["gpa_mean"] for r in runs_of("base-to-new", "promptsrc").values()} == {15.0}
