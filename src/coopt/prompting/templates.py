"""Hand-written prompts: named templates, a user's own, and their class features."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from coopt.errors import ConfigError, did_you_mean
from coopt.models import VLM
from coopt.prompting.layout import clean_name

TEMPLATES: dict[str, list[str]] = {
    "photo": ["a photo of a {}."],
    "icon": ["an icon of a {}."],
    # The seven templates that the authors of CLIP selected for ImageNet and that CoOp's ensemble baseline uses.
    "imagenet-7": [
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ],
    # The sixty of the eighty templates that CLIP's authors wrote for ImageNet which PromptSRC takes for all data sets
    # (muzairkhattak/PromptSRC@bb95c77, trainers/imagenet_templates.py).
    "imagenet-60": [
        "a photo of a {}.",
        "a bad photo of a {}.",
        "a photo of many {}.",
        "a sculpture of a {}.",
        "a photo of the hard to see {}.",
        "a low resolution photo of the {}.",
        "a rendering of a {}.",
        "graffiti of a {}.",
        "a bad photo of the {}.",
        "a cropped photo of the {}.",
        "a tattoo of a {}.",
        "the embroidered {}.",
        "a photo of a hard to see {}.",
        "a bright photo of a {}.",
        "a photo of a clean {}.",
        "a photo of a dirty {}.",
        "a dark photo of the {}.",
        "a drawing of a {}.",
        "a photo of my {}.",
        "the plastic {}.",
        "a photo of the cool {}.",
        "a close-up photo of a {}.",
        "a black and white photo of the {}.",
        "a painting of the {}.",
        "a painting of a {}.",
        "a pixelated photo of the {}.",
        "a sculpture of the {}.",
        "a bright photo of the {}.",
        "a cropped photo of a {}.",
        "a plastic {}.",
        "a photo of the dirty {}.",
        "a jpeg corrupted photo of a {}.",
        "a blurry photo of the {}.",
        "a photo of the {}.",
        "a good photo of the {}.",
        "a rendering of the {}.",
        "a {} in a video game.",
        "a photo of one {}.",
        "a doodle of a {}.",
        "a close-up photo of the {}.",
        "the origami {}.",
        "the {} in a video game.",
        "a sketch of a {}.",
        "a doodle of the {}.",
        "a origami {}.",
        "a low resolution photo of a {}.",
        "the toy {}.",
        "a rendition of the {}.",
        "a photo of the clean {}.",
        "a photo of a large {}.",
        "a rendition of a {}.",
        "a photo of a nice {}.",
        "a photo of a weird {}.",
        "a blurry photo of a {}.",
        "a cartoon {}.",
        "art of a {}.",
        "a sketch of the {}.",
        "a embroidered {}.",
        "a pixelated photo of a {}.",
        "itap of the {}.",
    ],
    # One per data set of the CoOp paper (Zhou et al., IJCV 2022, table of templates in the appendix).
    "imagenet": ["a photo of a {}."],
    "caltech101": ["a photo of a {}."],
    "oxford-pets": ["a photo of a {}, a type of pet."],
    "stanford-cars": ["a photo of a {}."],
    "flowers102": ["a photo of a {}, a type of flower."],
    "food101": ["a photo of {}, a type of food."],
    "fgvc-aircraft": ["a photo of a {}, a type of aircraft."],
    "sun397": ["a photo of a {}."],
    "dtd": ["{} texture."],
    "eurosat": ["a centered satellite photo of {}."],
    "ucf101": ["a photo of a person doing {}."],
}
"""Named lists of templates. `{}` stands for the class name."""


def read_templates(templates: str | Path | Sequence[str]) -> list[str]:
    """Templates from a name in `TEMPLATES`, one template, a list, or a file (JSON list, or one per line).

    Raises:
        ConfigError: the name is unknown, the file does not exist or is empty, or a template has no or two `{}`.
    """
    if isinstance(templates, Path) or (isinstance(templates, str) and "{" not in templates):
        if str(templates) in TEMPLATES:
            return list(TEMPLATES[str(templates)])
        chosen = _read_file(Path(templates))
    elif isinstance(templates, str):
        chosen = [templates]
    else:
        chosen = list(templates)
    if not chosen:
        raise ConfigError("The list of templates is empty; give at least one, such as 'a photo of a {}.'.")
    for template in chosen:
        if not isinstance(template, str) or template.count("{}") != 1 or "{" in template.replace("{}", ""):
            raise ConfigError(
                f"The template {template!r} must contain '{{}}' exactly once, where the class name goes, "
                "and no other brace, such as 'a photo of a {}.'."
            )
    return chosen


def _read_file(path: Path) -> list[str]:
    if not path.is_file():
        raise ConfigError(
            f"The templates {str(path)!r} are neither a template with '{{}}', nor a known name, nor a file. "
            f"Known names: {', '.join(TEMPLATES)}." + did_you_mean(str(path), TEMPLATES)
        )
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"The templates file {str(path)!r} is not valid JSON: {error}.") from error
        if not isinstance(value, list):
            raise ConfigError(f"The templates file {str(path)!r} must hold a JSON list of strings.")
        return value
    return [line.strip() for line in text.splitlines() if line.strip()]


@torch.no_grad()
def template_features(
    vlm: VLM,
    class_names: Sequence[str],
    templates: Sequence[str],
    *,
    normalize_each: bool = True,
    truncate: bool = False,
) -> Float[Tensor, "C E"]:
    """Normalised class features of hand-written prompts, in float32.

    Several templates are an ensemble: each template's features are normalised, averaged, and normalised again
    (Radford et al., 2021, section 3.1.4; CoOp's ZeroshotCLIP2), or averaged as they are (`normalize_each=False`).
    `truncate` cuts prompts that are too long.

    Raises:
        DataError: a prompt does not fit the context, and `truncate` is false.
    """
    total = torch.zeros(len(class_names), vlm.embed_dim, device=vlm.device)
    for template in templates:
        prompts = [template.replace("{}", clean_name(name)) for name in class_names]
        features = encode_texts(vlm, prompts, truncate=truncate).float()
        total += F.normalize(features, dim=-1) if normalize_each else features
    return F.normalize(total / len(templates), dim=-1)


def encode_texts(vlm: VLM, texts: Sequence[str], chunk: int = 256, *, truncate: bool = False) -> Float[Tensor, "N E"]:
    """Text features, not normalised, `chunk` texts at a time so that thousands of classes fit in memory."""
    parts = [list(texts[i : i + chunk]) for i in range(0, len(texts), chunk)]
    return torch.cat([vlm.encode_text(vlm.tokenize(part, truncate=truncate)) for part in parts])
