"""Image features: every image through the frozen image tower once, then from the cache; batches of what was asked."""

from coopt.features.cache import CacheWarning as CacheWarning
from coopt.features.cache import FeatureCache as FeatureCache
from coopt.features.encode import ImageFeatures as ImageFeatures
from coopt.features.encode import encode_batch as encode_batch
from coopt.features.encode import encode_dataset as encode_dataset
from coopt.features.encode import encode_views as encode_views
from coopt.features.encode import training_augmentation as training_augmentation
from coopt.features.inputs import PLAIN as PLAIN
from coopt.features.inputs import Inputs as Inputs
from coopt.features.picks import EncodedPicks as EncodedPicks
from coopt.features.testing import TestImages as TestImages
from coopt.features.training import FeatureViews as FeatureViews
from coopt.features.training import TrainingImages as TrainingImages
