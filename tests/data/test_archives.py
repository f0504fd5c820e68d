"""Zip and tar archives: the same as the folder, read in place, and refused where they are not safe."""

import io
import pickle
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from data_helpers import class_paths, picture, png

from coopt.data import archives, load_dataset
from coopt.data.decode import UnreadableImageError
from coopt.errors import DataError

Make = Callable[..., Path]
KINDS = ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"]


def pack(folder: Path, kind: str, prefix: str = "") -> Path:
    target = folder.parent / f"packed.{kind}"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    else:
        mode = {"tar": "w", "tgz": "w:gz"}.get(kind, f"w:{kind[4:]}")
        with tarfile.open(target, mode) as archive:
            for file in files:
                archive.add(file, prefix + file.relative_to(folder).as_posix())
    return target


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "./", "my-data/"])
def test_an_archive_is_its_folder(make_files: Make, kind: str, prefix: str) -> None:
    root = make_files("data", *class_paths({"a": 3, "b": 4}), ".hidden", contents={"readme.txt": "x"})
    folder, packed = load_dataset(root), load_dataset(pack(root, kind, prefix))
    for name, part in folder.parts.items():
        other = packed.parts[name]
        assert (other.names, other.labels.tolist(), other.class_names) == (
            part.names,
            part.labels.tolist(),
            part.class_names,
        )
        assert [other.load(i).tobytes() for i in range(len(part))] == [part.load(i).tobytes() for i in range(len(part))]
    assert packed.ignored_files == folder.ignored_files == 2


def test_splits_and_tables_in_archives(make_files: Make) -> None:
    root = make_files("data", *class_paths({"a": 2, "b": 2}, "train/"), *class_paths({"a": 1, "b": 1}, "test/"))
    assert list(load_dataset(pack(root, "zip")).parts) == ["train", "test"]
    root = make_files(
        "table",
        "images/0.png",
        "images/1.png",
        contents={"labels.csv": "image,label\nimages/0.png,a\nimages/1.png,b\n"},
    )
    for kind in ("zip", "tar.gz"):
        splits = load_dataset(pack(root, kind, "inside/"), make_split=False)
        assert splits.unsplit.load(1).tobytes() == picture(1).tobytes()


def test_parquet_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(
            Path(__file__).parent / "huggingface/parquet/data/train-00000-of-00001.parquet",
            "data/train-00000-of-00001.parquet",
        )
    dataset = load_dataset(tmp_path / "x.zip", split="train").train
    assert dataset.load(4).tobytes() == picture(4).tobytes()


def test_a_table_in_an_archive_sees_its_members_only(make_files: Make, tmp_path: Path) -> None:
    outside = make_files("secret", "0.png") / "0.png"
    root = make_files("data", "in.png", contents={"t.csv": f"image,label\nin.png,a\n{outside},b\n../secret/0.png,b\n"})
    dataset = load_dataset(pack(root, "zip"), make_split=False).unsplit
    assert dataset.load(0).size == (7, 5)
    for index in (1, 2):
        with pytest.raises(UnreadableImageError, match="the file does not exist"):
            dataset.load(index)


@pytest.mark.parametrize("kind", KINDS)
def test_members_travel_to_other_processes(make_files: Make, kind: str) -> None:
    dataset = load_dataset(pack(make_files("data", *class_paths({"a": 2, "b": 2})), kind)).train
    assert pickle.loads(pickle.dumps(dataset)).load(0).tobytes() == dataset.load(0).tobytes()


def test_nothing_is_unpacked_and_nothing_stays(
    make_files: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    removals: list[tuple] = []
    monkeypatch.setattr(archives.atexit, "register", lambda *call: removals.append(call))
    root = make_files("data", *class_paths({"a": 2, "b": 2}))
    load_dataset(pack(root, "zip"))
    load_dataset(pack(root, "tar"))
    assert list(place.iterdir()) == []
    load_dataset(pack(root, "tar.gz"))
    assert len(list(place.iterdir())) == 1  # the plain tar, until the program ends
    for function, *arguments in removals:
        function(*arguments)
    assert list(place.iterdir()) == []


def zip_with(path: Path, name: str, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, png(picture(0)))
    return path


def tar_with(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = "/etc/passwd"
        content = png(picture(0))
        info.size = len(content) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../a/0.png", "a/../../0.png", "/a/0.png", "..\\a\\0.png", "C:/a/0.png"])
def test_paths_outside_are_refused(tmp_path: Path, name: str) -> None:
    for archive in (zip_with(tmp_path / "x.zip", name), tar_with(tmp_path / "x.tar", name)):
        with pytest.raises(DataError, match=r"has a member that points outside it: '.*0.png'. It is not read"):
            load_dataset(archive)


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    made = [
        tar_with(tmp_path / f"{kind!r}.tar", "a/0.png", kind)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
    ]
    for archive in (zip_with(tmp_path / "x.zip", "a/0.png", stat.S_IFLNK | 0o777), *made):
        with pytest.raises(DataError, match="a member that is a link or a device: 'a/0.png'"):
            load_dataset(archive)


def test_sizes_are_limited(make_files: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_files("data", *class_paths({"a": 2, "b": 2}), contents={"a/big.png": bytes(20_011)})
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 20_000)
    for kind in ("zip", "tar", "tar.gz"):
        with pytest.raises(DataError, match="a member of 20,011 bytes .*big.png'.; the limit is 20,000"):
            load_dataset(pack(root, kind))
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 30_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="has more than 3 members"):
        load_dataset(pack(root, "zip"))


def test_a_member_that_lies_about_its_size(make_files: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(pack(make_files("data", *class_paths({"a": 2, "b": 2})), "zip")).train
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 10)
    with pytest.raises(UnreadableImageError, match="it is larger than 10 bytes"):
        dataset.load(0)


def test_a_tar_bomb_is_refused_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(archives, "FREE_BYTES", 2**20)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("a/0.png")
        info.size = 2**23
        archive.addfile(info, io.BytesIO(bytes(2**23)))
    with pytest.raises(DataError, match="grows beyond .* bytes when decompressed"):
        load_dataset(tmp_path / "x.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives(make_files: Make, kind: str) -> None:
    packed = pack(make_files("data", *class_paths({"a": 9, "b": 9})), kind)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(DataError, match="packed.* cannot be read"):
        load_dataset(packed)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "x.zip", "a/0.png")
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is encrypted \('a/0.png'\). Decrypt it first"):
        load_dataset(path)


def raw_zip(target: Path, names: list[bytes]) -> Path:
    """A zip whose names are these bytes, without the flag that says that they are UTF-8."""
    content, folder = b"", b""
    for seed, name in enumerate(names):
        data, at = png(picture(seed)), len(content)
        facts = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), 0)
        content += b"PK\x03\x04" + facts + name + data
        folder += b"PK\x01\x02" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, at) + name
    n = len(names)
    end = struct.pack("<HHHHIIH", 0, 0, n, n, len(folder), len(content), 0)
    target.write_bytes(content + folder + b"PK\x05\x06" + end)
    return target


@pytest.mark.parametrize(("encoding", "labels", "is_said"), [
    ("utf-8", ["naïve", "猫"], False),
    ("gbk", ["狗", "猫"], True),
    ("cp437", ["dog", "naïve"], True),
    ("cp1252", ["dog", "naïve"], True),
    ("ascii", ["cat", "dog"], False),
])  # fmt: skip
def test_names_in_a_code_page_that_is_not_said(tmp_path: Path, encoding: str, labels: list[str], is_said: bool) -> None:
    names = [f"{label}/{i}.png".encode(encoding) for label in labels for i in range(2)]
    splits = load_dataset(raw_zip(tmp_path / "x.zip", names))
    if encoding in ("utf-8", "cp437", "ascii"):
        assert splits.any.class_labels == labels
    assert any("do not say in which code page" in note for note in splits.notes) is is_said
    whole = splits.whole()
    assert sorted(whole.load(i).tobytes() for i in range(4)) == sorted(picture(seed).tobytes() for seed in range(4))
