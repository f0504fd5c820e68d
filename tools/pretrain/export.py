"""Write the trained model as a Hugging Face CLIPModel folder: config, fp16 safetensors, tokenizer, preprocessor."""

import shutil
from pathlib import Path

import torch
from transformers import CLIPImageProcessor

from . import tokenizer as tokenizers
from .networks import IMAGE_SIZE, clip_model


def export(work: Path, target: Path, weights: str = "student.pt") -> int:
    """Write the folder `target` from `work/weights`; returns the number of parameters.

    Raises:
        FileNotFoundError: stage two has not finished.
    """
    values = torch.load(work / weights, map_location="cpu", weights_only=True)
    model = clip_model()
    model.load_state_dict(values)
    model.to(torch.float16).save_pretrained(target)
    shutil.copyfile(work / "tokenizer" / "tokenizer.json", target / "tokenizer.json")
    tokenizers.load(work / "tokenizer").save_pretrained(target)
    CLIPImageProcessor(
        size={"shortest_edge": IMAGE_SIZE},
        crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(target)
    return sum(parameter.numel() for parameter in model.parameters())
