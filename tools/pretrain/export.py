"""Write the trained model as a Hugging Face CLIPModel folder: config, fp16 safetensors, tokenizer, preprocessor."""

from pathlib import Path

import torch

from coopt.files import write_json

from . import tokenizer as tokenizers
from .networks import IMAGE_SIZE, clip_model

# What CLIPImageProcessor reads; written by hand because building one needs torchvision.
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": IMAGE_SIZE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def export(work: Path, target: Path) -> int:
    """Write the folder `target` from `work/named.pt`; returns the number of parameters.

    Raises:
        FileNotFoundError: stage four has not finished.
    """
    values = torch.load(work / "named.pt", map_location="cpu", weights_only=True)
    model = clip_model()
    model.load_state_dict(values)
    model.to(torch.float16).save_pretrained(target)
    tokenizers.load(work / "tokenizer").save_pretrained(target)
    write_json(target / "preprocessor_config.json", PREPROCESSOR)
    return sum(parameter.numel() for parameter in model.parameters())
