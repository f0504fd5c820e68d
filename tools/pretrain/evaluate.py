"""Measure the built-in model on held-out sets and print the tables of its card.

    python -m tools.pretrain.evaluate                       # everything; goes on where it was stopped
    python -m tools.pretrain.evaluate --seeds 1 --shots 16  # a quick look

One JSON record per measurement is kept in `tools/pretrain/logs/evaluation.jsonl`; the tables come from the records.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as functional

from coopt.features import encode_dataset
from coopt.fit import learn
from coopt.methods import ZeroShot
from coopt.models import VLM, load_model

from .evaluation_sets import SETS, EvaluationSet, all_sets

RECORDS = Path("tools/pretrain/logs/evaluation.jsonl")
HAND_WRITTEN = "an icon of a {}."
TEMPLATES = (
    HAND_WRITTEN, "{}", "{}.", "a photo of a {}.", "a picture of a {}.", "an icon of {}.", "something about {}.",
    "an icon from the category {}.", "a solid icon of a {}.", "a line drawing of a {}.", "an emoji of a {}.",
    "a red icon of a {}.", "a drawing of a {}.", "a blurry photo of a {}.", "the sound of {}.", "there is no {} here.",
)  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "CoOp M=4": {"n_ctx": 4},
    "CoOp M=16": {"n_ctx": 16},
    "CoOp 'an icon of a'": {"ctx_init": "an icon of a"},
}
SHOTS = (1, 2, 4, 8, 16)


class Records:
    """Measurements by key; what is recorded is not measured again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows: list[dict] = [json.loads(line) for line in lines]

    def find(self, **key: Any) -> list[dict]:
        """The records that agree with `key`."""
        return [row for row in self.rows if all(row.get(name) == value for name, value in key.items())]

    def add(self, row: dict) -> None:
        """Append one record."""
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


class Encoded:
    """Image features of the sets, computed when first asked for."""

    def __init__(self, vlm: VLM) -> None:
        self.vlm = vlm
        self.features: dict[int, torch.Tensor] = {}

    def accuracy(self, each: EvaluationSet, class_features: torch.Tensor) -> float:
        """Percent of test images whose nearest class feature is their own; of a balanced set the mean over classes."""
        images = each.test
        if id(images) not in self.features:
            self.features[id(images)] = functional.normalize(encode_dataset(self.vlm, images).features, dim=-1)
        found = (self.features[id(images)] @ class_features.T).argmax(1).cpu()
        labels = torch.as_tensor(images.labels)
        hits = (found == labels).float()
        groups = [hits[labels == label] for label in labels.unique()] if each.balanced else [hits]
        return round(100 * float(torch.stack([group.mean() for group in groups]).mean()), 2)


def measure(
    vlm: VLM, sets: list[EvaluationSet], records: Records, shots: list[int], seeds: list[int], methods: list[str]
) -> None:
    """Hand-written prompts on every set, learned ones where there is a training part; new records only."""
    encoded, model = Encoded(vlm), vlm.fingerprint
    for each in sets:
        for template in TEMPLATES:
            key = {"model": model, "set": each.name, "method": "hand-written", "template": template}
            if not records.find(**key):
                with torch.no_grad():
                    features = ZeroShot(vlm, each.test.class_names, templates=template).class_features()
                found = {"images": len(each.test), "accuracy": encoded.accuracy(each, features)}
                records.add(key | found)
    for n_shots in sorted(shots, reverse=True):
        for seed in seeds:
            for method in methods:
                for each in (each for each in sets if each.train is not None):
                    key = {"model": model, "set": each.name, "method": method, "shots": n_shots, "seed": seed}
                    if not records.find(**key):
                        assert each.train is not None
                        learned = learn(vlm, each.train, settings=METHODS[method], shots=n_shots, seed=seed).method
                        with torch.no_grad():
                            features = learned.class_features()
                        records.add(key | {"accuracy": encoded.accuracy(each, features)})


def tables(records: Records, model: str) -> str:
    """The tables of the card, in Markdown, from the records of one model."""
    rows = [row for row in records.rows if row["model"] == model]
    names = list(dict.fromkeys(row["set"] for row in rows))
    lines = ["| set | images | hand-written prompt | best of 16 | worst of 16 |", "| --- | --- | --- | --- | --- |"]
    for name in names:
        found = {row["template"]: row for row in rows if row["set"] == name and row["method"] == "hand-written"}
        scores = sorted((row["accuracy"], template) for template, row in found.items())
        best, worst = (f'{score:.1f} ("{template}")' for score, template in (scores[-1], scores[0]))
        plain = found[HAND_WRITTEN]
        lines.append(f"| {name} | {plain['images']} | {plain['accuracy']:.1f} | {best} | {worst} |")
    shots = [n for n in SHOTS if any(row.get("shots") == n for row in rows)]
    lines += [
        "",
        "| set | prompt | " + " | ".join(f"{n} shot{'s' * (n > 1)}" for n in shots) + " |",
        "| --- " * (len(shots) + 2) + "|",
    ]
    for name in names:
        if not any(row["set"] == name and "shots" in row for row in rows):
            continue
        plain = next(r for r in rows if r["set"] == name and r.get("template") == HAND_WRITTEN)["accuracy"]
        lines.append(f'| {name} | "{HAND_WRITTEN}" | ' + " | ".join([f"{plain:.1f}"] * len(shots)) + " |")
        for method in METHODS:
            lines.append(f"| {name} | {method} | " + " | ".join(_cell(rows, name, method, n) for n in shots) + " |")
    return "\n".join(lines)


def _cell(rows: list[dict], name: str, method: str, shots: int) -> str:
    scores = [r["accuracy"] for r in rows if (r["set"], r["method"], r.get("shots")) == (name, method, shots)]
    if not scores:
        return "missing"
    spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{mean(scores):.1f}{spread} ({len(scores)})"


def main() -> None:
    """Measure what is not recorded yet, then print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.pretrain.evaluate", description=__doc__)
    parser.add_argument("--model", default="builtin", help="any name that coopt.load_model takes")
    parser.add_argument("--work", type=Path, default=Path("work/pretrain"))
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--shots", type=int, nargs="*", default=list(SHOTS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--sets", nargs="*", default=[], choices=list(SETS), help="by default all")
    parser.add_argument("--tables-only", action="store_true", help="print the tables of the records there are")
    arguments = parser.parse_args()
    vlm, records = load_model(arguments.model), Records(arguments.records)
    if not arguments.tables_only:
        sets = all_sets(arguments.work, arguments.sets)
        measure(vlm, sets, records, arguments.shots, arguments.seeds, arguments.methods)
    print(tables(records, vlm.fingerprint))
    print(
        "\nAccuracy in percent of test images; ± is the standard deviation over seeds, their number in brackets. "
        "Of the stamps and the solar cells it is the mean over classes (balanced accuracy)."
    )


if __name__ == "__main__":
    main()
