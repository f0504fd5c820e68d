"""One file from a site that breaks off, ignores ranges, or sends another part than it was asked for."""

import hashlib
import urllib.error
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from coopt.download import FAILURES, ChecksumError, download, file_digest, part_of
from tests.serving import CONTENT, Server, serving

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


def url(server: Server, name: str = "set.tar") -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def test_progress_counts_bytes_from_where_it_went_on(server: Server, tmp_path: Path) -> None:
    server.cuts = [100_000]
    seen: list[tuple[int, int]] = []
    target = tmp_path / "new" / "file"
    download(url(server), target, sha256=SHA256, progress=lambda *facts: seen.append(facts))
    assert seen == [(100_000, 256_000), (256_000, 256_000)]
    assert target.read_bytes() == CONTENT and not part_of(target).exists()
    assert file_digest(target) == SHA256 and file_digest(target, "md5") == hashlib.md5(CONTENT).hexdigest()


def test_a_site_without_ranges_counts_from_the_start(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [100_000], False
    seen: list[tuple[int, int]] = []
    download(url(server), tmp_path / "file", progress=lambda *facts: seen.append(facts))
    assert seen == [(100_000, 256_000), (256_000, 256_000)] and (tmp_path / "file").read_bytes() == CONTENT


def test_another_part_than_asked_for_is_not_joined(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(CONTENT[:100_000])
    server.shift = -50_000
    with pytest.raises(OSError, match="sent another part of the file"):
        download(url(server), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_there_before_the_checksum_was_compared(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match=f"SHA256 {SHA256}, not the published {64 * '0'}; the file was removed"):
        download(url(server), tmp_path / "file", sha256=64 * "0")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(urllib.error.HTTPError) as caught:
        download(url(server, "gone"), tmp_path / "file")
    caught.value.close()
    assert caught.value.code == 404 and len(server.requests) == 1
    assert part_of(tmp_path / "file").read_bytes() == b"kept"
    assert issubclass(urllib.error.HTTPError, FAILURES) and issubclass(HTTPException, FAILURES)
