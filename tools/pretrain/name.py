"""Stage four: a fresh text tower learns to name what the finished image tower sees.

The image tower is frozen, so every icon's views are encoded once and the text tower alone is trained, on large batches
(Zhai et al., LiT, CVPR 2022). It replaces the one of stage one because that one, after so many steps at a high rate,
hardly answers to vectors that are no words, which is what a learned context is. Here word vectors and positions move
slowly from where they began and all but the scale decays, biases too: the tower stays as sensitive as a young one.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPModel

from . import tokenizer as tokenizers
from .align import load_corpus
from .batches import Batches
from .losses import contrastive
from .networks import clip_model, encode_image, encode_text
from .training import Log, Parts, load_state, save_state, step_batches


@dataclass(frozen=True)
class NameRecipe:
    """How stage four is run."""

    steps: int = 3500
    batch: int = 512
    views: int = 2
    """Pictures of every icon."""
    resolution: int = 48
    peak: float = 1e-3
    word_rate: float = 0.15
    """Rate of word vectors and positions, as a part of the others'."""
    warmup: int = 200
    weight_decay: float = 0.1
    """On everything but the logit scale."""
    shipped_scale: float = 15.0
    """The logit scale of the result. The one that is trained fits views that come again and again and grows far beyond
    what new pictures bear; prompts learned under such a scale often stick where they began. Stage three's
    own, 20, did as well on digits and a point worse on Font Awesome: see the model card on what was chosen how."""
    parts: int = 2
    save_every: int = 100
    seed: int = 5


@dataclass
class Views:
    """What the image tower makes of V views of N icons."""

    features: Float[Tensor, "V N E"]  # normalised, float16
    colour: Int[Tensor, "V N"]  # code of the ink's colour; -1 where it has no name


@torch.no_grad()
def encode_views(work: Path, recipe: NameRecipe, device: torch.device, workers: int) -> Views:
    """Views of every icon through the image tower of stage three, kept in `work`."""
    path = work / "views.pt"
    state = load_state(path, torch.device("cpu"))
    if state:
        return Views(state["features"], state["colour"])
    corpus, parts = load_corpus(work, 1.0), Parts(recipe.parts)
    batches = Batches(corpus, tokenizers.load(work / "tokenizer"), recipe.seed)
    model = clip_model()
    model.load_state_dict(torch.load(work / "aligned.pt", map_location="cpu", weights_only=True))
    model.to(device).eval()
    chunks = torch.arange(len(corpus.style)).split(256)

    def make(step: int) -> tuple[Tensor, Tensor]:
        icons = chunks[step % len(chunks)]
        drawn = batches.draw_pictures(icons, batches.generator(step), recipe.resolution, torch.device("cpu"))
        return drawn.pixels, drawn.colour

    def look(pixels: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16):
            return functional.normalize(encode_image(model, pixels).float(), dim=-1).half().cpu()

    features, colours = [], []
    for pixels, colour in step_batches(make, 0, recipe.views * len(chunks), workers):
        features.append(torch.cat(parts.run(look, pixels.to(device).chunk(parts.count))))
        colours.append(colour)
    shape = (recipe.views, len(corpus.style))
    views = Views(torch.cat(features).view(*shape, -1), torch.cat(colours).view(shape))
    save_state(path, {"features": views.features, "colour": views.colour})
    return views


class NamedViews(Batches):
    """Batches of encoded views instead of pictures."""

    def named(self, step: int, size: int, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Image features (B, E), caption ids (B, L), and which caption is true of which image (B, B)."""
        generator = self.generator(step)
        icons = self.draw_icons(generator, size)
        view = torch.randint(len(views.features), (size,), generator=generator)
        style, colour = self.corpus.style[icons], views.colour[view, icons]
        tags, is_category = self.draw_tags(icons, generator)
        wordings = self.draw_wordings(is_category, style, colour, generator)
        positives = self.positives(icons, tags, wordings, style, colour)
        return views.features[view, icons].float(), self.caption_ids(tags, wordings), positives


def new_text_tower(work: Path, seed: int) -> CLIPModel:
    """The aligned model with a fresh text tower and the scale that CLIP begins with; only these two learn."""
    torch.manual_seed(seed)
    model = clip_model()
    aligned = torch.load(work / "aligned.pt", map_location="cpu", weights_only=True)
    kept = {name: value for name, value in aligned.items() if name.startswith(("vision_model", "visual_projection"))}
    model.load_state_dict(kept, strict=False)
    model.vision_model.requires_grad_(False)
    model.visual_projection.requires_grad_(False)
    model.logit_scale.data.fill_(math.log(1 / 0.07))
    return model


def train_step(
    model: CLIPModel,
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    seen: Float[Tensor, "B E"],
    ids: Int[Tensor, "B L"],
    positives: Tensor,
) -> dict[str, float]:
    """One step of stage four; returns its losses."""

    def read(ids: Tensor) -> Tensor:
        with torch.autocast(ids.device.type, torch.bfloat16):
            return encode_text(model, ids).float()

    outputs = parts.run(read, ids.chunk(parts.count))
    text = torch.cat(outputs).detach().requires_grad_()
    scale = model.logit_scale.exp()
    loss = contrastive(scale * seen @ functional.normalize(text, dim=-1).T, positives)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parts.run(torch.autograd.backward, outputs, text.grad.chunk(parts.count))
    nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 2.0)
    optimizer.step()
    return {"contrastive": loss.item(), "scale": scale.item()}


def rate(step: int, recipe: NameRecipe) -> float:
    """Linear warm-up and a cosine to zero."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    return recipe.peak * warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


def train(work: Path, recipe: NameRecipe, device: torch.device, workers: int = 1, stop_at: int | None = None) -> Path:
    """Run or resume stage four in `work`; returns the path of the finished weights."""
    finished, checkpoint = work / "named.pt", work / "named-checkpoint.pt"
    if finished.exists():
        return finished
    views = encode_views(work, recipe, device, workers)
    batches = NamedViews(load_corpus(work, 1.0), tokenizers.load(work / "tokenizer"), recipe.seed)
    model, parts = new_text_tower(work, recipe.seed).to(device).train(), Parts(recipe.parts)
    learned = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    words = [parameter for name, parameter in learned.items() if "embedding" in name]
    others = [p for name, p in learned.items() if "embedding" not in name and name != "logit_scale"]
    groups = [
        {"params": others, "weight_decay": recipe.weight_decay, "part": 1.0},
        {"params": words, "weight_decay": recipe.weight_decay, "part": recipe.word_rate},
        {"params": [model.logit_scale], "weight_decay": 0.0, "part": 1.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.peak, betas=(0.9, 0.98), fused=True)
    first = 0
    state = load_state(checkpoint, device)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    log = Log(work / "name.jsonl", "name")
    log.write({"step": first, "recipe": asdict(recipe)})

    def make(step: int) -> tuple[Tensor, Tensor, Tensor]:
        return batches.named(step, recipe.batch, views)

    last = min(recipe.steps, stop_at or recipe.steps)
    for step, (seen, ids, positives) in enumerate(step_batches(make, first, last, workers), start=first):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, recipe) * group["part"]
        losses = train_step(model, parts, optimizer, seen.to(device), ids.to(device), positives.to(device))
        log.note(step, recipe.batch, **losses)
        if (step + 1) % recipe.save_every == 0 or step + 1 == last:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(checkpoint, state | {"step": step + 1})
    if last == recipe.steps:
        save_state(finished, model.state_dict() | {"logit_scale": torch.tensor(math.log(recipe.shipped_scale))})
    return finished
