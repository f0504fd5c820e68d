"""What is measured. Each part yields records: plain dictionaries, as they stand in the JSON."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import peak
from benchmarks.authors import WholeSequences, conditional, step_loss
from benchmarks.models import class_names, random_model
from benchmarks.timing import Rate, alternate, seconds, summary
from coopt.methods import Batch, CoOp
from coopt.models import VLM
from coopt.prompting import PromptEncoder
from coopt.prompting.packing import pack

Record = dict[str, object]
SLICE = 100
"""Classes that the authors' way runs at once: more do not fit the memory. A thousand are ten such slices."""


@dataclass(frozen=True)
class Plan:
    """What to measure, from the command line."""

    models: list[str]
    classes: list[int]
    n_ctx: list[int]
    repetitions: int
    slow_repetitions: int
    steps: int
    device: torch.device
    dtype: torch.dtype
    rate: Rate


@dataclass(frozen=True)
class Bench:
    """A model with the prompts of C classes, both ways."""

    vlm: VLM
    method: CoOp
    n_classes: int
    n_ctx: int

    @classmethod
    def build(cls, vlm: VLM, n_classes: int, n_ctx: int) -> "Bench":
        """With a random start."""
        torch.manual_seed(1)
        return cls(vlm, CoOp(vlm, class_names(n_classes), n_ctx=n_ctx), n_classes, n_ctx)

    def facts(self) -> Record:
        """What a record says about the case."""
        return {"model": self.vlm.name, "classes": self.n_classes, "n_ctx": self.n_ctx}

    def sliced(self) -> tuple[WholeSequences, int]:
        """The authors' text side for at most `SLICE` classes, and how many times it makes up the whole."""
        n_classes = min(self.n_classes, SLICE)
        layout = CoOp(self.vlm, class_names(n_classes), n_ctx=self.n_ctx).encoder.layout
        return WholeSequences(self.vlm, layout), self.n_classes // n_classes


def backward(features: Callable[[Tensor], Tensor], ctx: Tensor) -> Callable[[], None]:
    """Forward and backward of a sum over all features."""

    def work() -> None:
        ctx.grad = None
        features(ctx).float().square().sum().backward()

    return work


def distinct_tokens(encoder: PromptEncoder) -> tuple[int, int]:
    """Tokens of the tree of prompts and, among them, end tokens."""
    packing = pack(encoder._keys(False), encoder.tower.width)
    return packing.n_tokens, len(packing.ends)


def floor_operations(encoder: PromptEncoder) -> float:
    """Operations of the bare matrix products, forward and backward.

    Queries, keys, values, output projection and feed-forward layer (12 D^2 multiplications a token) of each distinct
    token; in the last block keys and values only, and the rest for end tokens. Attention, norms, activations and
    copies are not counted.
    """
    n_tokens, n_ends = distinct_tokens(encoder)
    width, n_blocks = encoder.tower.width, len(encoder.tower.blocks)
    forward = 2.0 * width**2 * (12 * (n_blocks - 1) * n_tokens + 2 * n_tokens + 10 * n_ends)
    return 2 * forward


def compare(plan: Plan, works: dict[str, Callable[[], object]], scale: int) -> Record:
    """Both ways' seconds and their ratio; the authors' are `scale` times a slice's."""
    times = alternate(works, plan.repetitions, plan.device, plan.rate.measure, plan.slow_repetitions)
    authors = summary([scale * t for t in times["authors"]])
    coopt = summary(times["coopt"])
    return {
        "authors": authors,
        "authors_slices": scale,
        "coopt": coopt,
        "ratio": authors["median"] / coopt["median"],
    }


def text(plan: Plan) -> Iterator[Record]:
    """The text side alone, forward and backward."""
    for name in plan.models:
        vlm = random_model(name, plan.device, plan.dtype)
        for n_classes in plan.classes:
            for n_ctx in plan.n_ctx:
                bench = Bench.build(vlm, n_classes, n_ctx)
                whole, scale = bench.sliced()
                ctx = bench.method.ctx
                works = {"authors": backward(whole, ctx), "coopt": backward(bench.method.encoder, ctx)}
                figures = compare(plan, works, scale)
                floor = floor_operations(bench.method.encoder) / plan.rate.best
                yield {
                    "part": "text",
                    **bench.facts(),
                    **figures,
                    "tokens_authors": 77 * n_classes,
                    "tokens_coopt": distinct_tokens(bench.method.encoder)[0],
                    "gflops_best": plan.rate.best / 1e9,
                    "floor": floor,
                    "coopt_over_floor": figures["coopt"]["median"] / floor,  # type: ignore[index]
                }


def step(plan: Plan) -> Iterator[Record]:
    """A whole CoOp step at batch 32: loss, backward, SGD; coopt's on cached features."""
    for name in plan.models:
        vlm = random_model(name, plan.device, plan.dtype)
        for n_classes in [c for c in plan.classes if c <= SLICE]:
            bench = Bench.build(vlm, n_classes, max(plan.n_ctx))
            authors, coopt = whole_steps(bench)
            yield {"part": "step", **bench.facts(), **compare(plan, {"authors": authors, "coopt": coopt}, 1)}


def whole_steps(bench: Bench) -> tuple[Callable[[], None], Callable[[], None]]:
    """One step each, the authors' way and coopt's, at batch 32."""
    vlm, method = bench.vlm, bench.method
    whole, _ = bench.sliced()
    pixels = torch.randn(32, 3, vlm.image_size, vlm.image_size, device=vlm.device)
    features = torch.randn(32, vlm.embed_dim, device=vlm.device)
    labels = (torch.arange(32) % bench.n_classes).to(vlm.device)
    optimizer = torch.optim.SGD([method.ctx], lr=0.002, momentum=0.9, weight_decay=5e-4)

    def finish(loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return (
        lambda: finish(step_loss(vlm, whole, method.ctx, pixels, labels)),
        lambda: finish(method.loss(Batch(features, labels)).total),
    )


def conditional_batch(plan: Plan) -> Iterator[Record]:
    """CoCoOp's text side: 4 images, each with its own context of 4 vectors, 10 classes."""
    for name in plan.models:
        bench = Bench.build(random_model(name, plan.device, plan.dtype), 10, 4)
        whole, _ = bench.sliced()
        ctx = torch.randn(4, *bench.method.ctx.shape, device=plan.device).mul_(0.02).requires_grad_()
        works = {
            "authors": backward(lambda ctx, whole=whole: conditional(whole, ctx), ctx),
            "coopt": backward(bench.method.encoder.encode_batch, ctx),
        }
        yield {"part": "conditional", **bench.facts(), "images": 4, **compare(plan, works, 1)}


def memory(plan: Plan) -> Iterator[Record]:
    """Peak resident memory of a training step on the CPU, in fresh processes."""
    name, n_ctx = plan.models[0], max(plan.n_ctx)
    for way, n_classes, chunk in [
        ("authors", min(100, max(plan.classes)), None),
        *[("coopt", n_classes, None) for n_classes in plan.classes],
        ("coopt", max(plan.classes), SLICE),
    ]:
        case = {"model": name, "classes": n_classes, "n_ctx": n_ctx, "way": way, "chunk": chunk}
        yield {"part": "memory", **case, **peak.measure(way, name, n_classes, n_ctx, chunk)}


def training(plan: Plan) -> Iterator[Record]:
    """The paper's 200 epochs: 16 shots, 10 classes, ViT-B/32, batches of 32: 1,000 steps.

    The authors' time is that of `plan.steps` steps, extrapolated. coopt's is measured in full: the 160 images through
    the encoder once, then every step.
    """
    bench = Bench.build(random_model("ViT-B/32", plan.device, plan.dtype), 10, 16)
    authors, coopt = whole_steps(bench)
    pixels = torch.randn(32, 3, 224, 224, device=plan.device)

    def encode() -> None:
        with torch.no_grad():
            for _ in range(5):
                bench.vlm.encode_image(pixels)

    n_steps = 200 * 160 // 32
    authors()
    coopt()
    authors_seconds = seconds(lambda: [authors() for _ in range(plan.steps)], plan.device)
    encode_seconds = seconds(encode, plan.device)
    coopt_steps = n_steps if plan.steps >= 20 else 10 * plan.steps
    coopt_seconds = seconds(lambda: [coopt() for _ in range(coopt_steps)], plan.device)
    whole_authors = authors_seconds / plan.steps * n_steps
    whole_coopt = encode_seconds + coopt_seconds / coopt_steps * n_steps
    yield {
        "part": "training",
        **bench.facts(),
        "steps": n_steps,
        "authors_steps_measured": plan.steps,
        "coopt_steps_measured": coopt_steps,
        "authors_seconds": whole_authors,
        "coopt_encode_seconds": encode_seconds,
        "coopt_seconds": whole_coopt,
        "ratio": whole_authors / whole_coopt,
    }


def profile(plan: Plan) -> Iterator[Record]:
    """Where coopt's text side spends its time: the operators' own shares, the largest first."""
    for n_classes in plan.classes:
        bench = Bench.build(random_model(plan.models[0], plan.device, plan.dtype), n_classes, max(plan.n_ctx))
        work = backward(bench.method.encoder, bench.method.ctx)
        work()
        with torch.profiler.profile() as measured:
            work()
        averages = measured.key_averages()
        whole = sum(average.self_cpu_time_total for average in averages)
        largest = sorted(averages, key=lambda average: -average.self_cpu_time_total)[:8]
        shares = {average.key: average.self_cpu_time_total / whole for average in largest}
        yield {"part": "profile", **bench.facts(), "shares": shares}


PARTS: dict[str, Callable[[Plan], Iterator[Record]]] = {
    "text": text,
    "step": step,
    "conditional": conditional_batch,
    "memory": memory,
    "training": training,
    "profile": profile,
}
