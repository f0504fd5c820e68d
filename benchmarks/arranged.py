"""What weights arranged beforehand for oneDNN would gain: `python -m benchmarks.arranged`.

The frozen products of a 12-block text tower of width 512 (queries, keys and values as one product), forward and
backward, for the number of distinct tokens of 10 and of 100 classes: with the weights as they are (no copy, as in
coopt), transposed copies, and copies in oneDNN's own order.
Processor time of one thread, lowest and median of nine.
"""

from collections.abc import Callable
from functools import partial
from time import process_time

import torch
from torch import Tensor

N_BLOCKS = 12
SHAPES = ((1536, 512), (512, 512), (2048, 512), (512, 2048))  # q k v; out; up; down
ROWS = (60, 465)


def clocked(work: Callable[[], None]) -> str:
    """Lowest and median milliseconds."""
    work()
    times = []
    for _ in range(9):
        start = process_time()
        work()
        times.append(1000 * (process_time() - start))
    times.sort()
    return f"{times[0]:.0f} ms (median {times[4]:.0f})"


def products(inputs: dict[int, Tensor], weights: list[Tensor], widths: list[int]) -> None:
    """Each weight (K, D) with the input of width D, as the tower's blocks come."""
    for weight, width in zip(weights, widths, strict=True):
        torch.ops.mkldnn._linear_pointwise(inputs[width], weight, None, "none", [], "")


@torch.no_grad()
def main() -> None:
    """Print a line per way and number of rows."""
    torch.set_num_threads(1)
    plain = [torch.randn(shape) for _ in range(N_BLOCKS) for shape in SHAPES]
    views = [weight.t() for weight in plain]
    copies = [view.contiguous() for view in views]
    into, out_of = [w.shape[1] for w in plain], [w.shape[0] for w in plain]
    print(f"one more copy of the weights: {sum(w.numel() for w in plain) * 4 / 1e6:.0f} MB")
    for rows in ROWS:
        inputs = {width: torch.randn(rows, width) for width in {*into, *out_of}}
        arrange = torch.ops.mkldnn._reorder_linear_weight
        ways = {
            "forward, as they are": (plain, into),
            "forward, arranged copy": ([arrange(w, rows) for w in plain], into),
            "backward, as they are": (views, out_of),
            "backward, transposed copy": (copies, out_of),
            "backward, arranged copy": ([arrange(w, rows) for w in copies], out_of),
        }
        for name, (weights, widths) in ways.items():
            print(f"{rows} tokens, {name}: {clocked(partial(products, inputs, weights, widths))}")


if __name__ == "__main__":
    main()
