"""Hugging Face data sets: folders that the `datasets` package wrote (tests/data/huggingface), cards, hub addresses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import picture, png

from coopt.data import hub, load_dataset
from coopt.errors import DataError

Make = Callable[..., Path]
WRITTEN = Path(__file__).parent / "huggingface"


@pytest.mark.parametrize(("folder", "first_name"), [
    ("saved_splits", "train/data-00000-of-00001.arrow row 1"),
    ("parquet", "data/train-00000-of-00001.parquet row 1"),
])  # fmt: skip
def test_written_splits(folder: str, first_name: str) -> None:
    splits = load_dataset(WRITTEN / folder)
    assert splits.class_names == ["zebra", "ant eater", "cat"]  # the declared order, not the sorted one
    assert splits.train.labels.tolist() == [0, 1, 2, 0, 1] and splits.test.labels.tolist() == [0, 1, 2]
    assert splits.val is None and splits.train.names[0] == first_name
    for part, first in ((splits.train, 0), (splits.test, 100)):
        for index in range(len(part)):
            assert part.load(index).tobytes() == picture(first + index).tobytes()


def test_written_shards() -> None:
    dataset = load_dataset(WRITTEN / "saved_shards", make_split=False).unsplit
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert [dataset.load(i).tobytes() for i in range(7)] == [picture(i).tobytes() for i in range(7)]


def test_a_selection_that_was_not_written_out(tmp_path: Path) -> None:
    shutil.copytree(WRITTEN / "saved_shards", tmp_path / "x")
    state = tmp_path / "x/state.json"
    state.write_text(state.read_text().replace('"_split"', '"_indices_data_files": ["i.arrow"], "_split"'))
    with pytest.raises(DataError, match="has rows selected but not written out"):
        load_dataset(tmp_path / "x")


def test_a_damaged_saved_data_set(tmp_path: Path) -> None:
    shutil.copytree(WRITTEN / "saved_splits", tmp_path / "x")
    (tmp_path / "x/train/data-00000-of-00001.arrow").write_bytes(b"junk")
    with pytest.raises(DataError, match="train/data-00000-of-00001.arrow' is not a readable Arrow file"):
        load_dataset(tmp_path / "x")
    (tmp_path / "x/train/state.json").write_text("{")
    with pytest.raises(DataError, match="train/state.json', a part of a saved data set, cannot be read"):
        load_dataset(tmp_path / "x")


CARD = """---
license: mit
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': zebra
          '1': ant_eater
---
# A card
"""


def test_class_names_from_the_card_and_hidden_test_labels(make_files: Make) -> None:
    root = make_files("data", contents={"README.md": CARD})
    for name, labels in {
        "train-00000-of-00002": [0, 1],
        "train-00001-of-00002": [1, 0],
        "test-00000-of-00001": [-1, -1],
    }.items():
        images = [{"bytes": png(picture(seed)), "path": "x"} for seed in range(len(labels))]
        pq.write_table(pa.table({"image": images, "label": labels}), root / f"{name}.parquet")
    train = load_dataset(root, split="train").train
    assert train.class_names == ["zebra", "ant eater"] and train.labels.tolist() == [0, 1, 1, 0]
    made = load_dataset(root)
    assert len(made.train) + len(made.test) == 4  # of the part with labels
    assert "the test part is not used, since it has no labels: 2 images that can be predicted" in made.notes
    assert load_dataset(root, split="test", require_labels=False).test.labels is None


def test_labels_outside_the_declared_names(make_files: Make) -> None:
    root = make_files("data", contents={"README.md": CARD})
    pq.write_table(pa.table({"image": [png(picture(0))] * 3, "label": [0, 1, 5]}), root / "train.parquet")
    with pytest.raises(DataError, match="has label 5 in 'label', but names 2 classes"):
        load_dataset(root)


def snapshot(monkeypatch: pytest.MonkeyPatch, answer: object) -> list[dict]:
    calls: list[dict] = []

    def fake(repository: str, **settings: object) -> str:
        calls.append({"repository": repository, **settings})
        result = answer(settings) if callable(answer) else answer
        if isinstance(result, Exception):
            raise result
        return str(result)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fake)
    return calls


def test_a_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = snapshot(monkeypatch, WRITTEN / "parquet")
    assert len(load_dataset("hf:owner/animals").train) == 5
    assert len(load_dataset("hf:owner/animals/data@v1.2").train) == 5
    assert [(call["repository"], call["repo_type"], call["revision"]) for call in calls] == [
        ("owner/animals", "dataset", None),
        ("owner/animals", "dataset", "v1.2"),
    ]
    assert "*.parquet" in calls[0]["allow_patterns"] and "data/*.parquet" in calls[1]["allow_patterns"]
    assert {"*.ndjson", "*.tar.xz", "*.JPG"} <= set(calls[0]["allow_patterns"])  # all that a local copy is read from
    assert not any(pattern.endswith((".py", "*")) for call in calls for pattern in call["allow_patterns"])
    with pytest.raises(DataError, match="'owner/animals' has no folder 'date'; it has 'data'"):
        load_dataset("hf:owner/animals/date")


def test_a_data_set_of_a_script_uses_the_conversion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = snapshot(monkeypatch, lambda settings: WRITTEN / "parquet" if settings["revision"] else tmp_path)
    assert len(load_dataset("hf:owner/animals").test) == 3
    assert [call["revision"] for call in calls] == [None, "refs/convert/parquet"]


def test_one_archive_on_the_hub(monkeypatch: pytest.MonkeyPatch, make_files: Make, tmp_path: Path) -> None:
    files = make_files("files", "a/0.png", "a/1.png", "b/0.png", "b/1.png")
    (tmp_path / "repository").mkdir()
    shutil.make_archive(str(tmp_path / "repository/all"), "zip", files)
    snapshot(monkeypatch, tmp_path / "repository")
    assert load_dataset("hf:owner/animals").class_names == ["a", "b"]


def test_no_data_on_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    snapshot(monkeypatch, tmp_path)
    with pytest.raises(DataError, match="'owner/animals' has no images and no table of images"):
        load_dataset("hf:owner/animals")


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    # tests/conftest.py switches the hub's offline mode on, and nothing is in the cache.
    with pytest.raises(
        DataError, match=r"'hf:owner/animals' could not be read from https://.*: offline mode is on \(HF_HUB_OFFLINE\)"
    ):
        load_dataset("hf:owner/animals")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    snapshot(monkeypatch, ConnectionError("Name or service not known.\nlong trace"))
    with pytest.raises(DataError, match=r"could not be read from .*: Name or service not known. Check the name"):
        load_dataset("hf:owner/animals")


@pytest.mark.parametrize("address", ["hf:", "hf:owner", "hf:owner/", "hf:own er/x"])
def test_wrong_addresses(address: str) -> None:
    with pytest.raises(DataError, match=f"'{address}' is not the address of a data set on the hub"):
        hub.download(address)
