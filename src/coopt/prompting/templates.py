"""Hand-written prompts: named templates, a user's own, and their class features."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from coopt.data.text import parse_json, read_text, text_lines
from coopt.errors import ConfigError, DataError, did_you_mean
from coopt.models import VLM
from coopt.prompting.equal import refuse_equal_prompts
from coopt.prompting.names import clean_name

CHUNK = 256
"""Texts that go through the tower together, so that thousands of classes fit in memory."""
TEMPLATES: dict[str, list[str]] = json.loads(Path(__file__).with_name("templates.json").read_text(encoding="utf-8"))
"""Named lists of templates. `{}` stands for the class name.

"imagenet-7" are the templates that the authors of CLIP selected for ImageNet and that CoOp's ensemble baseline uses.
"imagenet-60" are the sixty of their eighty that PromptSRC takes for all data sets (muzairkhattak/PromptSRC@bb95c77,
trainers/imagenet_templates.py). The names of data sets have the templates of CoOp's paper (Zhou et al., IJCV 2022,
appendix).
"""


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
    what = f"The templates file {str(path)!r}"
    try:
        text = read_text(path, what)
        value = parse_json(text, what) if path.suffix.lower() == ".json" else text_lines(text)
    except DataError as error:
        raise ConfigError(str(error)) from error
    if not isinstance(value, list):
        raise ConfigError(f"{what} must hold a JSON list of strings.")
    return value


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
        DataError: a prompt does not fit the context and `truncate` is false, or two names have the same prompts.
    """
    by_class: list[tuple[bytes, ...]] = [()] * len(class_names)
    total = torch.zeros(len(class_names), vlm.embed_dim, device=vlm.device)
    for template in templates:
        prompts = [template.replace("{}", clean_name(name)) for name in class_names]
        parts = [prompts[i : i + CHUNK] for i in range(0, len(prompts), CHUNK)]
        ids = [vlm.tokenize(part, truncate=truncate) for part in parts]
        by_class = [(*found, _digest(row)) for found, row in zip(by_class, torch.cat(ids), strict=True)]
        features = torch.cat([vlm.encode_text(part) for part in ids]).float()
        total += F.normalize(features, dim=-1) if normalize_each else features
    refuse_equal_prompts(by_class, class_names, truncate)
    return F.normalize(total / len(templates), dim=-1)


def _digest(ids: Int[Tensor, " L"]) -> bytes:
    return hashlib.blake2b(ids.cpu().numpy().tobytes(), digest_size=16).digest()
