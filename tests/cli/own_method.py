"""Methods from outside the package, for the tests of commands."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coopt.methods import Batch, Losses, Method, Shots, Training
from coopt.models import VLM
from coopt.prompting import PromptEncoder, PromptLayout, start_context


class Own(Method):
    """A shared context."""

    paper = "https://example.org"
    kind = "text prompt"
    summary = "a shared context"

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, n_ctx: int = 2) -> None:
        super().__init__(vlm, class_names)
        self.encoder = PromptEncoder(vlm.text, PromptLayout.build(vlm, class_names, n_ctx))
        self.ctx = nn.Parameter(start_context(vlm, n_ctx, None, default=n_ctx)[0])

    def class_features(self) -> Tensor:
        """Normalised class features."""
        return F.normalize(self.encoder(self.ctx).float(), dim=-1)


class Around(Method):
    """The logits of another method, times a learned number."""

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, base: Method) -> None:
        super().__init__(vlm, class_names)
        self.base = base
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.scale * self.base(images)


class Twice(Own):
    """Trains two times."""

    def trainings(self, shots: Shots | None) -> Iterator[Training]:
        """The same images again."""
        yield Training(self)
        yield Training(self)


class Wrong(Own):
    """Takes the least likely class."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return -super().forward(images)

    def loss(self, batch: Batch) -> Losses:
        """That of the right logits, so that it stays wrong."""
        logits = self(batch.images)
        return Losses(self.task_loss(-logits, batch), logits.detach())
