"""Models that are known by name, for `coopt models` and for nearest-name hints; any other hub id loads too."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from coopt.models.hub import is_cached
from coopt.models.openai_weights import PUBLISHED, cached_path


@dataclass(frozen=True)
class ModelInfo:
    """One line of the list."""

    name: str
    source: Literal["builtin", "openai", "transformers", "open_clip"]
    download_mb: int
    """Megabytes (1e6 bytes) of the weight file, from the number of parameters and their stored precision."""
    image_size: int
    embed_dim: int
    on_this_machine: bool = False


# name: (megabytes, image size, embedding width)
HUB = {
    "openai/clip-vit-base-patch32": (605, 224, 512),
    "openai/clip-vit-base-patch16": (599, 224, 512),
    "openai/clip-vit-large-patch14": (1711, 224, 768),
    "openai/clip-vit-large-patch14-336": (1712, 336, 768),
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": (605, 224, 512),
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": (3945, 224, 1024),
    "google/siglip-base-patch16-224": (813, 224, 768),
    "google/siglip-base-patch16-256": (813, 256, 768),
    "google/siglip-base-patch16-384": (814, 384, 768),
    "google/siglip-base-patch16-512": (815, 512, 768),
    "google/siglip-large-patch16-256": (2609, 256, 1024),
    "google/siglip-large-patch16-384": (2610, 384, 1024),
    "google/siglip-so400m-patch14-384": (3512, 384, 1152),
    "google/siglip2-base-patch16-224": (1501, 224, 768),
    "google/siglip2-base-patch16-256": (1501, 256, 768),
    "google/siglip2-base-patch32-256": (1507, 256, 768),
    "google/siglip2-large-patch16-256": (3526, 256, 1024),
    "google/siglip2-so400m-patch14-384": (4544, 384, 1152),
}

# name: (megabytes, image size, embedding width, the hub repository that open_clip downloads it from)
OPEN_CLIP = {
    "open_clip:ViT-B-32/laion2b_s34b_b79k": (605, 224, 512, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    "open_clip:ViT-B-32/datacomp_xl_s13b_b90k": (605, 224, 512, "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"),
    "open_clip:ViT-B-16/laion2b_s34b_b88k": (599, 224, 512, "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
    "open_clip:ViT-B-16/datacomp_xl_s13b_b90k": (599, 224, 512, "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K"),
    "open_clip:ViT-L-14/datacomp_xl_s13b_b90k": (1711, 224, 768, "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"),
    "open_clip:ViT-H-14/laion2b_s32b_b79k": (3945, 224, 1024, "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
    "open_clip:ViT-B-16-SigLIP/webli": (813, 224, 768, "timm/ViT-B-16-SigLIP"),
}

OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def list_models() -> list[ModelInfo]:
    """Every known name with its facts, and whether its weights lie on this machine."""
    builtin = json.loads((files("coopt.models") / "builtin" / "config.json").read_text(encoding="utf-8"))
    facts = (builtin["vision_config"]["image_size"], builtin["projection_dim"])
    models = [ModelInfo("builtin", "builtin", 0, *facts, on_this_machine=True)]
    for name, published in PUBLISHED.items():
        here = cached_path(name).is_file()
        size = published.download_mb
        models.append(ModelInfo(name, "openai", size, published.image_size, published.embed_dim, here))
    for name, (megabytes, image_size, embed_dim) in HUB.items():
        models.append(ModelInfo(name, "transformers", megabytes, image_size, embed_dim, is_cached(name)))
    for name, (megabytes, image_size, embed_dim, repository) in OPEN_CLIP.items():
        here = is_cached(repository, OPEN_CLIP_FILES)
        models.append(ModelInfo(name, "open_clip", megabytes, image_size, embed_dim, here))
    return models


def known_names() -> list[str]:
    """The names only, without a look at the disk."""
    return ["builtin", *PUBLISHED, *HUB, *OPEN_CLIP]
