"""The cache's files: damage, kills in the middle of writing, several processes, the cap, a disk that takes no more."""

import errno
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from coopt.data import ImageDataset, load_dataset
from coopt.features import CacheWarning, FeatureCache, encode_dataset
from coopt.features import cache as cache_module
from coopt.features.cache_keys import Space
from coopt.features.cache_shards import shard_bytes
from coopt.models import load_model
from tests.pictures import shapes_folder

WIDTH = 5


def space(name: str = "a", model: str = "fingerprint") -> Space:
    return Space({"fingerprint": model, "transform": name}, f"model of {model}", WIDTH)


def keys(*numbers: int) -> np.ndarray:
    """16 bytes a number, in no order of their own."""
    rng = [np.random.default_rng(number).bytes(16) for number in numbers]
    return np.frombuffer(b"".join(rng), dtype=np.uint8).reshape(-1, 16)


def rows(*numbers: int) -> torch.Tensor:
    """What belongs to the keys."""
    return torch.tensor([[number + 0.25 * i for i in range(WIDTH)] for number in numbers]).reshape(-1, WIDTH)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features", 10**7)


def store(cache: FeatureCache, *numbers: int, where: Space | None = None) -> Path:
    """The file that was written."""
    before = set(cache.folder.rglob("*.safetensors"))
    cache.store(where or space(), keys(*numbers), rows(*numbers))
    (written,) = set(cache.folder.rglob("*.safetensors")) - before
    return written


def found(cache: FeatureCache, *numbers: int, where: Space | None = None) -> list[bool]:
    """Which rows are there; those that are must be right."""
    features, here = cache.look_up(where or space(), keys(*numbers))
    assert torch.equal(features[torch.from_numpy(here)], rows(*numbers)[torch.from_numpy(here)])
    return here.tolist()


def test_rows_come_back_from_several_files(cache: FeatureCache) -> None:
    assert found(cache, 3, 5) == [False, False]
    store(cache, 7, 3, 11)
    store(cache, 5)
    assert found(cache, 2, 3, 5, 7, 11, 13, 3) == [False, True, True, True, True, False, True]
    assert found(cache, 3, where=space("b")) == [False]


def test_every_changed_byte_is_noticed(cache: FeatureCache) -> None:
    file = store(cache, 3, 5)
    content = file.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x41
        file.write_bytes(changed)
        with pytest.warns(CacheWarning, match="damaged"):
            assert found(cache, 3, 5) == [False, False], position
        assert not file.exists()


@pytest.mark.parametrize("size", [0, 5, 200, -1])
def test_a_cut_file_is_noticed(cache: FeatureCache, size: int) -> None:
    file = store(cache, 3, 5)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.warns(CacheWarning, match="damaged and is made again"):
        assert found(cache, 3, 5) == [False, False]
    store(cache, 3, 5)
    assert found(cache, 3, 5) == [True, True]


def test_a_file_in_another_space_is_not_believed(cache: FeatureCache) -> None:
    file, other = store(cache, 3, 5), store(cache, 2, where=space("b"))
    file.rename(other.parent / file.name)
    with pytest.warns(CacheWarning, match="belongs elsewhere"):
        assert found(cache, 3, 5, where=space("b")) == [False, False]


def test_damage_in_a_file_that_holds_nothing_wanted_is_noticed_in_its_keys(cache: FeatureCache) -> None:
    file = store(cache, 3, 5)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # the keys come last
    file.write_bytes(content)
    with pytest.warns(CacheWarning, match="keys do not have their checksum"):
        assert found(cache, 7) == [False]


def age(path: Path, seconds: int) -> None:
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_the_least_recently_used_goes_first(cache: FeatureCache) -> None:
    files = {number: store(cache, number, where=space(str(number))) for number in (2, 3, 5)}
    for number, seconds in ((2, 300), (3, 200), (5, 100)):
        age(files[number], seconds)
    assert found(cache, 2, where=space("2")) == [True]  # used now
    for number, left in ((7, {2, 5, 7}), (11, {2, 7, 11})):
        room = sum(file.stat().st_size for file in files.values() if file.exists())
        cache.max_bytes = room + shard_bytes(1, WIDTH) - 1  # one byte too little for one more
        files[number] = store(cache, number, where=space(str(number)))
        assert {number for number, file in files.items() if file.exists()} == left


def test_it_stays_below_the_cap(cache: FeatureCache) -> None:
    cache.max_bytes = 20_000
    for number in range(40):
        cache.store(space(str(number % 3)), keys(*range(number, number + 7)), rows(*range(number, number + 7)))
        assert sum(file.stat().st_size for file in cache.folder.rglob("*.safetensors")) <= 20_000
    assert found(cache, 39, 45, where=space("0")) == [True, True]


def test_what_is_larger_than_the_cap_is_not_kept(cache: FeatureCache) -> None:
    cache.max_bytes = 4000
    with pytest.warns(CacheWarning, match="more than its cap"):
        cache.store(space(), keys(3), rows(3))
    assert not cache.folder.exists()


def test_many_small_files_become_one(cache: FeatureCache) -> None:
    for number in range(2, 60):
        cache.store(space(), keys(number, 1), rows(number, 1))
    assert len(list(cache.folder.rglob("*.safetensors"))) <= cache_module.MAX_SMALL + 1
    assert found(cache, *range(1, 60)) == [True] * 59


def test_what_a_killed_process_left_goes_after_an_hour(cache: FeatureCache) -> None:
    home = store(cache, 3).parent
    old, young = home / ".x.safetensors.1.tmp", home / ".x.safetensors.2.tmp"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    age(old, 3700)
    store(cache, 5)
    assert not old.exists() and young.exists()
    assert found(cache, 3, 5) == [True, True]


def forked(*works: Callable[[], None]) -> list[int]:
    """The exit codes of processes that do the works side by side."""
    if sys.platform == "win32":
        pytest.skip("needs fork")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work) for work in works]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: the test process has threads
        for process in processes:
            process.start()
    for process in processes:
        process.join(timeout=100)
    return [process.exitcode if process.exitcode is not None else 99 for process in processes]


def die_half_written(tensors: object, path: Path, metadata: object = None, _save=safetensors.torch.save_file) -> None:
    _save(tensors, path, metadata=metadata)
    path.write_bytes(path.read_bytes()[:700])
    os._exit(7)


def die(*arguments: object, **settings: object) -> None:
    os._exit(7)


def die_after_replace(source: Path, target: Path, _replace: Callable[..., None] = os.replace) -> None:
    _replace(source, target)
    os._exit(7)


KILLS = {
    "before the first byte": ("safetensors.torch.save_file", die, False),
    "half written": ("safetensors.torch.save_file", die_half_written, False),
    "before it is on the disk": ("os.fsync", die, False),
    "before it has its name": ("os.replace", die, False),
    "just named": ("os.replace", die_after_replace, True),
    "before what was joined goes": ("coopt.features.cache.remove", die, True),
}


@pytest.mark.parametrize("point", KILLS)
def test_a_kill_leaves_complete_files_only(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    monkeypatch.setattr(cache_module, "MAX_SMALL", 2)
    store(cache, 2, 3)
    store(cache, 5)
    place, killer, there = KILLS[point]

    def work() -> None:
        monkeypatch.setattr(place, killer)
        cache.store(space(), keys(7, 11), rows(7, 11))

    assert forked(work) == [7]
    assert found(cache, 2, 3, 5, 7, 11) == [True, True, True, there, there]  # and no warning
    cache.store(space(), keys(7, 11), rows(7, 11))
    assert found(cache, 2, 3, 5, 7, 11) == [True] * 5
    for left in cache.folder.rglob(".*.tmp"):
        age(left, 3700)
    store(cache, 13)
    assert not list(cache.folder.rglob(".*.tmp"))


def test_a_kill_while_room_is_made_leaves_complete_files_only(cache: FeatureCache) -> None:
    for number in (2, 3, 5):
        age(store(cache, number), 100 - number)
    unlink = Path.unlink

    def work() -> None:
        def once(path: Path, missing_ok: bool = False) -> None:
            unlink(path, missing_ok)
            os._exit(7)

        Path.unlink = once  # type: ignore[method-assign]
        cache.max_bytes = 5000
        cache.store(space(), keys(7), rows(7))

    assert forked(work) == [7]
    assert found(cache, 2, 3, 5, 7) == [False, True, True, False]
    store(cache, 7)  # the lock went with the process
    assert found(cache, 3, 5, 7) == [True, True, True]


def test_processes_read_write_join_and_remove_at_once(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_SMALL", 4)

    def work(seed: int) -> Callable[[], None]:
        def run() -> None:
            warnings.simplefilter("error")
            rng = np.random.default_rng(seed)
            cache.max_bytes = 25_000
            for _ in range(40):
                numbers = [int(number) for number in rng.integers(1, 60, 13)]
                here = np.array(found(cache, *numbers))  # checks each row that is found
                missing = sorted({number for number, known in zip(numbers, here, strict=True) if not known})
                cache.store(space(), keys(*missing), rows(*missing))
            os._exit(0)

        return run

    assert forked(*(work(seed) for seed in range(4))) == [0, 0, 0, 0]
    found(cache, *range(1, 60))  # every file that is left is sound: a warning would be an error
    assert not list(cache.folder.rglob(".*.tmp"))


@pytest.mark.parametrize("written_anew", [False, True])
def test_a_file_that_goes_while_it_is_opened_is_missing_and_not_damaged(
    cache: FeatureCache, monkeypatch: pytest.MonkeyPatch, written_anew: bool
) -> None:
    """The library opens a file twice by its name; here it is removed between the two."""
    file = store(cache, 3, 5)
    content = file.read_bytes()
    from_file = torch.UntypedStorage.from_file

    def removed_first(name: str, *arguments: object, **options: object) -> object:
        Path(name).unlink()
        try:
            return from_file(name, *arguments, **options)
        finally:
            if written_anew:
                Path(name).write_bytes(content)

    monkeypatch.setattr(torch.UntypedStorage, "from_file", removed_first)
    assert found(cache, 3, 5) == [False, False]  # a warning would be an error
    monkeypatch.undo()
    assert found(cache, 3, 5) == [written_anew, written_anew]


@pytest.fixture
def shapes(tmp_path: Path) -> ImageDataset:
    train = load_dataset(str(shapes_folder(tmp_path / "shapes", n_train=2))).train
    assert train is not None
    return train


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_takes_nothing_is_told_once(
    shapes: ImageDataset, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    vlm = load_model("builtin")
    plain = encode_dataset(vlm, shapes, cache=False).features
    monkeypatch.setattr("coopt.features.cache_shards.write_tensors", refuse)
    with pytest.warns(CacheWarning, match=f"from here on: {os.strerror(code)}") as told:
        first = encode_dataset(vlm, shapes).features
        second = encode_dataset(vlm, shapes).features
    assert len(told) == 1
    assert torch.equal(first, plain) and torch.equal(second, plain)


def test_a_folder_that_cannot_be_made_is_told_once(
    shapes: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("COOPT_CACHE", str(tmp_path / "file"))
    vlm = load_model("builtin")
    with pytest.warns(CacheWarning, match="are not kept in") as told:
        assert len(encode_dataset(vlm, shapes).features) == 6
        encode_dataset(vlm, shapes)
    assert len(told) == 1


def test_a_write_that_the_system_breaks_off_is_a_warning(cache: FeatureCache) -> None:
    """A real one: the process may write no file of more than 1,000 bytes."""

    def work() -> None:
        import resource  # where there is a fork, there is this

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            cache.store(space(), keys(*range(100)), rows(*range(100)))
            cache.store(space(), keys(*range(100)), rows(*range(100)))
        left = [path for path in cache.folder.rglob("*") if path.is_file() and path.name != ".lock"]
        os._exit(0 if [w.category for w in told] == [CacheWarning] and not left else 1)

    assert forked(work) == [0]


def test_a_cache_that_may_only_be_read_is_read(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    store(cache, 3, 5)

    def refuse(*arguments: object, **settings: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("os.utime", refuse)
    monkeypatch.setattr("os.open", refuse)  # the lock
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert found(cache, 3, 5) == [True, True]
    with pytest.warns(CacheWarning, match="Read-only file system"):
        cache.store(space(), keys(7), rows(7))
    assert found(cache, 3, 5, 7) == [True, True, False]


def test_what_it_holds_by_model_and_clearing(cache: FeatureCache) -> None:
    assert cache.backbones() == [] and cache.clear() == 0
    store(cache, 2, 3, 5)
    store(cache, 7, where=space("b"))
    store(cache, 11, where=space(model="other/model name"))
    mine, other = cache.backbones()
    assert (mine.fingerprint, mine.model, mine.images) == ("fingerprint", "model of fingerprint", 4)
    assert (other.fingerprint, other.model, other.images) == ("other-model-name", "model of other/model name", 1)
    size = sum(file.stat().st_size for file in cache.folder.rglob("*.safetensors"))
    assert mine.size + other.size == size
    assert cache.clear() == size
    assert cache.backbones() == [] and found(cache, 2, 7) == [False, False]
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]
