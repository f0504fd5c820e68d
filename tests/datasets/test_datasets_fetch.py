"""Fetching and checking: from a server on this machine that cuts off, lies and goes away; archives that mean harm."""

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coopt.datasets import BENCHMARKS, fetch, load_benchmark
from coopt.datasets.check import check_benchmark
from coopt.datasets.facts import RemoteFile
from coopt.datasets.fetch import fetch_benchmark, fetch_file, names_of
from coopt.datasets.splits import write_split_file
from coopt.datasets.unpack import merge, unpack
from coopt.download import ATTEMPTS
from coopt.errors import ConfigError, DataError
from tests.datasets.benchmark_layouts import LAYOUTS, image
from tests.serving import COMMIT, CONTENT, Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


def remote(server: Server, name: str = "set.tar", **settings: object) -> RemoteFile:
    return RemoteFile(f"http://127.0.0.1:{server.server_port}/{name}", **settings)


MD5 = hashlib.md5(CONTENT).hexdigest()


class TestDownload:
    def test_once_and_checked(self, server: Server, tmp_path: Path) -> None:
        seen: list[tuple[str, int, int]] = []
        path = fetch_file(remote(server, md5=MD5), tmp_path / "a", lambda *facts: seen.append(facts))
        assert path.read_bytes() == CONTENT and seen[-1] == ("set.tar", 256_000, 256_000)
        assert fetch_file(remote(server, md5=MD5), tmp_path / "a") == path and len(server.requests) == 1

    def test_a_broken_connection_is_taken_up_again(self, server: Server, tmp_path: Path) -> None:
        server.cuts = [100_000, 50_000]
        assert fetch_file(remote(server, md5=MD5), tmp_path).read_bytes() == CONTENT
        assert [asked for _, _, asked in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
        assert [path.name for path in tmp_path.iterdir()] == ["set.tar"]

    def test_the_next_call_goes_on(self, server: Server, tmp_path: Path) -> None:
        server.cuts = [100_000, 0]
        with pytest.raises(
            DataError, match=r"closed after 100,000 of 256,000 bytes. The 100,000 bytes that arrived are kept"
        ):
            fetch_file(remote(server), tmp_path)
        assert not (tmp_path / "set.tar").exists() and len(server.requests) == 2
        assert fetch_file(remote(server, md5=MD5), tmp_path).read_bytes() == CONTENT
        assert server.requests[-1][2] == "bytes=100000-"

    def test_it_gives_up(self, server: Server, tmp_path: Path) -> None:
        server.cuts = [1] * 99
        with pytest.raises(DataError, match=f"closed after {ATTEMPTS} of 256,000 bytes"):
            fetch_file(remote(server), tmp_path)

    def test_a_site_without_ranges_starts_over(self, server: Server, tmp_path: Path) -> None:
        server.cuts, server.ranges = [100_000], False
        assert fetch_file(remote(server, md5=MD5), tmp_path).read_bytes() == CONTENT

    def test_a_download_that_only_lacked_its_check_is_taken(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "set.tar.part").write_bytes(CONTENT)
        assert fetch_file(remote(server, md5=MD5), tmp_path).read_bytes() == CONTENT

    @pytest.mark.parametrize("kind", ["md5", "sha256"])
    def test_another_content_is_removed(self, kind: str, server: Server, tmp_path: Path) -> None:
        published = hashlib.new(kind, CONTENT).hexdigest()
        server.files["set.tar"] = b"x" + CONTENT[1:]
        with pytest.raises(DataError, match=f"{kind.upper()} .*, not the published {published}; the file was removed"):
            fetch_file(remote(server, **{kind: published}), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_dead_site(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"/gone.zip answers 404 .*the site has moved or is dead"):
            fetch_file(remote(server, "gone.zip"), tmp_path)
        # The port that discards: nobody listens.
        with pytest.raises(DataError, match=r"http://127.0.0.1:9/x.zip could not be fetched: .*refused"):
            fetch_file(RemoteFile("http://127.0.0.1:9/x.zip"), tmp_path)


def tar_of(*members: tarfile.TarInfo, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size if kind == tarfile.REGTYPE else 0, link
    return info


def zip_of(files: dict[str, bytes], links: tuple[str, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


HARMFUL = {
    "up.tar": (tar_of(member("data/ok.jpg"), member("../out.jpg")), "points outside it: '../out.jpg'"),
    "absolute.tar": (tar_of(member("/tmp/out.jpg")), "points outside it: '/tmp/out.jpg'"),
    "deep.tgz": (tar_of(member("a/b/../../../out.jpg"), mode="w:gz"), "points outside it"),
    "link.tar": (tar_of(member("a", tarfile.SYMTYPE, link="/etc")), "is a link or a device: 'a'"),
    "hard.tar": (tar_of(member("a"), member("b", tarfile.LNKTYPE, link="a")), "is a link or a device: 'b'"),
    "device.tar": (tar_of(member("a", tarfile.CHRTYPE)), "is a link or a device: 'a'"),
    "pipe.tar": (tar_of(member("a", tarfile.FIFOTYPE)), "is a link or a device: 'a'"),
    "up.zip": (zip_of({"../out.jpg": b"x"}), "points outside it: '../out.jpg'"),
    "windows.zip": (zip_of({"C:\\out.jpg": b"x"}), "points outside it"),
    "back.zip": (zip_of({"..\\out.jpg": b"x"}), "points outside it"),
    "link.zip": (zip_of({"a": b"/etc"}, links=("a",)), "is a link or a device: 'a'"),
}


class TestUnpack:
    @pytest.mark.parametrize("name", HARMFUL)
    def test_harmful_archives_are_refused(self, name: str, tmp_path: Path) -> None:
        content, message = HARMFUL[name]
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / name).write_bytes(content)
        with pytest.raises(DataError, match=re.escape(message)):
            unpack(tmp_path / "here" / name, tmp_path / "here" / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["here"]
        assert not any(path.is_symlink() for path in (tmp_path / "here").rglob("*"))

    def test_a_bomb_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("coopt.datasets.unpack.FREE_BYTES", 10_000)
        (tmp_path / "bomb.zip").write_bytes(zip_of({"a": b"0" * 3_000_000}))
        with pytest.raises(DataError, match="grows beyond .* bytes when unpacked"):
            unpack(tmp_path / "bomb.zip", tmp_path / "out")

    @pytest.mark.parametrize("cut", [700, 1100, 40])
    def test_a_truncated_archive_is_refused(self, cut: int, tmp_path: Path) -> None:
        whole = tar_of(member("a/1.jpg", size=600), member("a/2.jpg", size=600))
        (tmp_path / "a.tar").write_bytes(whole[:cut])
        with pytest.raises(DataError, match="cannot be unpacked"):
            unpack(tmp_path / "a.tar", tmp_path / "out")

    def test_damaged_bytes_are_noticed(self, tmp_path: Path) -> None:
        content = bytearray(zip_of({"a/1.jpg": bytes(range(251)) * 31}))
        content[60] ^= 255
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(DataError, match="cannot be unpacked"):
            unpack(tmp_path / "a.zip", tmp_path / "out")

    def test_a_folder_of_the_archive(self, tmp_path: Path) -> None:
        members = [
            member(name) for name in ("./set/data/images/1.jpg", "set/data/._1.jpg", "set/README", "set/data/x.txt")
        ]
        (tmp_path / "a.tgz").write_bytes(tar_of(*members, mode="w:gz"))
        assert unpack(tmp_path / "a.tgz", tmp_path / "out", "set/data") == 2
        assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")) == [
            "images/1.jpg",
            "x.txt",
        ]
        with pytest.raises(DataError, match="has no files below 'other'"):
            unpack(tmp_path / "a.tgz", tmp_path / "out", "other")

    def test_merging_replaces_nothing(self, tmp_path: Path) -> None:
        for folder, text in (("new", "new"), ("old", "old")):
            (tmp_path / folder / "a").mkdir(parents=True)
            (tmp_path / folder / "a/same.txt").write_text(text)
            (tmp_path / folder / f"a/{text}.txt").write_text(text)
        merge(tmp_path / "new", tmp_path / "old")
        found = {path.name: path.read_text() for path in (tmp_path / "old/a").iterdir()}
        assert found == {"same.txt": "old", "old.txt": "old", "new.txt": "new"} and not (tmp_path / "new").exists()


def packed(folder: Path, name: str) -> bytes:
    """A data set's folder as the mirror packs it: the folder itself at the top."""
    return zip_of(
        {f"{name}/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    )


@pytest.fixture
def hub(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The mirror, with DTD in it."""
    LAYOUTS["dtd"](tmp_path / "made" / "dtd")
    server.files["dtd.zip"] = packed(tmp_path / "made" / "dtd", "dtd")
    monkeypatch.setattr(fetch, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return server


class TestMirror:
    def test_a_set_comes_whole(self, hub: Server, tmp_path: Path) -> None:
        fetched = fetch_benchmark("dtd", tmp_path / "root")
        assert fetched.source == "zhengli97/prompt_learning_dataset on the Hugging Face hub"
        assert fetched.check.n_images == {"train": 21, "val": 9, "test": 14}
        assert len(load_benchmark("dtd", tmp_path / "root").train) == 21
        assert sorted(path.name for path in (tmp_path / "root").iterdir() if "lock" not in path.name) == ["dtd"]
        assert hub.requests[0][1] == "/zhengli97/prompt_learning_dataset/resolve/main/dtd.zip"  # a model repository
        assert any(COMMIT in path for _, path, _ in hub.requests)

    def test_another_checksum_than_the_hub_states(self, hub: Server, tmp_path: Path) -> None:
        hub.sha256 = "0" * 64
        with pytest.raises(DataError, match="SHA-256 .*, not the 0000.* that the hub states; the file was removed"):
            fetch_benchmark("dtd", tmp_path / "root")
        assert not list((tmp_path / "root").rglob("*.zip")) and not (tmp_path / "root/dtd").exists()

    def test_a_harmful_archive_leaves_nothing(self, hub: Server, tmp_path: Path) -> None:
        hub.files["dtd.zip"] = zip_of({"dtd/images/a/1.jpg": b"x", "dtd/../../out.jpg": b"x"})
        with pytest.raises(DataError, match="points outside it"):
            fetch_benchmark("dtd", tmp_path / "root")
        left = [path.name for path in (tmp_path / "root").rglob("*") if path.suffix in (".jpg", ".zip")]
        assert left == [] and not (tmp_path / "out.jpg").exists()

    def test_no_network(self, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        del hub.files["dtd.zip"]
        with pytest.raises(
            DataError, match=r"'dtd.zip' of zhengli97/prompt_learning_dataset could not be fetched from http"
        ):
            fetch_benchmark("dtd", tmp_path / "root")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(DataError, match=r"offline mode is on \(HF_HUB_OFFLINE\)"):
            fetch_benchmark("dtd", tmp_path / "root")


@pytest.fixture
def official(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """OxfordPets' official site: images and annotations in two archives, and one plain file."""
    folder = LAYOUTS["oxford-pets"](tmp_path / "made").folder
    for name in ("images", "annotations"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(folder / name, name)
        server.files[f"{name}.tar.gz"] = buffer.getvalue()
    server.files["terms.txt"] = b"terms"
    sites = (
        remote(server, "images.tar.gz"),
        remote(server, "annotations.tar.gz"),
        remote(server, "terms.txt", unpack=False),
    )
    counts = {"n_classes": 3, "n_train": 19, "n_val": 4, "n_test": 10}
    monkeypatch.setitem(BENCHMARKS, "oxford-pets", replace(BENCHMARKS["oxford-pets"], official=sites, **counts))
    return server


class TestOfficial:
    def test_archives_and_files(self, official: Server, tmp_path: Path) -> None:
        fetched = fetch_benchmark("pets", tmp_path / "root", source="official")
        assert fetched.check.ok and (tmp_path / "root/oxford_pets/terms.txt").read_text() == "terms"
        assert "published results" in fetched.check.notes[0]
        asked = len(official.requests)
        assert (
            fetch_benchmark("pets", tmp_path / "root").source == "it was there already"
            and len(official.requests) == asked
        )

    def test_a_second_call_goes_on(self, official: Server, tmp_path: Path) -> None:
        annotations = official.files.pop("annotations.tar.gz")
        with pytest.raises(DataError, match="annotations.tar.gz answers 404"):
            fetch_benchmark("pets", tmp_path / "root", source="official")
        official.files["annotations.tar.gz"] = annotations
        assert fetch_benchmark("pets", tmp_path / "root", source="official").check.ok
        assert [path for _, path, _ in official.requests].count("/images.tar.gz") == 1

    def test_what_must_be_done_by_hand(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="terms are accepted on https://image-net.org"):
            fetch_benchmark("imagenet", tmp_path)
        with pytest.raises(DataError, match="official address of StanfordCars is dead .*takes the mirror"):
            fetch_benchmark("cars", tmp_path, source="official")
        with pytest.raises(DataError, match="UCF101 cannot be fetched from an official address.*The mirror has it"):
            fetch_benchmark("ucf101", tmp_path, source="official")
        with pytest.raises(ConfigError, match="source is 'offical'; allowed are 'mirror' and 'official'"):
            fetch_benchmark("ucf101", tmp_path, source="offical")
        assert names_of(["shift", "imagenet-a", "DTD"]) == [
            "imagenetv2",
            "imagenet-sketch",
            "imagenet-a",
            "imagenet-r",
            "dtd",
        ]


class TestMade:
    def test_a_set_is_made_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[Path] = []

        def make(folder: Path) -> Path:
            made.append(folder)
            for part in ("train", "test"):
                for label, name in enumerate("ab"):
                    image(folder / part / name / "1.png", label, 1)
            return folder

        facts = replace(BENCHMARKS["digits"], make=make, n_classes=2, n_train=2, n_test=2)
        monkeypatch.setitem(BENCHMARKS, "digits", facts)
        assert fetch_benchmark("digits", tmp_path).check.ok
        assert fetch_benchmark("digits", tmp_path).source == "it was there already" and len(made) == 1
        (tmp_path / "digits/test/b/1.png").unlink()
        with pytest.raises(DataError, match=r"is not the whole set 'digits': 1 test image; 2 are expected. Remove it"):
            fetch_benchmark("digits", tmp_path)
        assert len(made) == 1


class TestCheck:
    def test_numbers_and_files(self, tmp_path: Path) -> None:
        folder = LAYOUTS["dtd"](tmp_path / "dtd").folder
        found = check_benchmark("dtd", tmp_path)
        assert found.problems == [
            "3 classes; 47 are expected", "21 train images; 2,820 are expected", "9 val images; 1,128 are expected",
            "14 test images; 1,692 are expected",
        ]  # fmt: skip
        assert len(found.notes) == 1 and "split_zhou_DescribableTextures.json is missing" in found.notes[0]
        write_split_file(
            BENCHMARKS["dtd"].read(folder, BENCHMARKS["dtd"]),
            BENCHMARKS["dtd"],
            folder / "split_zhou_DescribableTextures.json",
        )
        (folder / "images/woven/image_0003.jpg").unlink()
        found = check_benchmark("dtd", tmp_path)
        assert found.notes == [] and found.problems[-1] == "1 listed image is not there: 'images/woven/image_0003.jpg'"

    def test_a_written_split_reads_as_the_one_it_was_made_from(self, tmp_path: Path) -> None:
        for name in ("dtd", "stanford-cars", "oxford-pets"):
            facts = BENCHMARKS[name]
            folder = LAYOUTS[name](tmp_path / facts.folder).folder
            before = load_benchmark(name, tmp_path)
            write_split_file(facts.read(folder, facts), facts, folder / facts.split_file)
            after = load_benchmark(name, tmp_path)
            assert after.made_by.startswith("the split file") and after.class_names == before.class_names
            for part, dataset in before.parts.items():
                assert after.parts[part].names == dataset.names
                assert after.parts[part].labels.tolist() == dataset.labels.tolist()
        with pytest.raises(ConfigError, match="FGVCAircraft has no split file"):
            write_split_file(facts.read(folder, facts), BENCHMARKS["fgvc-aircraft"], tmp_path / "x.json")

    def test_numbers_from_memory_are_notes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        LAYOUTS["imagenet-a"](tmp_path / "imagenet-adversarial")
        monkeypatch.setitem(BENCHMARKS, "imagenet-a", replace(BENCHMARKS["imagenet-a"], n_classes=2))
        found = check_benchmark("imagenet-a", tmp_path)
        assert found.ok and found.notes == [
            "8 test images; 7,500 are expected (a number from memory: no source was at hand)"
        ]

    def test_everything_missing_is_said_at_once(self, tmp_path: Path) -> None:
        folder = LAYOUTS["ucf101"](tmp_path / "ucf101").folder
        (folder / "ucfTrainTestlist/classInd.txt").unlink()
        (folder / "ucfTrainTestlist/testlist01.txt").unlink()
        problems = check_benchmark("ucf101", tmp_path).problems
        assert len(problems) == 2 and "classInd.txt' does not exist" in problems[0] and "testlist01.txt'" in problems[1]
        assert check_benchmark("dtd", tmp_path).problems == [f"the folder '{tmp_path / 'dtd'}' does not exist"]
        LAYOUTS["fgvc-aircraft"](tmp_path / "fgvc_aircraft")
        (tmp_path / "fgvc_aircraft/variants.txt").write_text("other")
        assert "which variants.txt lacks" in check_benchmark("aircraft", tmp_path).problems[0]
