"""`Inputs`: what a method looks at, as one value that training, testing and saved runs all read."""

from dataclasses import dataclass
from typing import Literal

from coopt.errors import ConfigError
from coopt.models import VLM

Kind = Literal["features", "tokens", "pixels"]
KINDS = ("features", "tokens", "pixels")
PLACES = ("joint", "unprojected", "values")


@dataclass(frozen=True)
class Inputs:
    """What a method is given of each image.

    With V views or F frames an axis of that size stands after the batch axis, views before frames:
    (B, E), (B, V, E), (B, F, E) or (B, V, F, E), and likewise for tokens and pixels. Without them there is no axis.

    Shape:
        - features: (B, E), pooled, not normalised; (B, d_v) before the projection (`at="unprojected"`)
        - tokens: (B, 1 + N, width of `at`): the pooled feature first, then the N positions
        - pixels: (B, 3, H, W), preprocessed

    Raises:
        ConfigError: a value that is not allowed; the message lists all problems at once.
    """

    kind: Kind = "features"
    """All but pixels are encoded once and cached. Pixels are for methods that change the image tower."""
    at: str | int = "joint"
    """Where in the frozen image tower: "joint" (its output, projected into the joint embedding), "unprojected" (after
    the last norm, before the projection), "values" (the value path of the last block, or of a ResNet's attention
    pool, projected), or the number k of a block: the states that enter block k."""
    train_views: int = 0
    """Augmented views of each training image that `prepare` is given in addition to the plain image."""
    test_views: int = 0
    """Views of each test image: the plain one first, then augmented ones; 0 is the plain image without a views axis."""
    frames: int = 1
    """Frames of each sample, equally spaced over an animated file; a still image is repeated."""
    unlabelled: int = 0
    """Views of each unlabelled image in a batch: 0 takes none, 1 the weak view, 2 the weak and then a strong one."""

    def __post_init__(self) -> None:
        problems = []
        if self.kind not in KINDS:
            problems.append(f"kind is {self.kind!r}; allowed is one of {', '.join(KINDS)}")
        is_block = isinstance(self.at, int) and not isinstance(self.at, bool) and self.at >= 0
        if not is_block and self.at not in PLACES:
            problems.append(f"at is {self.at!r}; allowed is one of {', '.join(PLACES)}, or the number of a block")
        if self.kind == "pixels" and self.at != "joint":
            problems.append(f"at is {self.at!r}; it goes with features and tokens, pixels are taken before the tower")
        for name, least in (("train_views", 0), ("test_views", 0), ("frames", 1), ("unlabelled", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                problems.append(f"{name} is {value!r}; allowed is a whole number from {least}")
        if self.unlabelled not in (0, 1, 2):
            problems.append(f"unlabelled is {self.unlabelled!r}; allowed is 0, 1 (weak) or 2 (weak and strong)")
        if problems:
            raise ConfigError("The inputs cannot be used: " + "; ".join(problems) + ".")

    def row_shape(self, vlm: VLM) -> tuple[int, ...]:
        """The shape of what is encoded of one image: features (width,), tokens (1 + P, width), with frames before."""
        width = vlm.embed_dim if self.at == "joint" else vlm.width_at(self.at)
        row = (1 + vlm.n_positions, width) if self.kind == "tokens" else (width,)
        return row if self.frames == 1 else (self.frames, *row)

    @property
    def are_plain(self) -> bool:
        """Whether a plain image feature (B, E) in the joint embedding is all that a prediction looks at."""
        return (self.kind, self.at, self.test_views, self.frames) == ("features", "joint", 0, 1)


PLAIN = Inputs()
"""Plain image features."""
