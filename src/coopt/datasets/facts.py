"""What is known about a benchmark data set: the fields of `benchmarks.json`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

CERTAINTIES = {
    "printed": "printed by the authors' code",
    "made": "made by our own script from one version of the package",
    "derived": "follows from the published rule of the split",
    "from_memory": "from memory; no copy of a source was found: a difference is a note, not an error",
}
"""How sure the numbers of images are."""
REMEMBERED = "from_memory"
"""The certainty of numbers that are printed with a question mark."""


class Item(NamedTuple):
    """One image of a listing."""

    path: str
    """Below the data set's folder, with '/'."""
    label: int
    class_name: str
    """As the annotation writes it."""


@dataclass(frozen=True)
class Listing:
    """What a reader found: every image by part, in the order in which the authors' code lists them."""

    parts: Mapping[str, Sequence[Item]]
    """Under "train", "val" and "test"; a part that the data set lacks is not there."""
    made_by: str
    """Where the split comes from, in words."""
    class_labels: list[str] | None = None
    """The classes as the source writes them, in label order, where that is not their name (ImageNet's folders)."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of an official site."""

    url: str
    md5: str | None = None
    """The MD5 checksum, where one is published."""
    sha256: str | None = None
    unpack: bool = True
    """Whether it is an archive that is unpacked into the data set's folder, or kept there as it is."""
    below: str = ""
    """The folder of the archive whose content becomes the content of the data set's folder."""
    dead: bool = False
    """Whether the address is known not to answer any more."""

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class BenchmarkFacts:
    """One data set: where it is, how it is read, how large it should be, and where it comes from."""

    name: str
    title: str
    folder: str
    """The data set's folder, below the root."""
    read: "Callable[[Path, BenchmarkFacts], Listing]"
    """Lists its images from the annotations in its folder."""
    template: str
    """The hand-written prompt; '{}' is the class name."""
    n_classes: int | None
    """None where labels are numbers of which nobody says how many differ."""
    n_train: int | None = None
    n_val: int | None = None
    n_test: int | None = None
    certainty: str = "printed"
    """One of `CERTAINTIES`."""
    images: str = ""
    """Folder of the images, below `folder`; the paths of the split file are relative to it."""
    split_file: str | None = None
    """The split that the field shares, below `folder`."""
    needs: Sequence[str] = ()
    """Files and folders that reading needs, besides the images, where the split file is missing."""
    variant_of: str | None = None
    """The data set of the same classes that is trained on, where this one is only for testing."""
    aliases: Sequence[str] = ()
    licence: str = ""
    homepage: str = ""
    official: Sequence[RemoteFile] = ()
    mirror: str | None = None
    """The archive's name in the field's mirror on the Hugging Face hub."""
    by_hand: str | None = None
    """Why it must be fetched by hand, and how."""
    make: Callable[[Path], object] | None = None
    """Draws or unpacks it from a package of a registry into a new folder."""
    package: str = ""
    """The package, in words."""
    rename: dict[str, str] = field(default_factory=dict)
    """Class names that the authors' code replaces."""
    leave_out: Sequence[str] = ()
    """Class folders that the authors' code leaves out."""
    epochs: int | None = None
    """Epochs of the authors' scripts, where they do not depend on the number of shots."""
    task: str | None = None
    """What its labels mean, where that is not classification: a name in `coopt.tasks.TASKS`."""
    ranks: str | None = None
    """The ranks of the task `ordinal`, where they are not the numbers that its labels have."""
    usual_source: bool = False
    """Whether the papers train on it to test on the other data sets."""
    joins_ensemble: bool = True
    """Whether its own template joins the seven templates of the authors' prompt ensemble."""

    @property
    def counts(self) -> dict[str, int | None]:
        """Expected images per part."""
        return {"train": self.n_train, "val": self.n_val, "test": self.n_test}
