"""The feature cache seen from `encode_dataset`: the same bits with and without it, and nothing encoded twice."""

import json
import time
from pathlib import Path

import pytest
import torch

from coopt.cli import main
from coopt.data import ImageDataset, UnreadableImageError
from coopt.errors import ConfigError
from coopt.features import CacheWarning, encode_dataset, encode_views
from coopt.models import VLM
from tests.counted import cache_files, encoded_by, opens


def test_a_hit_equals_a_miss_and_encodes_nothing(vlm: VLM, shapes: ImageDataset) -> None:
    plain = encode_dataset(vlm, shapes, cache=False)
    assert not cache_files()
    cold, n_cold = encoded_by(vlm, lambda: encode_dataset(vlm, shapes))
    warm, n_warm = encoded_by(vlm, lambda: encode_dataset(vlm, shapes, batch_size=2, n_workers=1))
    assert (n_cold, n_warm) == (12, 0)  # 9 images in chunks of 4
    for found in (cold, warm):
        assert torch.equal(found.features, plain.features)
        assert found.indices.tolist() == list(range(9)) and found.skipped == []


def test_a_feature_does_not_depend_on_what_else_is_encoded(vlm: VLM, shapes: ImageDataset) -> None:
    whole = encode_dataset(vlm, shapes, cache=False).features
    for order in ([8, 3, 5, 0, 7], [4], [2, 1]):
        part = encode_dataset(vlm, shapes.subset(order), batch_size=3, cache=False)
        assert torch.equal(part.features, whole[order])


def test_only_images_that_are_not_there_are_encoded(vlm: VLM, shapes: ImageDataset) -> None:
    plain = encode_dataset(vlm, shapes, cache=False).features
    encode_dataset(vlm, shapes.subset([8, 2, 5]))
    seen: list[tuple[int, int]] = []
    whole, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes, progress=lambda *numbers: seen.append(numbers)))
    assert n == 8  # 6 images
    assert torch.equal(whole.features, plain)
    assert seen == [(3, 9), (9, 9), (9, 9)]


def test_views_are_cached_each_for_itself(vlm: VLM, shapes: ImageDataset) -> None:
    plain = encode_views(vlm, shapes, 3, seed=5, cache=False)
    two = encode_views(vlm, shapes, 2, seed=5)
    three, n = encoded_by(vlm, lambda: encode_views(vlm, shapes, 3, seed=5))
    assert n == 12  # the third view alone
    assert torch.equal(two, plain[:2]) and torch.equal(three, plain)


def test_features_are_written_as_they_come(vlm: VLM, shapes: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed cannot write at the end, so it loses the last few images at most."""
    monkeypatch.setattr("coopt.features.known.STORE_EVERY", 4)
    written = []
    encode_dataset(vlm, shapes, batch_size=2, progress=lambda done, total: written.append(len(cache_files())))
    # Before the first batch, after those of 2, 2, 2, 2 and 1 images, and after the last write.
    assert written == [0, 0, 1, 1, 2, 2, 3]


def test_unreadable_images_are_reported_on_a_warm_cache_too(vlm: VLM, folder: Path, shapes: ImageDataset) -> None:
    (folder / "train" / "circle" / "1.png").write_bytes(b"not an image")
    (folder / "train" / "square" / "0.png").unlink()
    cut = folder / "train" / "triangle" / "2.png"
    cut.write_bytes(cut.read_bytes()[:60])
    plain = encode_dataset(vlm, shapes, cache=False)
    assert [Path(name).stem for name, _ in plain.skipped] == ["1", "0", "2"]
    for _ in range(2):
        found = encode_dataset(vlm, shapes)
        assert found.skipped == plain.skipped
        assert found.indices.tolist() == plain.indices.tolist() == [0, 2, 4, 5, 6, 7]
        assert torch.equal(found.features, plain.features)
    with pytest.raises(UnreadableImageError, match="circle/1.png.*not an image of a known format"):
        encode_dataset(vlm, shapes, strict=True)


def test_an_image_that_changes_after_it_was_read_is_kept_as_it_was(vlm: VLM, folder: Path) -> None:
    """What is decoded is what the key is made of, whatever lies in the file by then."""
    first, second = (file.read_bytes() for file in sorted((folder / "train").rglob("*.png"))[:2])

    class Changing:
        contents = [first, second, second]

        def read(self) -> bytes:
            return self.contents.pop(0)

    changing = Changing()
    found = encode_dataset(vlm, ImageDataset([changing], None, []))
    assert changing.contents == [second, second]  # it was read once
    for content, n_encoded in ((first, 0), (second, 4)):
        dataset = ImageDataset([content], None, [])
        result, n = encoded_by(vlm, lambda dataset=dataset: encode_dataset(vlm, dataset))
        assert n == n_encoded
        assert torch.equal(result.features, encode_dataset(vlm, dataset, cache=False).features)
        assert torch.equal(result.features, found.features) == (content == first)


@pytest.mark.parametrize("n_views", [0, 3])
def test_each_image_is_read_once_and_decoded_at_most_once(
    vlm: VLM, folder: Path, shapes: ImageDataset, monkeypatch: pytest.MonkeyPatch, n_views: int
) -> None:
    with opens(monkeypatch) as seen:
        encode_views(vlm, shapes, n_views, seed=5)
        assert (seen.files, seen.decoded) == (9, 9)
    with opens(monkeypatch) as seen:
        encode_views(vlm, shapes, n_views, seed=5)
        assert (seen.files, seen.decoded) == (9, 0)
    (folder / "train" / "circle" / "1.png").write_bytes((folder / "test" / "circle" / "1.png").read_bytes())
    with opens(monkeypatch) as seen:
        encode_views(vlm, shapes, n_views, seed=5)
        assert (seen.files, seen.decoded) == (9, 1)


def test_images_known_and_new_by_turns_fill_whole_chunks(vlm: VLM, shapes: ImageDataset) -> None:
    plain = encode_dataset(vlm, shapes, cache=False).features
    encode_dataset(vlm, shapes.subset([0, 3, 6]))
    whole, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes, batch_size=3))
    assert n == 8  # 6 images of 3 batches
    assert torch.equal(whole.features, plain)


def test_an_interruption_keeps_what_was_encoded(vlm: VLM, shapes: ImageDataset) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_dataset(vlm, shapes, batch_size=5, progress=stop)
    result, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes))
    assert n == 4
    assert torch.equal(result.features, encode_dataset(vlm, shapes, cache=False).features)


class Marked:
    """An image that leaves a file where it is decoded."""

    def __init__(self, content: bytes, mark: Path) -> None:
        self.content = content
        self.mark = mark

    def read(self) -> bytes:
        self.mark.touch()
        return self.content


def test_workers_decode_while_the_tower_computes(vlm: VLM, folder: Path, tmp_path: Path) -> None:
    content = (folder / "train" / "circle" / "0.png").read_bytes()
    marks = [tmp_path / f"{index}.mark" for index in range(3)]
    dataset = ImageDataset([Marked(content, mark) for mark in marks], None, [])
    inner = vlm._encode_image

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        deadline = time.monotonic() + 60
        while not marks[1].exists() and time.monotonic() < deadline:
            time.sleep(0.01)  # the first batch is done when the second one is being decoded
        assert marks[1].exists()
        return inner(pixels)

    vlm._encode_image = encode
    assert len(encode_dataset(vlm, dataset, batch_size=1, n_workers=1, cache=False).features) == 3


@pytest.mark.parametrize(("name", "value"), [("COOPT_CACHE", "off"), ("COOPT_CACHE", ""), ("COOPT_CACHE_GB", "0")])
def test_it_can_be_switched_off(
    vlm: VLM, shapes: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("COOPT_CACHE", str(tmp_path / "named"))
    monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert encoded_by(vlm, lambda: encode_dataset(vlm, shapes))[1] == 12
    assert not list(tmp_path.rglob("*.safetensors"))


def test_without_the_variable_it_lies_in_the_users_cache_folder(
    vlm: VLM, shapes: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COOPT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    encode_dataset(vlm, shapes)
    assert len(list((tmp_path / "user" / "coopt" / "features" / vlm.fingerprint).rglob("*.safetensors"))) == 1


@pytest.mark.parametrize("value", ["ten", "-1", "nan", "inf"])
def test_the_cap_must_be_a_number(vlm: VLM, shapes: ImageDataset, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("COOPT_CACHE_GB", value)
    with pytest.raises(ConfigError, match=f"COOPT_CACHE_GB is '{value}'; allowed is a number of gigabytes"):
        encode_dataset(vlm, shapes)


def test_a_damaged_file_is_made_again(vlm: VLM, shapes: ImageDataset) -> None:
    plain = encode_dataset(vlm, shapes).features
    (file,) = cache_files()
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.warns(CacheWarning, match=f"damaged and is made again: {file}"):
        rebuilt, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes).features)
    assert n == 12 and torch.equal(rebuilt, plain)
    again, n = encoded_by(vlm, lambda: encode_dataset(vlm, shapes).features)
    assert n == 0 and torch.equal(again, plain)


def test_a_run_is_the_same_cold_warm_and_without_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def run(name: str, *more: str) -> Path:
        command = ["fit", str(folder), "--set", "n_ctx=2", "--epochs", "3", "--views", "2", "--batch-size", "5"]
        with pytest.raises(SystemExit) as stop:
            main([*command, "--shots", "3", "--out", str(tmp_path / name), *more])
        assert not stop.value.code
        return tmp_path / name

    run("fewer", "--seed", "2", "--shots", "1")  # leaves some of the images in the cache, encoded among others
    cold = run("cold")
    warm = run("warm")
    monkeypatch.setenv("COOPT_CACHE", "off")
    without = run("without")
    for name in ("adapter_model.safetensors", "classifier.safetensors", "adapter_config.json"):
        assert (cold / name).read_bytes() == (warm / name).read_bytes() == (without / name).read_bytes()
    lines = [(run / "metrics.jsonl").read_text().splitlines()[-1] for run in (cold, warm, without)]
    assert json.loads(lines[0]) == json.loads(lines[1]) == json.loads(lines[2])
