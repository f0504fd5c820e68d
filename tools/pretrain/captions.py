"""What an icon may be called: its names, keywords and categories, collected from every set."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from coopt.files import write_json

from .fetch import read_json
from .sources import SOURCES, IconSet

KINDS = ("names", "keywords", "categories")
LIMITS = {"names": 6, "keywords": 20, "categories": 8}
_NO_CATEGORY = frozenset(
    "others other base ui abstract system general interface core essential components common logos brand brands "
    "logo ui actions content various interface essential operate graphics symbol symbols objects object miscellaneous "
    "parts list like it animations life industry building material android all status".split()
) | {"ui actions", "brand logo", "interface essential", "business products", "it"}


@dataclass
class Tags:
    """The texts that are true of one icon, most specific first."""

    names: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)

    def add(self, kind: str, texts: list[str]) -> None:
        """Append the texts that are new to this icon, up to the limit of their kind."""
        known = set(self.names) | set(self.keywords) | set(self.categories)
        for text in texts:
            if text and text not in known and len(getattr(self, kind)) < LIMITS[kind]:
                getattr(self, kind).append(text)
                known.add(text)


def clean_name(name: str, style: str = "$^") -> str:
    """An icon's file name as words: `"dog-side-outline"` becomes `"dog side"`; numbers of variants are cut."""
    previous = None
    while previous != name:
        previous = name
        name = re.sub(style, "", name)
        name = re.sub(r"-(\d{1,2}|alt|variant|one|two|negative)$", "", name) or previous
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()


def clean_category(category: str) -> list[str]:
    """A set's category as texts: `"FoodDrink"` and `"Food / Drink"` become food drink, food and drink."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", category).lower()
    parts = [part.strip() for part in re.split(r"[/&,+]| and ", spaced)]
    texts = [" and ".join(parts)] + (parts if len(parts) > 1 else [])
    return [text for text in texts if text not in _NO_CATEGORY and len(text) > 1]


def squeezed(text: str) -> str:
    """Letters and digits alone: names that differ in spaces and hyphens are the same."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def read_emoji(npm: Path) -> dict[str, Tags]:
    """Label, keywords, group and subgroup of every emoji by its code points (`"1f436"`, joiners as in Iconify)."""
    messages = read_json(npm, "emojibase-data", "en/messages.json")
    groups = {group["order"]: _group_texts(group) for group in messages["groups"]}
    subgroups = {group["order"]: _group_texts(group) for group in messages["subgroups"]}
    more = read_json(npm, "emojilib", "dist/emoji-en-US.json")
    emoji = {}
    for entry in read_json(npm, "emojibase-data", "en/data.json"):
        if "group" not in entry:
            continue
        label = entry["label"].lower().replace("flag: ", "flag of ")
        words = [word.replace("_", " ").lower() for word in more.get(entry["emoji"], [])]
        words = [word for word in words + entry.get("tags", []) if re.fullmatch(r"[a-z0-9 '-]{2,}", word.lower())]
        short = re.sub(r" (face|button|sign|symbol)$", "", label)
        tags = Tags()
        tags.add("names", [clean_name(label), clean_name(short)])
        tags.add("keywords", [word.lower() for word in words])
        tags.add("categories", subgroups[entry["subgroup"]] + groups[entry["group"]])
        emoji[code_key(entry["hexcode"])] = tags
    return emoji


def _group_texts(group: dict) -> list[str]:
    """A group in plain words and in Unicode's own: "mammals", "animal mammal"."""
    plain = clean_category(group["message"])
    return plain[:1] + [group["key"].replace("-", " ")] + plain[1:]


def code_key(code: str) -> str:
    """Code points in lower case without the variation selector, joined by hyphens."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


class Thesaurus:
    """What the sets say about a name: tags of the emoji called so, and categories that sets file it under."""

    def __init__(self, emoji: dict[str, Tags]) -> None:
        self.by_code = emoji
        self.by_name: dict[str, Tags] = {}
        for tags in emoji.values():
            for name in tags.names:
                self.by_name.setdefault(squeezed(name), tags)
        self.categories: dict[str, Counter[str]] = defaultdict(Counter)

    def note_categories(self, text: str, categories: list[str]) -> None:
        """Remember that a set files an icon called `text` under `categories`."""
        self.categories[squeezed(text)].update(set(categories))

    def enrich(self, tags: Tags, text: str, noisy: bool = False) -> None:
        """Add what is known of the name `text`; `noisy` names (a part of the icon's name) give categories alone."""
        known = self.by_name.get(squeezed(text))
        if known:
            tags.add("keywords", [text] if noisy else known.names + known.keywords)
            tags.add("categories", known.categories)
        tags.add("categories", [name for name, _ in self.categories[squeezed(text)].most_common(4)])


def _set_facts(npm: Path, source: IconSet) -> tuple[dict, dict, dict]:
    package = f"@iconify-json/{source.prefix}"
    metadata = read_json(npm, package, "metadata.json")
    by_icon = defaultdict(list)
    for category, names in metadata.get("categories", {}).items():
        for name in names:
            by_icon[name].extend(clean_category(category))
    codes = {name: code_key(code) for code, name in read_json(npm, package, "chars.json").items()}
    aliases = defaultdict(list)
    for alias, facts in read_json(npm, package, "icons.json").get("aliases", {}).items():
        if not {"rotate", "hFlip", "vFlip"} & facts.keys():
            aliases[facts["parent"]].append(alias)
    return by_icon, codes, aliases


def tag_icons(npm: Path, raster: Path) -> dict[str, list[Tags]]:
    """Tags of every drawn icon of every set, in the order in which the pictures are stored."""
    thesaurus = Thesaurus(read_emoji(npm))
    facts = {}
    names: dict[str, list[str]] = {}
    for source in SOURCES:
        facts[source.prefix] = _set_facts(npm, source)
        with np.load(raster / f"{source.prefix}.npz") as archive:
            names[source.prefix] = archive["names"].tolist()
        if not source.emoji:
            for name in names[source.prefix]:
                thesaurus.note_categories(clean_name(name, source.style), facts[source.prefix][0].get(name, []))
    return {
        source.prefix: [tag_icon(source, name, *facts[source.prefix], thesaurus) for name in names[source.prefix]]
        for source in SOURCES
    }


def tag_icon(source: IconSet, name: str, categories: dict, codes: dict, aliases: dict, thesaurus: Thesaurus) -> Tags:
    """The texts that are true of one icon: its own, then what the thesaurus knows of its name."""
    tags = Tags()
    text = clean_name(name, source.style)
    words = text.split()
    if len(words) <= 5:
        tags.add("names", [text])
    else:  # names that are lists of keywords ("travel map location compass gps ...")
        tags.add("names", [" ".join(words[:2]), " ".join(words[-2:])])
        tags.add("keywords", words)
    known = thesaurus.by_code.get(codes.get(name, "")) if source.emoji else None
    if known:
        for kind in KINDS:
            tags.add(kind, getattr(known, kind))
    tags.add("names", [clean_name(alias, source.style) for alias in aliases.get(name, [])])
    tags.add("categories", categories.get(name, []))
    thesaurus.enrich(tags, text)
    if not known and 2 <= len(words) <= 5:
        # The first or last word usually names the thing ("cloud rain", "baked potato"); both are true of the picture.
        thesaurus.enrich(tags, words[-1], noisy=True)
        thesaurus.enrich(tags, words[0], noisy=True)
        tags.add("keywords", [word for word in (words[0], words[-1]) if len(word) > 2])
    return tags


def build(npm: Path, raster: Path, target: Path) -> None:
    """Write the tag vocabulary and, for every icon, the indices of its tags by kind (-1 pads)."""
    by_set = tag_icons(npm, raster)
    vocabulary: dict[str, int] = {}
    rows: dict[str, list[list[int]]] = {kind: [] for kind in KINDS}
    for source in SOURCES:
        for tags in by_set[source.prefix]:
            for kind in KINDS:
                indices = [vocabulary.setdefault(text, len(vocabulary)) for text in getattr(tags, kind)]
                rows[kind].append(indices + [-1] * (LIMITS[kind] - len(indices)))
    target.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        np.save(target / f"{kind}.npy", np.array(rows[kind], dtype=np.int32))
    write_json(target / "tags.json", list(vocabulary))
    print(f"{len(rows['names'])} icons, {len(vocabulary)} distinct tags", flush=True)
