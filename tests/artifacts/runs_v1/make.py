"""Makes the run folders beside this file, with the code of commit 1e93eb6 (run format 1, before the contract).

    git worktree add /tmp/earlier 1e93eb6
    PYTHONPATH=/tmp/earlier/src:/tmp/earlier OMP_NUM_THREADS=1 python tests/artifacts/runs_v1/make.py

It runs only with that code: the folders stand for runs that users of the earlier version have. Each one is what
`coopt fit shapes --method M --shots 2 --epochs 2 --set ...` writes for the pictures of `tests/pictures.py`.

`logits.json` holds, for each folder, the logits of four test pictures in full precision: "logits" as the earlier
version predicted them (through `classifier.safetensors` where there is one), "method" as the built method gives them.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["COOPT_CACHE"] = "off"

HERE = Path(__file__).resolve().parent
N_CTX, DEPTH = ["n_ctx=2"], ["n_ctx=2", "prompt_depth=2"]
VISION = [*DEPTH, "n_ctx_vision=2", "prompt_depth_vision=2"]
RUNS: dict[str, tuple[str, list[str]]] = {
    "zero-shot": ("zero-shot", []),
    "coop": ("coop", N_CTX),
    "coop-words": ("coop", ["ctx_init=a photo of a"]),
    "coop-class-specific": ("coop", [*N_CTX, "class_specific=true", "position=middle"]),
    "cocoop": ("cocoop", ["n_ctx=2", "ctx_init=none"]),
    "cocoop-words": ("cocoop", ["ctx_init=a photo of a"]),
    "kgcoop": ("kgcoop", ["n_ctx=2", "ctx_init=none"]),
    "kgcoop-words": ("kgcoop", ["ctx_init=a photo of a", "weight=3.0"]),
    "prograd": ("prograd", [*N_CTX, "ctx_init=none"]),
    "tpt": ("tpt", ["n_views=4", "confidence=0.5"]),
    "linear-probe": ("linear-probe", ["C=2.0"]),
    "tip-adapter": ("tip-adapter", ["n_views=2", "alpha_steps=3", "beta_steps=5"]),
    "tip-adapter-f": ("tip-adapter-f", ["n_views=2", "alpha_steps=3", "beta_steps=5"]),
    "vpt": ("vpt", DEPTH),
    "ivlp": ("ivlp", VISION),
    "maple": ("maple", DEPTH),
    "promptsrc": ("promptsrc", [*VISION, "templates=a photo of a {}."]),
}
"""Folder: method and settings."""
PICTURES = ["circle/1.png", "square/0.png", "triangle/2.png", "circle/4.png"]
"""Of the test part, in an order of their own."""


def main() -> None:
    """Write the folders and `logits.json`."""
    from coopt.artifacts import load_run
    from coopt.data import load_dataset
    from coopt.evaluate import dataset_logits
    from coopt.models import load_model
    from tests.pictures import shapes_folder

    vlm = load_model("builtin", device="cpu")
    found = {"pictures": PICTURES, "runs": {}}
    with tempfile.TemporaryDirectory() as work:
        shapes_folder(Path(work) / "shapes")
        for folder, (method, settings) in RUNS.items():
            sets = [part for setting in settings for part in ("--set", setting)]
            command = ["fit", "shapes", "--method", method, "--shots", "2", "--epochs", "2", "--device", "cpu"]
            code = "from coopt.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, *command, *sets, "--out", folder], cwd=work, check=True)
            target = HERE / folder
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Path(work) / folder, target)
            paths = [str(Path(work) / "shapes" / "test" / name) for name in PICTURES]
            images = load_dataset(paths, require_labels=False, make_split=False).whole()
            run = load_run(target)
            seed = run.config["seed"]
            built = run.build(vlm)
            found["runs"][folder] = {
                "logits": dataset_logits(vlm, run.classifier or built, images, seed=seed).logits.tolist(),
                "method": dataset_logits(vlm, built, images, seed=seed).logits.tolist(),
            }
    (HERE / "logits.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
