"""Fetch one file: a broken download continues, the checksum is compared, and the file is complete or absent."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

BLOCK = 1 << 20
ATTEMPTS = 5
"""Connections per call; a broken one is replaced only if it brought something."""
TIMEOUT = 60

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all (0 where the site does not say)."""
FAILURES = (OSError, HTTPException)
"""What `download` raises: the site cannot be reached, refuses or breaks the connection, or the disk is full."""


class ChecksumError(Exception):
    """What a site sent has another checksum than the published one; it was removed."""


def download(
    url: str, target: Path, *, sha256: str | None = None, md5: str | None = None, progress: Progress | None = None
) -> None:
    """Fetch `url` to `target`, and compare it with the checksum where one is given.

    Bytes that have arrived stay in `part_of(target)`; a broken connection, or the next call, continues from there.

    Raises:
        ChecksumError: the file has another checksum.
        OSError: the site does not answer or refuses, the connection broke for good, or the disk is full.
        HTTPException: the site does not speak HTTP.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            _continue(url, part, progress)
            break
        except urllib.error.HTTPError:
            raise
        except FAILURES:
            if attempt == ATTEMPTS or _size(part) <= before:
                raise
    for name, published in (("sha256", sha256), ("md5", md5)):
        if published is not None and (found := file_digest(part, name)) != published:
            part.unlink()
            raise ChecksumError(
                f"What {url} sent has the {name.upper()} {found}, not the published {published}; the file was removed. "
                f"Try again; if it happens again, the site or a proxy changes the file."
            )
    os.replace(part, target)


def part_of(target: Path) -> Path:
    """Where the bytes of an unfinished download lie."""
    return target.with_name(f"{target.name}.part")


def file_digest(path: Path, name: str = "sha256") -> str:
    """The checksum of a file in hexadecimal. MD5, which some sites publish, finds damage but no forgery."""
    digest = hashlib.new(name, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _continue(url: str, part: Path, progress: Progress | None) -> None:
    done = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "range not satisfiable": everything had arrived before the last run was ended
            raise
        error.close()
        return
    with response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", f"bytes {done}-").startswith(f"bytes {done}-"):
            part.unlink()
            raise OSError("the site sent another part of the file than it was asked for")
        done = done if resumed else 0  # a site that does not know ranges starts over
        length = int(response.headers.get("Content-Length") or 0)
        total = length and done + length
        with open(part, "ab" if resumed else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                if progress is not None:
                    progress(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())
    if (arrived := _size(part)) < total:
        raise OSError(f"the connection closed after {arrived:,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
