"""Stage one: the convolutional teacher and the text tower learn together, contrastively."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import CLIPModel

from . import corpus as corpora
from . import tokenizer as tokenizers
from .batches import Batch, Batches
from .losses import contrastive, learning_rate, word_loss
from .networks import Teacher, clip_model, encode_text
from .training import Log, Parts, load_state, parameter_groups, save_state, share_weights, step_batches


@dataclass(frozen=True)
class TeacherRecipe:
    """How stage one is run; the schedule is in steps, so it does not depend on the machine's speed."""

    steps: int = 15000
    batch: int = 128
    resolution: int = 32
    """Resolution of the cooldown."""
    first_resolution: int = 24
    """Resolution before the cooldown: nearly twice as fast, and what most icons are drawn for."""
    peak: float = 1e-3
    warmup: int = 200
    horizon: int = 20000
    """Steps over which the cosine would fall to zero; the cooldown cuts it short."""
    cooldown: int = 2000
    """Last steps, in which the rate falls linearly to zero."""
    weight_decay: float = 0.05
    word_weight: float = 1.0
    largest_scale: float = 60.0
    parts: int = 2
    """Parts of a batch, each with a thread and batch statistics of its own."""
    save_every: int = 250
    seed: int = 1


class Pair(nn.Module):
    """The teacher beside the text tower of the model that will be shipped."""

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.image = Teacher(n_words)
        model = clip_model()
        self.text_model, self.text_projection = model.text_model, model.text_projection
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # log(1 / 0.07), as in CLIP

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of images (B, E), logits of the common words (B, words), embeddings of captions (B, E)."""
        with torch.autocast(pixels.device.type, torch.bfloat16):
            image, words = self.image(pixels.contiguous(memory_format=torch.channels_last))
            text = encode_text(self, ids)  # type: ignore[arg-type]
        return image.float(), words.float(), text.float()


def train_step(
    pairs: list[Pair],
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    targets: Tensor,
    recipe: TeacherRecipe,
) -> dict[str, float]:
    """One step of stage one; returns its losses.

    Each part of the batch goes through its own member of `pairs` (the same weights), all parts meet in the loss,
    where every image sees every caption, and go back on their own.
    """
    pixels, ids = batch.pixels.chunk(parts.count), batch.ids.chunk(parts.count)
    outputs = parts.run(lambda pair, *inputs: pair(*inputs), pairs, pixels, ids)
    image, words, text = (torch.cat(found).detach().requires_grad_() for found in zip(*outputs, strict=True))
    scale = pairs[0].logit_scale.exp().clamp(max=recipe.largest_scale)
    logits = scale * functional.normalize(image, dim=-1) @ functional.normalize(text, dim=-1).T
    match, naming = contrastive(logits, batch.positives), word_loss(words, targets)
    optimizer.zero_grad(set_to_none=True)
    (match + recipe.word_weight * naming).backward()
    gradients = zip(*(whole.grad.chunk(parts.count) for whole in (image, words, text)), strict=True)
    parts.run(torch.autograd.backward, outputs, list(gradients))
    norm = nn.utils.clip_grad_norm_(pairs[0].parameters(), 2.0)
    optimizer.step()
    found = batch.positives.gather(1, logits.argmax(1)[:, None]).float().mean()
    return {"contrastive": match.item(), "words": naming.item(), "found": found.item(), "norm": norm.item()}


def train(
    work: Path, recipe: TeacherRecipe, device: torch.device, workers: int = 1, stop_at: int | None = None
) -> Path:
    """Run or resume stage one in `work`; returns the path of the finished weights."""
    finished, checkpoint = work / "teacher.pt", work / "teacher-checkpoint.pt"
    if finished.exists():
        return finished
    torch.manual_seed(recipe.seed)
    parts = Parts(recipe.parts)
    corpus = corpora.load(work / "corpus")
    batches = Batches(corpus, tokenizers.load(work / "tokenizer"), recipe.seed)
    pair = Pair(corpus.n_words).to(device)
    pair.image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        parameter_groups(pair, recipe.weight_decay), lr=recipe.peak, betas=(0.9, 0.98), fused=True
    )
    first = 0
    state = load_state(checkpoint, device)
    if state:
        pair.load_state_dict(state["pair"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    # The first part's statistics are kept: a part is half of a batch, drawn like the other half.
    pairs = [pair] + [share_weights(pair) for _ in range(recipe.parts - 1)]
    log = Log(work / "teacher.jsonl", "teacher")
    log.write({"step": first, "recipe": asdict(recipe), "icons": len(corpus.style)})

    def make(step: int):
        early = step < recipe.steps - recipe.cooldown
        resolution = recipe.first_resolution if early else recipe.resolution
        batch = batches.batch(step, recipe.batch, resolution, torch.device("cpu"))
        return batch, corpus.word_targets(batch.icons)

    for part in pairs:
        part.train()
    last = min(recipe.steps, stop_at or recipe.steps)
    for step, (batch, targets) in enumerate(step_batches(make, first, last, workers), start=first):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe.steps, recipe.peak, recipe.warmup, recipe.horizon, recipe.cooldown)
        losses = train_step(pairs, parts, optimizer, batch.to(device), targets.to(device), recipe)
        log.note(step, recipe.batch, **losses)
        if (step + 1) % recipe.save_every == 0 or step + 1 == last:
            state = {"pair": pair.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(checkpoint, state | {"step": step + 1})
    if last == recipe.steps:
        save_state(finished, pair.state_dict())
    return finished


def load_pair(work: Path, n_words: int, device: torch.device) -> Pair:
    """The finished teacher and text tower, in evaluation mode."""
    pair = Pair(n_words)
    pair.load_state_dict(torch.load(work / "teacher.pt", map_location="cpu", weights_only=True))
    pair.image.to(memory_format=torch.channels_last)
    return pair.to(device).eval().requires_grad_(False)


def give_text_tower(pair: Pair, model: CLIPModel) -> None:
    """Copy the trained text tower and the scale into the model that will be shipped."""
    model.text_model.load_state_dict(pair.text_model.state_dict())
    model.text_projection.load_state_dict(pair.text_projection.state_dict())
    model.logit_scale.data.copy_(pair.logit_scale.data)
