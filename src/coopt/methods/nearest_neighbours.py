"""NearestNeighbours: the labels of the most similar training images vote; a baseline that needs no words."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from coopt.methods.batch import Shots
from coopt.methods.method import Method
from coopt.models import VLM
from coopt.prompting import check_size

GRID = (1, 2, 3, 5, 8, 13, 21, 34)
"""Numbers of neighbours that are tried."""
FLOOR = 1e-6
"""The share of the votes that a class without any gets, so that its logit is finite."""


class NearestNeighbours(Method):
    r"""The shares that the labels have among the k training images of the largest cosine.

    .. math::
        p(y = c \mid x) = \frac{1}{k} \sum_{i \in N_k(x)} [y_i = c]

    For the task `ordinal` the answer is the mean of the neighbours' ranks. k is the best of 1, 2, 3, 5, 8, 13, 21 and
    34, up to the number of shots less one, by the task's headline figure when each shot is answered by the others.

    Reference:
        Cover and Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 1967.

    Differences from the official code:
        - There is none. Neighbours are those of the largest cosine, in place of the smallest distance.
        - In half precision there: nothing. Here features and cosines are in float32.

    Args:
        k: fixes the number of neighbours; None searches.

    Shape:
        - keys: (N, E), labels: (N,), k_found: scalar
        - images: (B, E), not normalised
        - logits: (B, C), logarithms of shares

    Raises:
        ConfigError: `k` is below 1.
    """

    paper = "https://doi.org/10.1109/TIT.1967.1053964"
    kind = "cache of features"
    summary = "nothing; the labels of the nearest shots vote"
    new_classes = False
    steps = False
    uses_weights = False
    uses_words = False

    def __init__(self, vlm: VLM, class_names: Sequence[str], *, k: int | None = None) -> None:
        super().__init__(vlm, class_names)
        if k is not None:
            check_size("k", k)
        self.k = k
        self.keys = nn.Parameter(torch.zeros(0, vlm.embed_dim, device=vlm.device), False)
        self.labels = nn.Parameter(torch.zeros(0, dtype=torch.int64, device=vlm.device), False)
        self.k_found = nn.Parameter(torch.tensor(k or 1, device=vlm.device), False)

    def prepare(self, shots: Shots) -> None:
        """Keep the shots, and search k."""
        targets, classes = shots.train.targets, shots.as_classes(self.task).train.targets
        assert targets is not None and classes is not None  # shots are labelled
        self.keys.data = F.normalize(shots.train.images.to(self.device).float(), dim=-1)
        self.labels.data = classes.to(self.device)
        if self.k is None:
            self.k_found.data.fill_(self.search(targets))
            self.found = {"k": int(self.k_found)}

    def search(self, targets: Tensor) -> int:
        """The k by which the shots answer each other best; the smallest of several."""
        others = ~torch.eye(len(self.keys), dtype=torch.bool, device=self.device)
        figure = self.task.figures[0]
        best, most = 1, -torch.inf
        for k in GRID:
            if k < len(self.keys):
                found = self.task.metrics(self.votes(self.keys, k, others), targets.to(self.device))
                value = found.figures()[figure.name] * (1 if figure.higher_is_better else -1)
                if value > most:
                    best, most = k, value
        return best

    def votes(self, images: Float[Tensor, "B E"], k: int, usable: Bool[Tensor, "B N"] | None = None) -> Tensor:
        """Logarithms of the shares among the k nearest usable keys; images are normalised."""
        cosines = images @ self.keys.T  # (B, N)
        if usable is not None:
            cosines = cosines.masked_fill(~usable, -torch.inf)
        nearest = cosines.topk(min(k, len(self.keys)), dim=-1).indices  # (B, k)
        shares = F.one_hot(self.labels[nearest], len(self.class_names)).float().mean(1)  # (B, C)
        return (shares + FLOOR).log()

    def forward(self, images: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Logits of raw image features."""
        with torch.autocast(self.device.type, enabled=False):
            return self.votes(F.normalize(images.to(self.device).float(), dim=-1), int(self.k_found))

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for the saved shots."""
        self.keys.data = self.keys.new_zeros(shapes["keys"])
        self.labels.data = self.labels.new_zeros(shapes["labels"])
