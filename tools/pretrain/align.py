"""Stage three: both towers of the shipped model learn together, on pairs of pictures of the same icon.

The text alone pulls all pictures of numbers to one place; that two pictures of an icon must find each other among
pictures of other icons spreads them out again (Mu et al., SLIP, ECCV 2022; here in the shared space, without a head of
its own). A part of the pictures is coarse, as small pictures that were enlarged are.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import CLIPModel

from . import corpus as corpora
from . import tokenizer as tokenizers
from .augment import Drawn
from .batches import Batch, Batches
from .corpus import Corpus
from .losses import contrastive, twins
from .networks import clip_model, encode_image, encode_text
from .numbers import name_digits
from .sources import SOURCES
from .training import Average, Log, Parts, load_state, parameter_groups, save_state, step_batches


@dataclass(frozen=True)
class AlignRecipe:
    """How stage three is run."""

    steps: int = 1300
    batch: int = 128
    """Pictures; two of each icon."""
    resolution: int = 48
    peak: float = 6e-4
    warmup: int = 100
    weight_decay: float = 0.05
    digit_weight: float = 4.0
    """How much more often icons that show a digit are drawn: they are one in a hundred."""
    coarse: float = 0.3
    """Part of the pictures that is shown as 8 to 20 pixels would show it."""
    twin_weight: float = 0.4
    twin_scale: float = 10.0
    average: float = 0.99
    parts: int = 2
    save_every: int = 50
    seed: int = 3


def coarsen(drawn: Drawn, one_colour: Tensor, probability: float, generator: torch.Generator) -> Drawn:
    """Reduce some pictures to 8 to 20 pixels and enlarge them again; half of those of one colour as negatives too."""
    pixels, size = drawn.pixels, drawn.pixels.shape[-1]
    chosen = torch.rand(len(pixels), generator=generator) < probability
    for row in chosen.nonzero()[:, 0].tolist():
        small = int(torch.randint(8, 21, (1,), generator=generator))
        picture = functional.interpolate(pixels[row : row + 1], small, mode="area")
        picture = functional.interpolate(picture, size, mode="bicubic").clamp(-1, 1)
        if one_colour[row] and torch.rand(1, generator=generator) < 0.5 and picture.mean() > 0:
            picture, drawn.colour[row] = -picture, -1
        pixels[row] = picture[0]
    return drawn


class TwinBatches(Batches):
    """Batches whose second half shows the icons of the first half again, some pictures coarse."""

    def __init__(self, corpus: Corpus, tokenizer, seed: int, coarse: float) -> None:
        super().__init__(corpus, tokenizer, seed)
        self.coarse = coarse

    def draw_icons(self, generator: torch.Generator, size: int) -> Tensor:
        """Half as many icons, each twice."""
        return super().draw_icons(generator, size // 2).repeat(2)

    def draw_pictures(self, icons: Tensor, generator: torch.Generator, resolution: int, device: torch.device) -> Drawn:
        """Freshly varied pictures, some of them coarse."""
        drawn = super().draw_pictures(icons, generator, resolution, device)
        return coarsen(drawn, self.corpus.style[icons] != 0, self.coarse, generator)


def load_corpus(work: Path, digit_weight: float) -> Corpus:
    """The training set in which icons that show a digit are named after it and drawn `digit_weight` times as often."""
    corpus = corpora.load(work / "corpus")
    tags = json.loads((work / "captions" / "tags.json").read_text())
    names: list[tuple[str, str]] = []
    for source in SOURCES:
        with np.load(work / "raster" / f"{source.prefix}.npz") as archive:
            names += [(name, source.style) for name in archive["names"].tolist()]
    before = corpus.tags.clone()
    name_digits(corpus, tags, names, tokenizers.load(work / "tokenizer"))
    corpus.weight[(before != corpus.tags).any(1)] *= digit_weight
    return corpus


def train_step(
    model: CLIPModel, parts: Parts, optimizer: torch.optim.Optimizer, batch: Batch, recipe: AlignRecipe
) -> dict[str, float]:
    """One step of stage three; returns its losses."""

    def look(pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(pixels.device.type, torch.bfloat16):
            return encode_image(model, pixels).float(), encode_text(model, ids).float()

    outputs = parts.run(look, batch.pixels.chunk(parts.count), batch.ids.chunk(parts.count))
    image, text = (torch.cat(found).detach().requires_grad_() for found in zip(*outputs, strict=True))
    seen, said = functional.normalize(image, dim=-1), functional.normalize(text, dim=-1)
    logits = model.logit_scale.exp() * seen @ said.T
    match, twin = contrastive(logits, batch.positives), twins(recipe.twin_scale * seen @ seen.T, batch.positives)
    optimizer.zero_grad(set_to_none=True)
    (match + recipe.twin_weight * twin).backward()
    gradients = zip(image.grad.chunk(parts.count), text.grad.chunk(parts.count), strict=True)
    parts.run(torch.autograd.backward, outputs, list(gradients))
    nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimizer.step()
    found = batch.positives.gather(1, logits.argmax(1)[:, None]).float().mean()
    return {"contrastive": match.item(), "twins": twin.item(), "found": found.item()}


def rate(step: int, recipe: AlignRecipe) -> float:
    """Linear warm-up, then `peak` for a fifth of the steps and a linear fall to zero."""
    return recipe.peak * min(1.0, (step + 1) / recipe.warmup, (recipe.steps - step) / (0.8 * recipe.steps))


def train(work: Path, recipe: AlignRecipe, device: torch.device, workers: int = 1, stop_at: int | None = None) -> Path:
    """Run or resume stage three in `work`; returns the path of the finished (averaged) weights."""
    finished, checkpoint = work / "aligned.pt", work / "aligned-checkpoint.pt"
    if finished.exists():
        return finished
    corpus = load_corpus(work, recipe.digit_weight)
    batches = TwinBatches(corpus, tokenizers.load(work / "tokenizer"), recipe.seed, recipe.coarse)
    model, parts = clip_model(), Parts(recipe.parts)
    model.load_state_dict(torch.load(work / "student.pt", map_location="cpu", weights_only=True))
    model.to(device).train()
    groups = parameter_groups(model, recipe.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=recipe.peak, betas=(0.9, 0.98), fused=True)
    average, first = Average(model, recipe.average), 0
    state = load_state(checkpoint, device)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, first = state["average"], state["step"]
    log = Log(work / "align.jsonl", "align")
    log.write({"step": first, "recipe": asdict(recipe)})

    def make(step: int) -> Batch:
        return batches.batch(step, recipe.batch, recipe.resolution, torch.device("cpu"))

    last = min(recipe.steps, stop_at or recipe.steps)
    for step, batch in enumerate(step_batches(make, first, last, workers), start=first):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, recipe)
        losses = train_step(model, parts, optimizer, batch.to(device), recipe)
        average.update(model, recipe.steps)  # the first steps start from trained weights: no faster average for them
        log.note(step, recipe.batch, **losses)
        if (step + 1) % recipe.save_every == 0 or step + 1 == last:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.values}
            save_state(checkpoint, state | {"step": step + 1})
    if last == recipe.steps:
        save_state(finished, average.values)
    return finished
