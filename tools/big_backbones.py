"""The main job on backbones of full size with random weights, for speed and memory where no weights are at hand.

    python tools/big_backbones.py DATA [--shots 4] [--epochs 20]

writes a randomly initialised ViT-B/16 in OpenAI's format and in transformers' format, and a SigLIP of base size, to a
temporary folder; each is fitted, evaluated and used for prediction by the command line in a process of its own. The
accuracies mean nothing; that everything runs, how long it takes and how much memory it needs does.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from coopt.models.openai_tokenizer import OpenAITokenizer

COMMAND = [sys.executable, "-c", "from coopt.cli import main; main()"]


def openai_file(path: Path) -> None:
    """A ViT-B/16 state dict in OpenAI's layout, half precision, as published."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return 0.02 * torch.randn(*shape, generator=generator)

    weights = {
        "visual.conv1.weight": random(768, 3, 16, 16),
        "visual.class_embedding": random(768),
        "visual.positional_embedding": random(197, 768),
        "visual.proj": random(768, 512),
        "token_embedding.weight": random(49408, 512),
        "positional_embedding": random(77, 512),
        "text_projection": random(512, 512),
        "logit_scale": torch.tensor(4.6052),
    }
    for prefix, width in (("visual.transformer", 768), ("transformer", 512)):
        for layer in range(12):
            block = f"{prefix}.resblocks.{layer}."
            for name, shape in (
                ("attn.in_proj_weight", (3 * width, width)),
                ("attn.out_proj.weight", (width, width)),
                ("mlp.c_fc.weight", (4 * width, width)),
                ("mlp.c_proj.weight", (width, 4 * width)),
            ):
                weights[block + name] = random(*shape)
                weights[block + name.replace("weight", "bias")] = torch.zeros(shape[0])
            for norm in ("ln_1", "ln_2"):
                weights[f"{block}{norm}.weight"], weights[f"{block}{norm}.bias"] = torch.ones(width), torch.zeros(width)
    for norm, width in (("visual.ln_pre", 768), ("visual.ln_post", 768), ("ln_final", 512)):
        weights[f"{norm}.weight"], weights[f"{norm}.bias"] = torch.ones(width), torch.zeros(width)
    torch.save({name: value.half() if value.ndim else value for name, value in weights.items()}, path)


def clip_folder(folder: Path) -> None:
    """A ViT-B/16 CLIPModel with the original vocabulary."""
    torch.manual_seed(1)
    text = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    config = transformers.CLIPConfig(text_config=text, vision_config={"patch_size": 16})
    transformers.CLIPModel(config).save_pretrained(folder)
    tokenizer = OpenAITokenizer()
    backend = tokenizers.Tokenizer(tokenizer._bpe)
    backend.normalizer = tokenizers.normalizers.Lowercase()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizer._split, tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 49406), ("<|endoftext|>", 49407)],
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    ).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)


def siglip_folder(folder: Path) -> None:
    """A SigLIP of base size (16-pixel patches, 224 pixels, 64 tokens) with a small tokenizer of its layout."""
    torch.manual_seed(1)
    text = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
    transformers.SiglipModel(transformers.SiglipConfig(text_config=text)).save_pretrained(folder)
    words = ["<unk>", "</s>", *"a photo of the zero one two three four five six seven eight nine".split(), "."]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", pad_token="</s>", unk_token="<unk>", padding_side="right"
    ).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 224, "width": 224}).save_pretrained(folder)


def run(*arguments: str) -> tuple[dict, float, float]:
    """The JSON of a command, its seconds, and the largest memory in GiB that any command so far needed."""
    started = time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with {done.returncode}: {done.stderr}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return json.loads(done.stdout), time.perf_counter() - started, peak


def main() -> None:
    """Make the backbones and run the main job on each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set with train/ and test/, such as tools/digits.py writes")
    parser.add_argument("--shots", default="4")
    parser.add_argument("--epochs", default="20")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        openai_file(home / "ViT-B-16.pt")
        clip_folder(home / "clip-vit-base-patch16")
        siglip_folder(home / "siglip-base-patch16-224")
        image = str(next(iter(sorted((Path(options.data) / "test").rglob("*.png")))))
        for model in ("ViT-B-16.pt", "clip-vit-base-patch16", "siglip-base-patch16-224"):
            folder = str(home / "runs" / model)
            fitted, seconds, peak = run(
                *("fit", options.data, "--model", str(home / model), "--shots", options.shots),
                *("--epochs", options.epochs, "--out", folder),
            )
            tested, again, _ = run("evaluate", folder, options.data)
            _, single, _ = run("predict", folder, image)
            assert tested["accuracy"] == fitted["test"]["accuracy"]
            print(
                f"{model}: fit {seconds:.0f} s ({fitted['n_train']} images, {fitted['epochs']} epochs, "
                f"{fitted['test']['n_images']} test images), evaluate {again:.0f} s, predict one image {single:.0f} s, "
                f"peak memory so far {peak:.1f} GiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
