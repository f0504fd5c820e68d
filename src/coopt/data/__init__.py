"""Images, labels and class names from every source; few-shot picks; training augmentation; batches."""

from coopt.data.augment import Augmentation as Augmentation
from coopt.data.augment import augmentation_rng as augmentation_rng
from coopt.data.augment import normalise as normalise
from coopt.data.batches import Skipped as Skipped
from coopt.data.batches import find_unreadable as find_unreadable
from coopt.data.batches import iterate_pixels as iterate_pixels
from coopt.data.classes import read_class_names as read_class_names
from coopt.data.dataset import ImageDataset as ImageDataset
from coopt.data.dataset import Splits as Splits
from coopt.data.decode import UnreadableImageError as UnreadableImageError
from coopt.data.decode import image_digest as image_digest
from coopt.data.few_shot import DataWarning as DataWarning
from coopt.data.few_shot import FewShot as FewShot
from coopt.data.few_shot import few_shot_subset as few_shot_subset
from coopt.data.few_shot import few_shot_train_val as few_shot_train_val
from coopt.data.load import holds_images as holds_images
from coopt.data.load import load_dataset as load_dataset
from coopt.data.reading import split_dataset as split_dataset
from coopt.data.sampling import epoch_batches as epoch_batches
from coopt.data.sampling import epoch_order as epoch_order
from coopt.data.sampling import sample_few_shot as sample_few_shot
from coopt.data.sampling import sample_few_shot_train_val as sample_few_shot_train_val
from coopt.data.sampling import split_classes as split_classes
from coopt.data.several import join_datasets as join_datasets
