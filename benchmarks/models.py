"""Full-size CLIP models with random weights: how fast they are does not depend on what they know."""

import random
import re

import torch
import transformers

from coopt.models import VLM
from coopt.models.hf_source import open_module
from coopt.models.hf_towers import hf_text_tower
from coopt.models.openai_source import ResNetCLIP
from coopt.models.openai_tokenizer import openai_tokenizer
from coopt.models.preprocess import Preprocess
from coopt.models.resnet import ModifiedResNet, open_resnet

PATCH_SIZES = {"ViT-B/32": 32, "ViT-B/16": 16}
MODELS = [*PATCH_SIZES, "RN50"]


def random_model(name: str, device: torch.device, dtype: torch.dtype) -> VLM:
    """A model of OpenAI's shape `name`, one of `MODELS`."""
    torch.manual_seed(0)
    if name == "RN50":
        text_model = transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(projection_dim=1024))
        visual = ModifiedResNet([3, 4, 6, 3], 64, 224, 1024, 32)
        for parameter in visual.parameters():  # layers made without values
            torch.nn.init.normal_(parameter, std=0.02)
        module = ResNetCLIP(visual, text_model, torch.tensor(4.6))
        encode_image, encode_text = module.visual, module.encode_text
        text = hf_text_tower(text_model.text_model, text_model.text_projection)
        image, embed_dim = open_resnet(visual, name), 1024
    else:
        vision = {"patch_size": PATCH_SIZES[name]}
        module = transformers.CLIPModel(transformers.CLIPConfig(vision_config=vision)).eval()
        encode_image, encode_text, text, image = open_module(module, name)
        embed_dim = 512
    return VLM(
        name=name,
        source="random",
        revision=None,
        fingerprint=f"random {name}",
        module=module,
        encode_image=encode_image,
        encode_text=encode_text,
        tokenizer=openai_tokenizer(),
        preprocess=Preprocess(size=224),
        text=text,
        image=image,
        embed_dim=embed_dim,
        device=device,
        dtype=dtype,
    )


def class_names(n_classes: int) -> list[str]:
    """Names of 1, 2, 3, 4, 1, ... random words of one token each, 2.5 on average; all different.

    Random words share almost no beginnings, so that the figures owe nothing to names that begin alike.
    """
    tokenizer = openai_tokenizer()
    words = [tokenizer.decode([i]).strip() for i in range(1000, 30000)]
    plain = [word for word in words if re.fullmatch(r"[a-z]{4,9}", word) and len(tokenizer.encode(word)) == 1]
    drawn = random.Random(0)
    names: dict[str, None] = {}
    while len(names) < n_classes:
        names[" ".join(drawn.sample(plain, 1 + len(names) % 4))] = None
    return list(names)
