"""Peak memory of one training step in a process of its own: `python -m benchmarks.peak WAY MODEL CLASSES M CHUNK`."""

import json
import resource
import subprocess
import sys

import torch

from benchmarks.authors import WholeSequences, step_loss
from benchmarks.models import class_names, random_model
from coopt.methods import Batch, CoOp


def measure(way: str, model: str, n_classes: int, n_ctx: int, chunk: int | None = None) -> dict[str, int]:
    """`peak` and, before the step, `loaded`: the largest resident memory in bytes of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.peak", way, model, str(n_classes), str(n_ctx), str(chunk or 0)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def highest() -> int:
    """Largest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """One step of the way that the command line names."""
    way, model, n_classes, n_ctx, chunk = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    vlm = random_model(model, torch.device("cpu"), torch.float32)
    method = CoOp(vlm, class_names(n_classes), n_ctx=n_ctx)
    if chunk:
        method.encoder.chunk = chunk
    labels = torch.arange(32) % n_classes
    loaded = highest()
    if way == "coopt":
        method.loss(Batch(torch.randn(32, vlm.embed_dim), labels)).total.backward()
    else:
        text = WholeSequences(vlm, method.encoder.layout)
        step_loss(vlm, text, method.ctx, torch.randn(32, 3, 224, 224), labels).backward()
    print(json.dumps({"peak": highest(), "loaded": loaded}))


if __name__ == "__main__":
    main()
