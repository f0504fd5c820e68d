"""Which icon and emoji sets the built-in model learns from, which are held out, and which licences are allowed."""

import re
from dataclasses import dataclass

# Licences that let anybody use and redistribute what is made from the artwork, with attribution at most.
# Share-alike, copyleft and non-commercial licences are left out: weights made from them would be contested.
ALLOWED_LICENCES = frozenset({"MIT", "ISC", "Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0"})

# Never seen in training. Beside each held-out family stand the sets that repackage or redraw its artwork.
HELD_OUT = {
    "Font Awesome": ("fa", "fa-solid", "fa-regular", "fa-brands", "fa6-solid", "fa6-regular", "fa6-brands")
    + ("fa7-solid", "fa7-regular", "fa7-brands", "la"),  # Line Awesome (la) redraws Font Awesome 5
    "OpenMoji": ("openmoji",),
    "Unicons": ("uil", "uim", "uis", "uit"),  # the general icon set of our choice, with 27 categories of its own
}


@dataclass(frozen=True)
class IconSet:
    """One set in the Iconify JSON format, and how much of it is used."""

    prefix: str
    """Name of the set: the npm package is `@iconify-json/PREFIX`."""
    weight: float = 1.0
    """How often one icon of this set is drawn, relative to an icon of weight 1."""
    emoji: bool = False
    """Whether the icons are emoji (their code points then give names, keywords and groups)."""
    keep: str = ""
    """Only names that this pattern finds are used; an empty pattern keeps all."""
    drop: str = "$^"
    """Names that this pattern finds are left out: sizes and styles that repeat another drawing."""
    style: str = r"-(outline|outlined|line|linear|filled|fill|solid|bold|duotone|regular|light)$"
    """What is cut from the end of a name before it becomes a caption."""

    def uses(self, name: str) -> bool:
        """Whether the icon called `name` is used."""
        return bool(re.search(self.keep, name)) and not re.search(self.drop, name)


_TWO_SIZES = r"-(24px|16px|20px)(-|$)"

SOURCES = (
    # Emoji: few, but the most picture-like, and each is drawn by several artists.
    IconSet("twemoji", 3.0, emoji=True),
    IconSet("noto", 3.0, emoji=True),
    IconSet("noto-v1", 3.0, emoji=True),
    IconSet("emojione", 3.0, emoji=True),
    IconSet("emojione-monotone", 3.0, emoji=True),
    IconSet("fluent-emoji", 2.0, emoji=True),
    IconSet("fluent-emoji-flat", 3.0, emoji=True),
    IconSet("fluent-emoji-high-contrast", 4.0, emoji=True),
    IconSet("fxemoji", 3.0, emoji=True),
    IconSet("streamline-emojis", 4.0, emoji=True),
    # Pictures of things: filled or coloured.
    IconSet("game-icons", 1.5),
    IconSet("healthicons", 1.0, drop=_TWO_SIZES),
    IconSet("maki", 1.5, drop=r"-11$"),
    IconSet("medical-icon", 1.5),
    IconSet("meteocons", 1.0),
    IconSet("flat-color-icons", 1.5),
    IconSet("streamline-ultimate-color", 1.5),
    IconSet("streamline-freehand-color", 1.5, drop=r"-duotone$"),
    IconSet("streamline-pixel", 1.0),
    IconSet("icon-park-solid", 1.0),
    IconSet("icon-park", 0.7),
    IconSet("gis", 1.0),
    IconSet("guidance", 1.0),
    IconSet("fluent-color", 1.0, keep=r"-(24|32)$"),
    # User interface sets: many icons, outlined and filled.
    IconSet("material-symbols", 0.7, drop=r"-(rounded|sharp)$"),
    IconSet("mdi", 1.0),
    IconSet("fluent", 0.5, keep=r"-24-(filled|regular)$"),
    IconSet("ph", 0.7, drop=r"-(thin|light|bold)$"),
    IconSet("solar", 0.7, drop=r"-(broken|line-duotone|outline)$"),
    IconSet("tabler", 0.5),
    IconSet("hugeicons", 0.5),
    IconSet("streamline", 1.0, drop=r"-remix$"),
    IconSet("streamline-flex", 1.0, drop=r"-remix$"),
    IconSet("streamline-plump", 1.0, drop=r"-remix$"),
    IconSet("streamline-ultimate", 1.0),
    IconSet("mingcute", 0.7),
    IconSet("ri", 0.7),
    IconSet("bi", 0.7),
    IconSet("bx", 0.7),
    IconSet("bxs", 1.0),
    IconSet("carbon", 0.7),
    IconSet("iconoir", 0.7),
    IconSet("ion", 0.7, drop=r"-sharp$"),
    IconSet("lucide", 0.7),
    IconSet("lucide-lab", 0.7),
    IconSet("mynaui", 0.7),
    IconSet("tdesign", 0.7),
    IconSet("majesticons", 0.7),
    IconSet("iconamoon", 0.7, drop=r"-(thin|light|bold)$"),
    IconSet("clarity", 0.7, drop=r"-(badged|alerted)$"),
    IconSet("basil", 0.7),
    IconSet("cil", 0.7),
    IconSet("f7", 0.7),
    IconSet("fluent-mdl2", 0.7),
    IconSet("fontisto", 0.7),
    IconSet("grommet-icons", 0.7),
    IconSet("vaadin", 0.7),
    IconSet("icons8", 0.7),
    IconSet("lets-icons", 0.5),
)

# Sets that are fetched for evaluation alone.
EVALUATION_SETS = ("openmoji", "uil")

# Emoji keywords, labels, groups and subgroups (both MIT).
KEYWORD_PACKAGES = ("emojilib", "emojibase-data")


class LicenceRefused(Exception):
    """A set's licence does not let it be used, or the set is held out."""


def check_training_set(prefix: str, info: dict) -> str:
    """The SPDX name of the licence that the set's own `info` states.

    Raises:
        LicenceRefused: the set is held out, states no licence, or one that is not allowed.
    """
    for family, prefixes in HELD_OUT.items():
        if prefix in prefixes or info.get("prefix") in prefixes:
            raise LicenceRefused(f"set '{prefix}' belongs to the held-out {family}: it must not be trained on")
    licence = info.get("license", {}).get("spdx")
    if licence not in ALLOWED_LICENCES:
        raise LicenceRefused(
            f"set '{prefix}' states the licence {licence!r}; allowed are {', '.join(sorted(ALLOWED_LICENCES))}"
        )
    return licence
