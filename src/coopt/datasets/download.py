"""Bringing one file of a site to this machine: goes on where it stopped, checked where a checksum is published."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from coopt.datasets.facts import RemoteFile
from coopt.errors import DataError

BLOCK = 1 << 20
ATTEMPTS = 5
"""How often a broken connection is taken up again within one call, if it brought something each time."""
TIMEOUT = 60

Progress = Callable[[str, int, int], None]
"""Called with what is fetched, bytes done, and bytes in all (0 where the site does not say)."""


def silent(what: str, done: int, total: int) -> None:
    """No progress shown."""


def download(remote: RemoteFile, folder: Path, progress: Progress = silent) -> Path:
    """Fetch a file into `folder`, unless it is there already.

    Bytes that have arrived stay in `NAME.part`; a broken connection, or the next call, goes on from there.

    Raises:
        DataError: the site does not answer or refuses, the connection broke for good, or the checksum is another.
    """
    target = folder / remote.name
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{remote.name}.part"
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(remote, part, progress)
            break
        except urllib.error.HTTPError as error:
            raise DataError(
                f"{remote.url} answers {error.code} {error.reason}: the site has moved or is dead."
            ) from error
        except (OSError, HTTPException) as error:
            arrived = part.stat().st_size if part.exists() else 0
            if attempt + 1 < ATTEMPTS and arrived > before:
                continue
            reason = getattr(error, "reason", error)
            kept = f" The {arrived:,} bytes that arrived are kept; the same command goes on from there." * (arrived > 0)
            raise DataError(f"{remote.url} could not be fetched: {reason}.{kept}") from error
    check_sum(remote, part)
    os.replace(part, target)
    return target


def _continue(remote: RemoteFile, part: Path, progress: Progress) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "range not satisfiable": everything had arrived before the last run was ended
            raise
        error.close()
        return
    with response:
        resumed = response.status == 206 and _starts_at(response.headers.get("Content-Range"), done)
        done = done if resumed else 0  # a site that does not know ranges starts over
        total = int(response.headers.get("Content-Length") or 0)
        with open(part, "ab" if resumed else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                progress(remote.name, file.tell(), total and done + total)
            file.flush()
            os.fsync(file.fileno())
        arrived = part.stat().st_size
    if total and arrived < done + total:
        raise OSError(f"the connection closed after {arrived:,} of {done + total:,} bytes")


def _starts_at(content_range: str | None, done: int) -> bool:
    return content_range is None or content_range.startswith(f"bytes {done}-")


def check_sum(remote: RemoteFile, path: Path) -> None:
    """Compare a file with its published checksum, and remove it where it is another.

    Raises:
        DataError: it is another.
    """
    for name, published in (("sha256", remote.sha256), ("md5", remote.md5)):
        if published is None:
            continue
        found = file_digest(path, name)
        if found != published:
            path.unlink()
            raise DataError(
                f"What {remote.url} sent has the {name.upper()} {found}, not the published {published}; the file was "
                f"removed. Try again; if it happens again, the site or a proxy changes the file."
            )
        return


def file_digest(path: Path, name: str) -> str:
    """The checksum of a file in hexadecimal; MD5 is what some sites publish, against damage, not against forgers."""
    digest = hashlib.new(name, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
