"""How much of `coopt demo` is spent in the two encoders: `python -m benchmarks.demo_time`.

The demo runs as a user runs it, in this process, with clocks around the image tower's batches, the text engine's
forward pass and the backward passes of training (which go through the text tower and little else). What is left is
everything else: making and decoding pictures, the optimizer, the loop, writing files, imports.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


class Clocks:
    """Seconds by name; a call inside another clocked call counts once, for the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.running = False

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a clock around it."""

        def timed(*arguments: Any, **settings: Any) -> Any:
            if self.running:
                return function(*arguments, **settings)
            self.running, start = True, time.perf_counter()
            try:
                return function(*arguments, **settings)
            finally:
                self.running = False
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

        return timed


@contextlib.contextmanager
def clocked(clocks: Clocks) -> Iterator[None]:
    """Clocks around the encoders while inside."""
    import torch

    from coopt.models import VLM
    from coopt.prompting import PromptEncoder

    places: list[tuple[Any, str, str]] = [
        (VLM, "encode_image", "image encoder"),
        (VLM, "encode_text", "text encoder, forward"),
        (PromptEncoder, "__call__", "text encoder, forward"),
        (torch.Tensor, "backward", "text encoder, backward"),
    ]
    before = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in places]
    for owner, attribute, name in places:
        setattr(owner, attribute, clocks.around(name, getattr(owner, attribute)))
    try:
        yield
    finally:
        for owner, attribute, function in before:
            setattr(owner, attribute, function)


def main() -> None:
    """Run the demo once and print where its time went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_time", description=__doc__)
    parser.add_argument("--shots", default="1,2,4,8,16")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    arguments = parser.parse_args()
    clocks = Clocks()
    from coopt.cli.main import app

    with tempfile.TemporaryDirectory() as folder, clocked(clocks), contextlib.redirect_stdout(io.StringIO()):
        os.environ["COOPT_CACHE"] = str(Path(folder) / "cache")  # a first demo finds no features
        command = ["demo", "--out", folder, "--shots", arguments.shots, "--seeds", str(arguments.seeds), "--json"]
        app(command, standalone_mode=False)
    total = time.perf_counter() - STARTED
    parts = dict(sorted(clocks.seconds.items()))
    inside = sum(parts.values())
    result = {"total_seconds": total, "encoder_seconds": parts, "share_outside": (total - inside) / total}
    for name, seconds in parts.items():
        print(f"{name}: {seconds:.1f} s, {100 * seconds / total:.0f}%")
    print(f"all else: {total - inside:.1f} s, {100 * result['share_outside']:.0f}% of {total:.1f} s")
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
