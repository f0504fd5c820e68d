"""What one training step of every method costs beside CoOp's: `python -m benchmarks.method_steps [--methods NAME ...]`.

Each method's step and CoOp's alternate in one process, at the same batch and classes, with each method's own settings
and optimizer: loss, backward, step. Image features are given (they are computed once in training), pixels where a
method changes the image tower. Beside it stands what predicting one more image costs. Methods without gradient steps
have the latter alone. Records of methods that are not measured again stay in the file.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.models import class_names, random_model
from benchmarks.timing import alternate, machine, summary, use_processor_time
from coopt.files import write_json
from coopt.fit import make_optimizer, recipe_for
from coopt.methods import METHODS, Batch, Examples, Method, Shots, build_method
from coopt.models import VLM, load_model

MODELS = ("builtin", "ViT-B/16")
SHOTS = 16
RESULTS = Path("benchmarks/results/method_steps.json")


def main(argv: list[str]) -> None:
    """Measure, and write the JSON after each method."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.method_steps", description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4, help="images in a step, the same for all methods")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--clock", choices=["wall", "processor"], default="processor")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(argv)
    if given.clock == "processor":
        use_processor_time()
    device = torch.device("cpu")
    case = {"classes": given.classes, "batch": given.batch, "shots": SHOTS, "clock": given.clock}
    results = {"command": "python -m benchmarks.method_steps", "case": case, "machine": machine(device), "records": []}
    if given.out.is_file():
        before = json.loads(given.out.read_text(encoding="utf-8"))
        if before["case"] == case:
            results["records"] = before["records"]
    for model in given.models:
        vlm = load_model("builtin") if model == "builtin" else random_model(model, device, torch.float32)
        for key in given.methods:
            record = {"model": model, "method": key, **measure(key, vlm, given.classes, given.batch, given.repetitions)}
            others = [r for r in results["records"] if (r["model"], r["method"]) != (model, key)]  # type: ignore
            results["records"] = sorted([*others, record], key=place)
            write_json(given.out, results)
            print(record, file=sys.stderr, flush=True)


def place(record: dict) -> tuple[int, int]:
    """The order of the tables."""
    keys = list(METHODS)
    return MODELS.index(record["model"]), keys.index(record["method"]) if record["method"] in keys else len(keys)


def measure(key: str, vlm: VLM, n_classes: int, batch: int, repetitions: int) -> dict:
    """Sizes, seconds of a step and of predicting one image, and their ratios to CoOp's."""
    method, coop = ready(key, vlm, n_classes), ready("coop", vlm, n_classes)
    record: dict = {"n_parameters": method.n_parameters(), "n_trained": sum(p.numel() for p in trained(method))}
    works = {}
    if trained(method):
        works["step"] = (training(key, method, batch), training("coop", coop, batch))
    # Instances of their own: these keep their class features for good.
    works["predict"] = (predicting(ready(key, vlm, n_classes)), predicting(ready("coop", vlm, n_classes)))
    pixels = torch.randn(1, 3, vlm.image_size, vlm.image_size)
    for name, (own, reference) in works.items():
        both = {"own": own, "coop": reference, "encode": lambda: encode(vlm, pixels)}
        times = alternate(both, repetitions, vlm.device, lambda: None)
        if name == "predict" and method.inputs.test_views:
            # Its views differ, so each goes through the image tower; one was counted with the rest.
            more = method.inputs.test_views - 1
            times["own"] = [a + more * b for a, b in zip(times["own"], times["encode"], strict=True)]
        found, beside = summary(times["own"]), summary(times["coop"])
        record[name] = {"seconds": found, "coop": beside, "ratio": found["median"] / beside["median"]}
    return record


@torch.no_grad()
def encode(vlm: VLM, pixels: torch.Tensor) -> None:
    """One view through the image tower."""
    vlm.encode_image(pixels)


def ready(key: str, vlm: VLM, n_classes: int) -> Method:
    """The method with its default settings, prepared with as many random features as there would be shots."""
    torch.manual_seed(1)
    method = build_method(key, vlm, class_names(n_classes))
    labels = torch.arange(n_classes * SHOTS) % n_classes
    features = torch.randn(len(labels), vlm.embed_dim)
    views = features[None].expand(method.inputs.train_views, -1, -1) if method.inputs.train_views else None
    method.prepare(Shots(Examples(features, labels, views)))
    return method


def trained(method: Method) -> list[torch.nn.Parameter]:
    """What gradient steps change."""
    return [parameter for parameter in method.parameters() if parameter.requires_grad]


def pixels_or_features(method: Method, batch: int) -> torch.Tensor:
    """A training batch as the loop would give it."""
    if method.inputs.kind == "pixels":
        size = method.vlm.image_size
        return torch.randn(batch, 3, size, size)
    return torch.randn(batch, method.vlm.embed_dim)


def training(key: str, method: Method, batch: int) -> Callable[[], None]:
    """One step as the loop takes it."""
    recipe = recipe_for(key)
    optimizer = make_optimizer(method.parameter_groups(recipe), recipe)
    images = Batch(pixels_or_features(method, batch), torch.arange(batch) % len(method.class_names))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        method.gradients(images, lambda loss: loss)
        optimizer.step()

    return step


def predicting(method: Method) -> Callable[[], None]:
    """Logits of one more image, with the class features known where they do not depend on the image."""
    size = method.vlm.image_size
    pixels = torch.randn(1, 3, size, size)
    predictor = method.predictor()  # the pass of the text tower belongs to the data set, not to an image

    def predict() -> None:
        with torch.no_grad():
            images = pixels if method.inputs.kind == "pixels" else method.vlm.encode_image(pixels)
            predictor(images[:, None].expand(-1, method.inputs.test_views, -1) if method.inputs.test_views else images)

    return predict


if __name__ == "__main__":
    main(sys.argv[1:])
