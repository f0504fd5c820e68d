"""How fast images are encoded, in float32 and bfloat16, and how far the features of the two lie apart.

    python -m benchmarks.encoding                    # ViT-B/16 of full size with random weights, and the built-in model

Times are processor time of all threads, medians of repetitions that alternate between the precisions. The difference
is the largest over the images of |bfloat16 - float32| / |float32|, by the length of the feature.
"""

import argparse
import statistics
import time

import torch

from benchmarks.models import random_model
from coopt.features.encode import CPU_CHUNK, encode_batch
from coopt.models import VLM, load_model

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load(name: str, precision: str) -> VLM:
    """The built-in model, or one of `benchmarks.models`."""
    if name == "builtin":
        return load_model("builtin", dtype=precision)
    return random_model(name, torch.device("cpu"), PRECISIONS[precision])


def encode(vlm: VLM, pixels: torch.Tensor) -> torch.Tensor:
    """Features, in the chunks that `encode_dataset` uses."""
    return torch.cat([encode_batch(vlm, part) for part in pixels.split(CPU_CHUNK)])


def measure(name: str, n_images: int, repetitions: int) -> str:
    """One row of the table."""
    models = {precision: load(name, precision) for precision in PRECISIONS}
    size = models["float32"].image_size
    pixels = torch.randn(n_images, 3, size, size, generator=torch.Generator().manual_seed(1))
    features = {precision: encode(vlm, pixels) for precision, vlm in models.items()}  # warms up too
    rates: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(repetitions):
        for precision, vlm in models.items():
            started = time.process_time()
            encode(vlm, pixels)
            rates[precision].append(n_images / (time.process_time() - started))
    exact = features["float32"]
    difference = ((features["bfloat16"] - exact).norm(dim=-1) / exact.norm(dim=-1)).max().item()
    slow, fast = (statistics.median(rates[precision]) for precision in PRECISIONS)
    return f"| {name} | {slow:.3g} | {fast:.3g} | {fast / slow:.1f}x | {difference:.4f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ViT-B/16", "builtin"])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"{torch.backends.cpu.get_cpu_capability()}, {threads} thread(s), PyTorch {torch.__version__}")
    print("| model | float32, images a second | bfloat16, images a second | ratio | largest relative difference |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.models:
        print(measure(name, options.images, options.repetitions), flush=True)


if __name__ == "__main__":
    main()
