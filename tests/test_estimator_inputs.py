"""Images and labels as people have them: columns, data frames, data sets of other libraries, arrays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.model_selection import cross_val_score
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from coopt import ImageDataset, PromptClassifier, load_dataset, load_model
from coopt.data.frames import DatasetItem
from coopt.errors import DataError
from coopt.models import VLM
from tests.pictures import CLASSES, draw

LABELS = list(CLASSES) * 4


class Column:
    """One column as pandas and polars have it: no Sequence, rows by position through `iloc`."""

    def __init__(self, values: Any) -> None:
        self.values = list(values)
        self.shape, self.ndim = (len(self.values),), 1

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype or object)

    def take(self, rows: Any, axis: int = 0) -> "Column":
        return Column([self.values[row] for row in rows])

    @property
    def iloc(self) -> Any:
        return self

    def __getitem__(self, rows: Any) -> Any:
        return self.take(rows)


class Frame:
    """A data frame: columns by name."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> Column:
        return Column(self._columns[name])

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))


class ImageFeature:
    """Known by its class's name, as in `datasets`."""


ImageFeature.__name__ = "Image"


class Names:
    def __init__(self, names: list[str]) -> None:
        self.names = names


class HubDataset:
    """A `datasets.Dataset`: rows by number as dictionaries, with decoded images; columns by name."""

    def __init__(self, images: list[Image.Image], labels: list[int], names: list[str]) -> None:
        self.images, self.labels = images, labels
        self.column_names = ["picture", "kind"]
        self.features = {"picture": ImageFeature(), "kind": Names(names)}
        self.opened: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            assert key == "kind", "the images are never decoded at once"
            return list(self.labels)
        self.opened.append(key)
        return {"picture": self.images[key], "kind": self.labels[key]}


class Pairs(Dataset):
    """A torch data set: an image and its label by number."""

    def __init__(self, images: list[Any], labels: list[Any]) -> None:
        self.images, self.kept = images, labels
        self.opened: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.opened.append(index)
        return self.images[index], self.kept[index]


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_model("builtin")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [draw(kind, rng) for kind in LABELS]


@pytest.fixture(scope="module")
def paths(pictures: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(len(pictures))]


@pytest.fixture(scope="module")
def expected(vlm: VLM, pictures: list[Image.Image]) -> np.ndarray:
    return probe(vlm).fit(pictures, LABELS).decision_function(pictures)


def probe(vlm: VLM) -> PromptClassifier:
    return PromptClassifier(vlm, "linear-probe", settings={"C": 1.0}, shots="all")


def test_columns_and_frames_give_what_a_list_gives(
    vlm: VLM, paths: list[str], pictures: list[Image.Image], expected: np.ndarray
) -> None:
    content = [Path(path).read_bytes() for path in paths]
    sources = {
        "column": Column(paths),
        "frame of one column": Frame({"anything": paths}),
        "frame": Frame({"id": range(12), "file_name": paths}),
        "map of columns": {"img": paths, "note": [""] * 12},
        "column of images": Frame({"id": range(12), "photo": pictures}),
        "column of files": Frame({"id": range(12), "photo": [{"bytes": data, "path": None} for data in content]}),
        "column array": np.array(paths)[:, None],
        "array of objects": np.array(paths, dtype=object),
    }
    for name, source in sources.items():
        classifier = probe(vlm).fit(source, Column(LABELS))
        assert np.allclose(classifier.decision_function(source), expected, atol=1e-4), name
        assert classifier.predict(source).tolist() == classifier.predict(paths).tolist(), name


def test_a_frame_with_its_own_labels(vlm: VLM, paths: list[str], expected: np.ndarray) -> None:
    numbers = [CLASSES.index(label) for label in LABELS]
    classifier = probe(vlm).fit(Frame({"path": paths, "label": numbers}))
    assert classifier.classes_.dtype.kind == "i" and classifier.classes_.tolist() == [0, 1, 2]
    assert np.allclose(classifier.decision_function(paths), expected, atol=1e-4)
    parts = ["train"] * 9 + ["test"] * 3
    split = probe(vlm).fit(Frame({"path": paths, "label": LABELS, "split": parts}))
    assert split.learned_ is not None and len(split.learned_.train) == 9


def test_cross_validation_over_a_column(vlm: VLM, paths: list[str]) -> None:
    scores = cross_val_score(probe(vlm), Column(paths), np.array(LABELS), cv=2, error_score="raise")
    assert len(scores) == 2 and scores.min() > 0.5


def test_a_hub_data_set_stays_lazy(vlm: VLM, pictures: list[Image.Image], expected: np.ndarray) -> None:
    labels = [CLASSES.index(label) for label in LABELS]
    source = HubDataset(pictures, labels, ["round", "box", "three corners"])
    classifier = probe(vlm).fit(source)
    assert classifier.classes_.tolist() == ["round", "box", "three corners"]
    assert np.allclose(classifier.decision_function(source), expected, atol=1e-4)
    assert np.allclose(probe(vlm).fit(source, LABELS).decision_function(source), expected, atol=1e-4)
    few = HubDataset(pictures, labels, ["round", "box", "three corners"])
    PromptClassifier(vlm, "linear-probe", settings={"C": 1.0}, shots=1).fit(few)
    assert len(set(few.opened)) == 3
    with pytest.raises(DataError, match="holds the parts 'train', 'test'; give one of them"):
        probe(vlm).fit({"train": source, "test": source})


def test_a_torch_data_set(vlm: VLM, pictures: list[Image.Image], expected: np.ndarray) -> None:
    classifier = probe(vlm).fit(Pairs(pictures, LABELS))
    assert np.allclose(classifier.decision_function(Pairs(pictures, LABELS)), expected, atol=1e-4)
    known = Pairs(pictures, LABELS)
    known.targets = [CLASSES.index(label) for label in LABELS]
    known.classes = list(CLASSES)
    one = PromptClassifier(vlm, "linear-probe", settings={"C": 1.0}, shots=1).fit(Subset(known, range(3, 12)))
    assert one.classes_.tolist() == list(CLASSES) and len(set(known.opened)) == 3 and min(known.opened) >= 3
    pixels = torch.stack([torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures])
    tensors = TensorDataset(pixels, torch.tensor([CLASSES.index(label) for label in LABELS]))
    assert np.allclose(probe(vlm).fit(tensors, LABELS).decision_function(tensors), expected, atol=1e-4)

    class Stream(IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            return iter(pictures)

    with pytest.raises(DataError, match="Stream has no length"):
        classifier.predict(Stream())
    with pytest.raises(DataError, match="cannot be a DataLoader"):
        classifier.predict(DataLoader(Pairs(pictures, LABELS)))


def test_an_item_that_cannot_be_fetched_is_unreadable() -> None:
    class Broken(Pairs):
        def __getitem__(self, index: int) -> Any:
            raise ValueError("no such shard")

    dataset = ImageDataset([DatasetItem(Broken([1], [1]), 0, None)], None, [])
    with pytest.raises(DataError, match="no such shard"):
        dataset.load(0)


def test_paths_are_not_decoded_at_once(vlm: VLM, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    opening = Image.open
    monkeypatch.setattr(
        Image, "open", lambda file, *rest, **more: opened.append(str(file)) or opening(file, *rest, **more)
    )
    train = load_dataset(Column(paths), labels=LABELS, make_split=False).any
    assert len(train) == 12 and not opened
    PromptClassifier(vlm, "linear-probe", settings={"C": 1.0}, shots=1).fit(Column(paths), LABELS)
    assert 0 < len(opened) <= 6


def test_one_array_is_one_image_or_refused(vlm: VLM, pictures: list[Image.Image], expected: np.ndarray) -> None:
    classifier = probe(vlm).fit(pictures, LABELS)
    one = np.array(pictures[0])
    alpha = np.dstack([one, np.full(one.shape[:2], 255, dtype=np.uint8)])
    same = {"(H, W, 3)": one, "(H, W, 4)": alpha, "float": one / 255.0, "tensor (H, W, 3)": torch.from_numpy(one)}
    for name, image in same.items():
        assert np.allclose(classifier.decision_function(image), expected[:1], atol=1e-3), name
    grey = np.array(pictures[0].convert("L"))
    for image in (grey[None], grey[:, :, None], torch.from_numpy(grey)[None]):
        assert classifier.predict(image).shape == (1,)
    for image in (torch.from_numpy(one).permute(2, 0, 1), one.transpose(2, 0, 1), alpha.transpose(2, 0, 1)):
        with pytest.raises(DataError, match=r"shape \([34], 40, 52\): one image .C, H, W., or [34] grey images"):
            classifier.predict(image)
    for image in (grey, torch.from_numpy(grey)):
        with pytest.raises(DataError, match=r"shape \(40, 52\)\. One grey image goes in a list"):
            classifier.predict(image)
    with pytest.raises(DataError, match="1 image but 40 labels"):
        classifier.score(one, ["circle"] * 40)


def test_a_classifier_of_grey_stacks_takes_stacks_of_any_length(vlm: VLM, pictures: list[Image.Image]) -> None:
    stack = np.stack([np.asarray(picture.convert("L")) for picture in pictures])
    classifier = probe(vlm).fit(stack, LABELS)
    for n in (1, 2, 3, 4, 12):
        assert np.allclose(classifier.decision_function(stack[:n]), classifier.decision_function(stack)[:n], atol=1e-3)


def test_arrays_of_paths_with_several_columns_are_refused(vlm: VLM, paths: list[str]) -> None:
    with pytest.raises(DataError, match=r"shape \(6, 2\); paths are a flat list"):
        probe(vlm).fit(np.array(paths).reshape(6, 2), LABELS[:6])
    with pytest.raises(DataError, match="Image 1 is missing: None"):
        probe(vlm).fit([paths[0], None], LABELS[:2])
    with pytest.raises(DataError, match="'id': 12, 'path': 11"):
        probe(vlm).fit({"id": range(12), "path": paths[:11]}, LABELS)


def test_y_beside_a_place_or_a_data_set(vlm: VLM, paths: list[str], expected: np.ndarray) -> None:
    with pytest.raises(DataError, match="y was given beside '.*', whose labels are its own"):
        probe(vlm).fit(str(Path(paths[0]).parent), LABELS)
    dataset = load_dataset(paths, labels=LABELS, make_split=False).any
    turned = [{"circle": "a", "square": "b", "triangle": "c"}[label] for label in LABELS]
    classifier = probe(vlm).fit(dataset, turned)
    assert classifier.classes_.tolist() == ["a", "b", "c"]
    assert np.allclose(classifier.decision_function(dataset), expected, atol=1e-4)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_real_data_frames(library: str, vlm: VLM, paths: list[str], expected: np.ndarray) -> None:
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({"path": paths, "label": LABELS})
    for images, labels in ((frame["path"], frame["label"]), (frame[["path"]], frame["label"]), (frame, None)):
        classifier = probe(vlm).fit(images, labels)
        assert np.allclose(classifier.decision_function(images), expected, atol=1e-4)
        assert classifier.score(images, LABELS) == np.mean(classifier.predict(images) == np.array(LABELS))
    assert len(cross_val_score(probe(vlm), frame["path"], np.array(LABELS), cv=2, error_score="raise")) == 2


def test_real_categories(vlm: VLM, paths: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    classifier = probe(vlm).fit(paths, pandas.Categorical(LABELS))
    assert classifier.classes_.tolist() == list(CLASSES)


def test_a_real_hub_data_set(vlm: VLM, paths: list[str], expected: np.ndarray) -> None:
    datasets = pytest.importorskip("datasets")
    if not hasattr(datasets, "Features"):
        pytest.skip("the package `datasets` is not installed; a folder of tests has its name")
    numbers = [CLASSES.index(label) for label in LABELS]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    source = datasets.Dataset.from_dict({"image": paths, "label": numbers}, features=features)
    assert np.allclose(probe(vlm).fit(source).decision_function(source), expected, atol=1e-4)
