"""Stage two: the shipped vision transformer learns to see as the teacher does, against the frozen text tower."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPModel

from . import corpus as corpora
from . import tokenizer as tokenizers
from .batches import Batch, Batches
from .losses import contrastive, distillation, learning_rate
from .networks import clip_model, encode_image, encode_text
from .teacher import Pair, give_text_tower, load_pair
from .training import Average, Log, Parts, load_state, parameter_groups, save_state, step_batches


@dataclass(frozen=True)
class DistilRecipe:
    """How stage two is run."""

    steps: int = 10000
    batch: int = 128
    resolution: int = 48
    """The shipped model's, from the first step on: a vision transformer that began with fewer patches lagged behind."""
    teacher_resolution: int = 32
    """The resolution at which the teacher was finished; it is shown the same picture at this one."""
    peak: float = 1.5e-3
    warmup: int = 300
    horizon: int = 12000
    cooldown: int = 2000
    weight_decay: float = 0.05
    n_anchors: int = 6000
    """Captions whose similarities the student learns to give."""
    anchors_per_step: int = 2048
    cosine_weight: float = 5.0
    caption_weight: float = 0.5
    """Weight of the contrastive loss against the pictures' own captions."""
    average: float = 0.99
    parts: int = 2
    """Parts of a batch, each with a thread of its own."""
    save_every: int = 50
    seed: int = 2


@torch.no_grad()
def anchor_embeddings(batches: Batches, pair: Pair, n_anchors: int, device: torch.device) -> Float[Tensor, "A E"]:
    """Normalised text embeddings of `n_anchors` different captions, drawn as captions are drawn in training."""
    generator = torch.Generator().manual_seed(batches.seed)
    icons = batches.draw_icons(generator, 4 * n_anchors)
    tags, is_category = batches.draw_tags(icons, generator)
    style = batches.corpus.style[icons]
    wordings = batches.draw_wordings(is_category, style, torch.full_like(style, -1), generator)
    pairs = torch.stack([tags, wordings], dim=1).unique(dim=0)
    pairs = pairs[torch.randperm(len(pairs), generator=generator)[:n_anchors]]
    chunks = []
    for chunk in pairs.split(500):
        ids = batches.caption_ids(chunk[:, 0], chunk[:, 1]).to(device)
        chunks.append(functional.normalize(encode_text(pair, ids).float(), dim=-1))  # type: ignore[arg-type]
    return torch.cat(chunks)


def train_step(
    model: CLIPModel,
    pair: Pair,
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    anchors: Float[Tensor, "A E"],
    recipe: DistilRecipe,
) -> dict[str, float]:
    """One step of stage two; returns its losses."""

    def look(pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            size = recipe.teacher_resolution
            wanted, _, text = pair(functional.interpolate(pixels, size, mode="bilinear", antialias=True), ids)
        with torch.autocast(pixels.device.type, torch.bfloat16):
            return encode_image(model, pixels).float(), wanted, text

    outputs = parts.run(look, batch.pixels.chunk(parts.count), batch.ids.chunk(parts.count))
    seen, wanted, text = (torch.cat(found).detach() for found in zip(*outputs, strict=True))
    seen.requires_grad_()
    scale = pair.logit_scale.exp().item()
    divergence, angle = distillation(seen, wanted, anchors, scale)
    logits = scale * functional.normalize(seen, dim=-1) @ functional.normalize(text, dim=-1).T
    match = contrastive(logits, batch.positives)
    optimizer.zero_grad(set_to_none=True)
    (divergence + recipe.cosine_weight * angle + recipe.caption_weight * match).backward()
    gradients = seen.grad.chunk(parts.count)
    parts.run(torch.autograd.backward, [output[0] for output in outputs], gradients)
    nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimizer.step()
    found = batch.positives.gather(1, logits.argmax(1)[:, None]).float().mean()
    values = {"divergence": divergence, "angle": angle, "contrastive": match, "found": found}
    return {name: value.item() for name, value in values.items()}


def new_student(pair: Pair, seed: int, device: torch.device) -> CLIPModel:
    """The model to be shipped: fresh vision tower, the teacher's text tower and scale, which stay as they are."""
    torch.manual_seed(seed)
    model = clip_model()
    give_text_tower(pair, model)
    for part in (model.text_model, model.text_projection):
        part.requires_grad_(False)
    model.logit_scale.requires_grad_(False)
    return model.to(device)


def train(work: Path, recipe: DistilRecipe, device: torch.device, workers: int = 1, stop_at: int | None = None) -> Path:
    """Run or resume stage two in `work`; returns the path of the finished (averaged) weights.

    Args:
        work: holds the corpus, the tokenizer and the finished teacher.
        recipe: the settings.
        device: where to train.
        workers: processes that draw batches ahead.
        stop_at: stop before this step, as if killed there.
    """
    finished, checkpoint = work / "student.pt", work / "student-checkpoint.pt"
    if finished.exists():
        return finished
    corpus = corpora.load(work / "corpus")
    batches, parts = Batches(corpus, tokenizers.load(work / "tokenizer"), recipe.seed), Parts(recipe.parts)
    pair = load_pair(work, corpus.n_words, device)
    model = new_student(pair, recipe.seed, device)
    anchors = anchor_embeddings(batches, pair, recipe.n_anchors, device)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, recipe.weight_decay), lr=recipe.peak, betas=(0.9, 0.98), fused=True
    )
    average, first = Average(model, recipe.average), 0
    state = load_state(checkpoint, device)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, first = state["average"], state["step"]
    log = Log(work / "distil.jsonl", "distil")
    log.write({"step": first, "recipe": asdict(recipe), "anchors": len(anchors)})

    def make(step: int) -> Batch:
        return batches.batch(step, recipe.batch, recipe.resolution, torch.device("cpu"))

    model.train()
    last = min(recipe.steps, stop_at or recipe.steps)
    for step, batch in enumerate(step_batches(make, first, last, workers), start=first):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe.steps, recipe.peak, recipe.warmup, recipe.horizon, recipe.cooldown)
        generator = torch.Generator().manual_seed(recipe.seed * 7_000_003 + step)
        chosen = torch.randperm(len(anchors), generator=generator)[: recipe.anchors_per_step].to(device)
        losses = train_step(model, pair, parts, optimizer, batch.to(device), anchors[chosen], recipe)
        average.update(model, step)
        log.note(step, recipe.batch, **losses)
        if (step + 1) % recipe.save_every == 0 or step + 1 == last:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.values}
            save_state(checkpoint, state | {"step": step + 1})
    if last == recipe.steps:
        save_state(finished, average.values)
    return finished
