"""Small methods of every kind that the contract must carry, written as a user outside the package would write them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coopt.features import Inputs
from coopt.methods import Batch, Losses, Method, MethodPredictor, Predictor, Shots, Training, cosine_logits
from coopt.models import VLM
from coopt.prompting import PromptedImageTower, template_features

RECIPE = {"epochs": 2, "warmup_epochs": 0, "lr": 0.01, "batch_size": 4, "drop_last": False}


def words(vlm: VLM, class_names: Sequence[str]) -> Tensor:
    """Class features of a hand-written prompt."""
    return template_features(vlm, class_names, ["a photo of a {}."])


class LowRank(Method):
    """Low-rank factors on queries and values of the image tower; the loaded weights stay as they are."""

    inputs = Inputs("pixels")
    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, rank: int = 2) -> None:
        super().__init__(vlm, class_names)
        self.text = words(vlm, class_names)
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()

        def adapt(name: str, layer: Any) -> Any:
            if not name.endswith((".q", ".v")):
                return layer
            key, (n_out, n_in) = name.replace(".", "_"), layer.weight.shape
            self.down[key] = nn.Parameter(0.02 * torch.randn(rank, n_in))
            self.up[key] = nn.Parameter(torch.zeros(n_out, rank))
            return lambda x: layer(x) + F.linear(F.linear(x, self.down[key]), self.up[key])

        self.tower = PromptedImageTower(vlm.image.map(adapt))

    def class_features(self) -> Tensor:
        return self.text

    def image_features(self, images: Tensor) -> Tensor:
        return self.tower(images)


class ClassMeans(Method):
    """Without training: the mean feature of each class's shots beside the words."""

    new_classes = False

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, share: float = 0.5) -> None:
        super().__init__(vlm, class_names)
        self.share = share
        self.means = nn.Parameter(words(vlm, class_names).clone(), False)

    def prepare(self, shots: Shots) -> None:
        images, targets = F.normalize(shots.train.images, dim=-1), shots.train.targets
        means = torch.stack([images[targets == c].mean(0) for c in range(len(self.class_names))])
        self.means.data = F.normalize(self.share * F.normalize(means, dim=-1) + (1 - self.share) * self.means, dim=-1)

    def class_features(self) -> Tensor:
        return self.means


class Adapter(Method):
    """A layer over image features: class features exist, yet no matrix says it all."""

    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text = words(vlm, class_names)
        self.layer = nn.Linear(vlm.embed_dim, vlm.embed_dim)

    def class_features(self) -> Tensor:
        return self.text

    def image_features(self, images: Tensor) -> Tensor:
        return images + torch.tanh(self.layer(images))


class PerImage(Method):
    """A number per training image that says how much it counts: the loss needs to know which image is which."""

    recipe = RECIPE
    new_classes = False

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.weight = nn.Parameter(words(vlm, class_names).clone())
        self.trust = nn.Parameter(torch.zeros(0))
        self.seen: set[int] = set()

    def prepare(self, shots: Shots) -> None:
        self.trust.data = torch.zeros(len(shots.train.images))

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.trust.data = torch.zeros(shapes["trust"])

    def forward(self, images: Tensor) -> Tensor:
        return cosine_logits(self.vlm, images, F.normalize(self.weight, dim=-1))

    def loss(self, batch: Batch) -> Losses:
        logits = self(batch.images)
        self.seen |= set(batch.index.tolist())
        each = F.cross_entropy(logits, batch.targets, reduction="none")
        counts = torch.sigmoid(self.trust[batch.index])
        return Losses((counts * each).mean() + (self.trust**2).mean(), logits.detach(), {"trust": counts.mean()})


class SemiSupervised(Method):
    """Words as vectors that labelled images pull, and unlabelled ones by the agreement of two views."""

    inputs = Inputs(unlabelled=2)
    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text = words(vlm, class_names)
        self.shift = nn.Parameter(torch.zeros(vlm.embed_dim))

    def class_features(self) -> Tensor:
        return F.normalize(self.text + self.shift, dim=-1)

    def loss(self, batch: Batch) -> Losses:
        logits = self(batch.images)
        assert batch.unlabelled is not None and batch.unlabelled.targets is None
        weak, strong = batch.unlabelled.images.unbind(1)
        target = self(weak).detach().softmax(-1)
        agreement = F.cross_entropy(self(strong), target)
        return Losses(
            self.task_loss(logits, batch) + 0.5 * agreement, logits.detach(), {"agreement": agreement.detach()}
        )


class Stream(Method):
    """Nothing is trained; each test image pulls the class it was taken for, so later ones see earlier ones."""

    uses_shots = False

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, pull: float = 0.2) -> None:
        super().__init__(vlm, class_names)
        self.pull, self.text = pull, words(vlm, class_names)

    def forward(self, images: Tensor) -> Tensor:
        return cosine_logits(self.vlm, images, self.text)

    def predictor(self) -> Predictor:
        return StreamPredictor(self)


class StreamPredictor(Predictor):
    """Class features that move while images come in."""

    stateful = True

    def __init__(self, method: Stream) -> None:
        super().__init__(method.inputs, method.task)
        self.method = method
        self.reset()

    def reset(self) -> None:
        self.text = self.method.text.clone()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        logits = []
        for image in images:
            logits.append(cosine_logits(self.method.vlm, image[None], self.text)[0])
            c = int(logits[-1].argmax())
            moved = self.text[c] + self.method.pull * F.normalize(image, dim=-1)
            self.text[c] = F.normalize(moved, dim=-1)
        return torch.stack(logits)


class PixelViews(Method):
    """Learned tokens in the image tower, and the mean over several pixel views of a test image."""

    inputs = Inputs("pixels", test_views=3)
    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text, self.tower = words(vlm, class_names), PromptedImageTower(vlm.image)
        self.ctx_visual = nn.Parameter(0.02 * torch.randn(2, vlm.image.width))

    def forward(self, images: Tensor) -> Tensor:
        views = images if images.ndim == 5 else images[:, None]  # a training image has no views axis
        features = self.tower(views.flatten(0, 1), self.ctx_visual)
        return cosine_logits(self.vlm, features, self.text).unflatten(0, views.shape[:2]).mean(1)


class Frames(Method):
    """Several frames of a sample, weighed by learned numbers."""

    inputs = Inputs(frames=4)
    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text, self.weight = words(vlm, class_names), nn.Parameter(torch.zeros(4))

    def class_features(self) -> Tensor:
        return self.text

    def image_features(self, images: Tensor) -> Tensor:
        assert images.ndim == 3 and images.shape[1] == 4
        return (self.weight.softmax(0)[:, None] * images).sum(1)


class Patches(Method):
    """The pooled feature and the position that is nearest to a class, weighed."""

    inputs = Inputs("tokens")
    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text, self.share = words(vlm, class_names), nn.Parameter(torch.tensor(0.3))

    def forward(self, images: Tensor) -> Tensor:
        assert images.ndim == 3 and images.shape[1] == 1 + self.vlm.n_positions
        logits = cosine_logits(self.vlm, images, self.text.expand(len(images), -1, -1))  # (B, 1 + N, C)
        return logits[:, 0] + self.share * logits[:, 1:].amax(1)


class NoGradients(Method):
    """A shift of the class features by two-sided differences along a random direction (SPSA)."""

    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text, self.shift = words(vlm, class_names), nn.Parameter(torch.zeros(vlm.embed_dim))

    def class_features(self) -> Tensor:
        return F.normalize(self.text + self.shift, dim=-1)

    @torch.no_grad()
    def gradients(self, batch: Batch, scale: Callable[[Tensor], Tensor]) -> Losses:
        losses, direction = self.loss(batch), torch.randn_like(self.shift).sign()
        ends = []
        for sign in (1, -1):
            self.shift += sign * 1e-3 * direction
            ends.append(self.loss(batch).total)
            self.shift -= sign * 1e-3 * direction
        self.shift.grad = (ends[0] - ends[1]) / 2e-3 * direction
        return losses


class Around(Method):
    """A method around another one: its class features, drawn towards the words by a learned share."""

    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, base: Method) -> None:
        super().__init__(vlm, class_names)
        self.base, self.inputs, self.text = base, base.inputs, words(vlm, class_names)
        self.share = nn.Parameter(torch.tensor(0.1))

    def class_features(self) -> Tensor:
        return F.normalize((1 - self.share) * self.base.class_features() + self.share * self.text, dim=-1)

    def loss(self, batch: Batch) -> Losses:
        inner, logits = self.base.loss(batch), self(batch.images)
        return Losses(inner.total + self.task_loss(logits, batch), logits.detach(), inner.terms)


class Rounds(Method):
    """Two rounds: the shots, then the shots with the unlabelled images that the first round was surest of."""

    inputs = Inputs(unlabelled=1)
    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text, self.shift = words(vlm, class_names), nn.Parameter(torch.zeros(vlm.embed_dim))

    def class_features(self) -> Tensor:
        return F.normalize(self.text + self.shift, dim=-1)

    def trainings(self, shots: Shots | None) -> Iterator[Training]:
        assert shots is not None and shots.unlabelled is not None and shots.unlabelled.targets is None
        yield Training(self)
        with torch.no_grad():
            sure, label = self(shots.unlabelled.images).softmax(-1).max(-1)
        kept = sure.topk(min(4, len(sure))).indices
        self.found = {"pseudo": kept.tolist()}
        yield Training(self, recipe={"epochs": 1}, pseudo=kept, pseudo_targets=label[kept])


class Candidates(Method):
    """Three random starts are trained; the one that does best on its own shots is taken over."""

    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.text, self.shift = words(vlm, class_names), nn.Parameter(0.3 * torch.randn(vlm.embed_dim))

    def class_features(self) -> Tensor:
        return F.normalize(self.text + self.shift, dim=-1)

    def trainings(self, shots: Shots | None) -> Iterator[Training]:
        assert shots is not None
        losses, tensors = [], []
        for _ in range(3):
            candidate = Candidates(self.vlm, self.class_names)
            yield Training(candidate)
            with torch.no_grad():
                losses.append(float(self.task.loss(candidate(shots.train.images), shots.train.targets)))
            tensors.append(candidate.state_dict())
        self.found = {"losses": losses}
        self.load_state_dict(tensors[losses.index(min(losses))])


class Plain(Method):
    """Learned class features; for tasks of any kind."""

    recipe = RECIPE

    def __init__(self, vlm: VLM, class_names: Sequence[str]) -> None:
        super().__init__(vlm, class_names)
        self.weight = nn.Parameter(words(vlm, class_names).clone())

    def class_features(self) -> Tensor:
        return F.normalize(self.weight, dim=-1)

    def predictor(self) -> Predictor:
        return MethodPredictor(self)
