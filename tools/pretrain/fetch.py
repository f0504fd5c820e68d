"""Fetch the icon sets and keyword lists with npm, and read them from their archives."""

import json
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from coopt.files import write_json

from .sources import EVALUATION_SETS, KEYWORD_PACKAGES, SOURCES


def archive_path(folder: Path, package: str) -> Path:
    """Where the archive of an npm package lies: `folder/NAME.tgz`, without the scope."""
    return folder / f"{package.removeprefix('@iconify-json/')}.tgz"


def fetch_package(folder: Path, package: str) -> Path:
    """Download one npm package with `npm pack`, unless its archive is already there."""
    target = archive_path(folder, package)
    if not target.exists():
        command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        (folder / result.stdout.strip().splitlines()[-1]).rename(target)
    return target


def fetch_all(folder: Path) -> None:
    """Download every set and keyword list, and note the exact versions in `versions.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    packages = [f"@iconify-json/{source.prefix}" for source in SOURCES]
    packages += [f"@iconify-json/{prefix}" for prefix in EVALUATION_SETS] + list(KEYWORD_PACKAGES)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda package: fetch_package(folder, package), packages))
    versions = {package: read_json(folder, package, "package.json")["version"] for package in packages}
    write_json(folder / "versions.json", versions)


def read_json(folder: Path, package: str, name: str) -> Any:
    """A JSON file inside the fetched archive of `package`; an empty dict where the archive has none of that name."""
    with tarfile.open(archive_path(folder, package)) as archive:
        try:
            member = archive.extractfile(f"package/{name}")
        except KeyError:
            return {}
        return json.load(member) if member else {}
