"""Bringing a data set to this machine: drawn from a package, from the field's mirror, or from its official site."""

import re
import shutil
import urllib.error
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from coopt.datasets.check import Check, check_benchmark
from coopt.datasets.facts import BenchmarkFacts, RemoteFile
from coopt.datasets.table import SUITES, find_benchmark
from coopt.datasets.unpack import merge, unpack
from coopt.download import FAILURES, ChecksumError, download, file_digest, part_of
from coopt.errors import ConfigError, DataError

MIRROR = "zhengli97/prompt_learning_dataset"
"""A model repository of the Hugging Face hub with 14 of the 15 data sets, an archive each, split files included."""
ENDPOINT: str | None = None
"""The hub's address; None means the usual one or HF_ENDPOINT."""
Progress = Callable[[str, int, int], None]
"""Called with what is fetched, bytes done, and bytes in all (0 where the site does not say)."""


class Fetched(NamedTuple):
    """What `fetch_benchmark` did for a data set."""

    source: str
    """Where the data set came from, in words."""
    check: Check
    """The data set as it is now."""


def names_of(names: list[str]) -> list[str]:
    """Data set names, with suites replaced by theirs, each once.

    Raises:
        DataError: a name is neither.
    """
    every = [member for name in names for member in SUITES.get(name, [name])]
    return list(dict.fromkeys(find_benchmark(name).name for name in every))


def fetch_benchmark(
    name: str, root: Path | str, *, source: str | None = None, progress: Progress | None = None
) -> Fetched:
    """Bring a data set below `root`; one that is there and complete is not touched.

    A download that was cut off continues where it stopped. Files already in the data set's folder are never replaced.

    Args:
        name: a name of `BENCHMARKS`.
        root: the folder with the data sets' folders.
        source: "mirror" or "official"; the mirror where there is one, since only it has the shared split files.
        progress: called with file, bytes done and bytes in all.

    Raises:
        DataError: it must be fetched by hand, a site is dead, a checksum is wrong, or an archive is not safe.
        ConfigError: the source is not one of the two.
    """
    facts = find_benchmark(name)
    if source not in (None, "mirror", "official"):
        raise ConfigError(f"The source is {source!r}; allowed are 'mirror' and 'official'.")
    folder = Path(root) / facts.folder
    before = check_benchmark(facts.name, root)
    if before.ok:
        return Fetched("it was there already", before)
    if facts.make is not None:
        if folder.is_dir() and any(folder.iterdir()):
            problems = "; ".join(before.problems)
            raise DataError(f"'{folder}' is not the whole set '{facts.name}': {problems}. Remove it, and fetch again.")
        facts.make(folder)
        how = f"the package {facts.package}"
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{facts.folder}.lock")):  # two fetches would write into one file
            how = _fetch(facts, folder, source, progress)
    return Fetched(how, check_benchmark(facts.name, root))


def _fetch(facts: BenchmarkFacts, folder: Path, source: str | None, progress: Progress | None) -> str:
    staging = folder.with_name(f".{facts.folder}.fetch")
    unpacked = staging / "unpacked"
    if source == "mirror" or (source is None and facts.mirror is not None):
        if facts.mirror is None:
            raise DataError(f"{facts.title} is not in the mirror. {_by_hand(facts)}")
        _unpack_fresh(fetch_from_hub(facts.mirror, staging), unpacked)
        inner = unpacked / facts.folder  # the archives hold the data set's folder itself
        merge(inner if inner.is_dir() else unpacked, folder)
        how = f"{MIRROR} on the Hugging Face hub"
    else:
        _from_official(facts, staging, progress)
        merge(unpacked, folder)
        how = facts.homepage
    shutil.rmtree(staging)
    return how


def _unpack_fresh(archive: Path, out: Path, below: str = "") -> None:
    try:
        unpack(archive, out, below)
    except DataError:
        archive.unlink()  # damaged or not safe: the next call must not take it again
        shutil.rmtree(out, ignore_errors=True)
        raise


def _from_official(facts: BenchmarkFacts, staging: Path, progress: Progress | None) -> None:
    if not facts.official:
        raise DataError(f"{facts.title} cannot be fetched from an official address. {_by_hand(facts)}")
    dead = [remote.url for remote in facts.official if remote.dead]
    if dead:
        other = f" `coopt datasets fetch {facts.name}` takes the mirror." if facts.mirror else ""
        raise DataError(f"The official address of {facts.title} is dead ({dead[0]}).{other} Its page: {facts.homepage}")
    files = [fetch_file(remote, staging / "downloads", progress) for remote in facts.official]
    shutil.rmtree(staging / "unpacked", ignore_errors=True)
    for remote, file in zip(facts.official, files, strict=True):
        if remote.unpack:
            _unpack_fresh(file, staging / "unpacked", remote.below)
        else:
            (staging / "unpacked").mkdir(exist_ok=True)
            shutil.copyfile(file, staging / "unpacked" / remote.name)


def _by_hand(facts: BenchmarkFacts) -> str:
    text = f"{facts.by_hand}." if facts.by_hand else ""
    if facts.mirror is not None:
        text += f" The mirror has it: `coopt datasets fetch {facts.name}`."
    return text.strip() or f"See {facts.homepage}."


def fetch_file(remote: RemoteFile, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch a file of an official site into `folder`, unless it is there already.

    Raises:
        DataError: the site does not answer or refuses, the connection broke too often, or the checksum is wrong.
    """
    target = folder / remote.name
    if target.is_file():
        return target
    told = None if progress is None else partial(progress, remote.name)
    try:
        download(remote.url, target, sha256=remote.sha256, md5=remote.md5, progress=told)
    except ChecksumError as error:
        raise DataError(str(error)) from error
    except urllib.error.HTTPError as error:
        raise DataError(f"{remote.url} answers {error.code} {error.reason}: the site has moved or is dead.") from error
    except FAILURES as error:
        arrived = part_of(target).stat().st_size if part_of(target).exists() else 0
        kept = f" The {arrived:,} bytes that arrived are kept; the same command goes on from there." * (arrived > 0)
        raise DataError(f"{remote.url} could not be fetched: {getattr(error, 'reason', error)}.{kept}") from error
    return target


def fetch_from_hub(name: str, folder: Path) -> Path:
    """One file of the mirror, which the hub's client continues where it stopped; its SHA-256 is what the hub says.

    Raises:
        DataError: the hub cannot be reached or has no such file, or the checksum is wrong.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        facts = get_hf_file_metadata(hf_hub_url(MIRROR, name, endpoint=ENDPOINT), endpoint=ENDPOINT)
        path = Path(
            hf_hub_download(MIRROR, name, revision=facts.commit_hash, local_dir=folder / "hub", endpoint=ENDPOINT)
        )
    except Exception as error:  # the hub's client raises its own, its transport's and the system's errors
        state = "offline mode is on (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else str(error).strip().split("\n")[0]
        raise DataError(
            f"'{name}' of {MIRROR} could not be fetched from {ENDPOINT or constants.ENDPOINT}: {state.rstrip('.')}. "
            f"What arrived is kept; the same command goes on from there."
        ) from error
    published = facts.etag or ""
    if re.fullmatch("[0-9a-f]{64}", published) and (found := file_digest(path)) != published:
        path.unlink()
        raise DataError(
            f"'{name}' of {MIRROR} has the SHA-256 {found}, not the {published} that the hub states; the file was "
            f"removed. Try again."
        )
    return path
