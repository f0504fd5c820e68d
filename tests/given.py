"""Images that a test already has, as the loop asks for them."""

from torch import Tensor

from coopt.data import ImageDataset
from coopt.features import Inputs, TrainingImages
from coopt.fit import TrainingBatches
from coopt.models import VLM
from tests.goldens.golden import golden_vlm


def given(views: Tensor, targets: Tensor, seed: int = 1, vlm: VLM | None = None) -> TrainingBatches:
    """V views (V, N, ...) of N images that are encoded already; each epoch draws one of each image."""
    dataset = ImageDataset([b""] * views.shape[1], None, ["a", "b"])  # never opened
    images = TrainingImages(
        vlm or golden_vlm("vit_b"), dataset, Inputs(), views=len(views), seed=seed, min_crop=0.08, encoded=views
    )
    return TrainingBatches(images, targets, seed=seed)
