"""Make the built-in model: `python -m tools.pretrain`, or one step of it: `python -m tools.pretrain distil`.

Every step is skipped where its result is there already, and a killed training step goes on from its last checkpoint.
"""

import argparse
import json
from pathlib import Path

import torch

from . import align, captions, corpus, distil, export, fetch, name, rasterise, teacher, tokenizer
from .batches import CATEGORY_TEMPLATES, OBJECT_TEMPLATES

STEPS = ("fetch", "rasterise", "captions", "teacher", "distil", "align", "name", "export")


def make_captions(work: Path) -> None:
    """Tags of every icon, the tokenizer trained on them, and the packed training set."""
    if (work / "corpus" / "words.json").exists():
        return
    captions.build(work / "npm", work / "raster", work / "captions")
    tags = json.loads((work / "captions" / "tags.json").read_text())
    # The templates' words are as common as in training, so that each of them is one token.
    templates = [
        text.replace("{}", "").replace("{colour}", "") for _, text, *_ in OBJECT_TEMPLATES + CATEGORY_TEMPLATES
    ]
    tokenizer.train(tags + templates * 200, work / "tokenizer")
    corpus.pack(work / "raster", work / "captions", work / "corpus")


def main() -> None:
    """Run the steps that are asked for, in order."""
    parser = argparse.ArgumentParser(prog="python -m tools.pretrain", description=__doc__)
    parser.add_argument("steps", nargs="*", default=list(STEPS), help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--work", type=Path, default=Path("work/pretrain"), help="folder of all intermediate files")
    parser.add_argument("--target", type=Path, default=Path("src/coopt/models/builtin"), help="where the model goes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the training process")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw batches ahead")
    arguments = parser.parse_args()
    unknown = [step for step in arguments.steps if step not in STEPS]
    if unknown:
        parser.error(f"no step is called {', '.join(unknown)}; the steps are {', '.join(STEPS)}")
    torch.set_num_threads(arguments.threads)
    work, device = arguments.work, torch.device(arguments.device)
    for step in STEPS:
        if step not in arguments.steps:
            continue
        print(f"-- {step}", flush=True)
        if step == "fetch":
            fetch.fetch_all(work / "npm")
        elif step == "rasterise":
            rasterise.rasterise_all(work / "npm", work / "raster")
        elif step == "captions":
            make_captions(work)
        elif step == "teacher":
            teacher.train(work, teacher.TeacherRecipe(), device, arguments.workers)
        elif step == "distil":
            distil.train(work, distil.DistilRecipe(), device, arguments.workers)
        elif step == "align":
            align.train(work, align.AlignRecipe(), device, arguments.workers)
        elif step == "name":
            name.train(work, name.NameRecipe(), device, arguments.workers)
        elif step == "export":
            count = export.export(work, arguments.target)
            print(f"{count / 1e6:.2f} M parameters in {arguments.target}", flush=True)


if __name__ == "__main__":
    main()
