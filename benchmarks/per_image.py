"""Methods with a prompt for each image, measured whole: a step and a prediction of CoCoOp, a prediction of TPT."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.authors import WholeSequences
from benchmarks.models import class_names, random_model
from benchmarks.parts import Plan, Record, compare
from coopt.methods import TPT, CoCoOp

IMAGES, CLASSES = 4, 10


def cocoop_logits(method: CoCoOp, text: WholeSequences, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
    """The authors' way: image after image, all classes through all positions."""
    rows = []
    for image, ctx in zip(F.normalize(images, dim=-1), method.contexts(images), strict=True):
        rows.append(method.vlm.logit_scale * image @ F.normalize(text(ctx).float(), dim=-1).T)
    return torch.stack(rows)


def cocoop(plan: Plan) -> Iterator[Record]:
    """Loss, backward and SGD of 4 images on features, and the prediction of 4 images."""
    for name in plan.models:
        vlm = random_model(name, plan.device, plan.dtype)
        method = CoCoOp(vlm, class_names(CLASSES))
        text = WholeSequences(vlm, method.encoder.layout)
        images = torch.randn(IMAGES, vlm.embed_dim, device=plan.device)
        labels = torch.arange(IMAGES, device=plan.device) % CLASSES
        optimizer = torch.optim.SGD(method.parameters(), lr=0.002, momentum=0.9, weight_decay=5e-4)

        def step(logits: Callable[[], Tensor], optimizer=optimizer, labels: Int[Tensor, " B"] = labels) -> None:
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits(), labels).backward()
            optimizer.step()

        @torch.no_grad()
        def predict(logits: Callable[[], Tensor]) -> None:
            logits()

        def authors(method=method, text=text, images=images) -> Tensor:
            return cocoop_logits(method, text, images)

        def own(method=method, images=images) -> Tensor:
            return method(images)

        for what, work in (("CoCoOp step", step), ("CoCoOp prediction", predict)):
            works = {"authors": lambda work=work: work(authors), "coopt": lambda work=work: work(own)}
            yield _record("cocoop", what, name, compare(plan, works, 1))


def tpt_logits(method: TPT, text: WholeSequences, views: Float[Tensor, "B V E"]) -> Float[Tensor, "B C"]:
    """The authors' way: image after image, one step of AdamW, all classes through all positions."""
    rows = []
    for image in views:
        scaled = method.vlm.logit_scale * F.normalize(image, dim=-1)
        ctx = method.ctx.detach().clone().requires_grad_()
        optimizer = torch.optim.AdamW([ctx], lr=method.lr)
        log_p = (scaled @ F.normalize(text(ctx).float(), dim=-1).T).log_softmax(-1)  # (V, C)
        chosen = (-(log_p * log_p.exp()).sum(-1)).argsort()[: int(len(image) * method.confidence)]
        mean = log_p[chosen].exp().mean(0)
        (-(mean * mean.log()).sum()).backward()
        optimizer.step()
        with torch.no_grad():
            rows.append(scaled[0] @ F.normalize(text(ctx).float(), dim=-1).T)
    return torch.stack(rows)


def tpt(plan: Plan) -> Iterator[Record]:
    """The prediction of 4 images from features of 64 views each; the image encoder is the same both ways."""
    for name in plan.models:
        vlm = random_model(name, plan.device, plan.dtype)
        method = TPT(vlm, class_names(CLASSES))
        text = WholeSequences(vlm, method.encoder.layout)
        views = torch.randn(IMAGES, method.inputs.test_views, vlm.embed_dim, device=plan.device)
        difference = float((tpt_logits(method, text, views) - method(views)).abs().max())
        works = {
            "authors": lambda method=method, text=text, views=views: tpt_logits(method, text, views),
            "coopt": lambda method=method, views=views: method(views),
        }
        figures = compare(plan, works, 1)
        yield {**_record("tpt", "TPT prediction, 64 views", name, figures), "largest_difference": difference}


def _record(part: str, what: str, model: str, figures: Record) -> Record:
    return {"part": part, "what": what, "model": model, "classes": CLASSES, "n_ctx": 4, "images": IMAGES, **figures}
