"""What the training views cost or bring: un-augmented, V fixed views per image, or fresh ones in every epoch.

    python tools/views_study.py FOLDER [--shots 4] [--seeds 5]

FOLDER is what `coopt demo` wrote (icons/ and digits/ inside). Prints the table of docs/augmentation.md: the test
accuracy of CoOp (word start, paper recipe) with the built-in model, mean over seeds with the 95% interval of Student's
t, and the difference from fresh views seed by seed. Each fit is kept in FOLDER/views.jsonl: a stopped study goes on.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

import torch
from scipy.stats import t as student

from coopt.data import load_dataset
from coopt.features import encode_dataset
from coopt.fit import Recipe, learn
from coopt.models import load_model

SETS = {"icons": "an icon of a", "digits": "a photo of the number"}
VIEWS: tuple[int | str, ...] = ("fresh", 0, 1, 4, 16)


def interval(values: list[float]) -> str:
    """`mean ± half-width` of the 95% interval over seeds."""
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.1f} ± {half:.1f}"


def main() -> None:
    """Run the fits that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    record = options.folder / "views.jsonl"
    lines = record.read_text().splitlines() if record.is_file() else []
    done = {tuple(row["key"]): row["accuracy"] for row in map(json.loads, lines)}
    vlm = load_model("builtin")
    for name, words in SETS.items():
        folder = options.folder / name
        names = folder / "class_names.json"
        splits = load_dataset(str(folder), class_names=names if names.is_file() else None)
        assert splits.train is not None and splits.test is not None and splits.test.labels is not None
        encoded = encode_dataset(vlm, splits.test)
        labels = torch.as_tensor(splits.test.labels)[encoded.indices]
        for seed in range(1, options.seeds + 1):
            for views in VIEWS:
                key = (name, vlm.fingerprint, options.shots, seed, views)
                if key not in done:
                    settings, recipe = {"ctx_init": words}, Recipe(views=views)
                    learned = learn(vlm, splits.train, settings=settings, shots=options.shots, seed=seed, recipe=recipe)
                    logits = learned.method.predictor()(encoded.features)
                    done[key] = learned.method.task.metrics(logits, labels).figures()["accuracy"]
                    with record.open("a") as file:
                        file.write(json.dumps({"key": key, "accuracy": done[key]}) + "\n")
                    print(name, options.shots, "shots, seed", seed, "views", views, f"{done[key]:.1f}", flush=True)
    print(f"| views | {' | '.join(f'{name}, accuracy | {name}, against fresh' for name in SETS)} |")
    print(f"| --- |{' --- | --- |' * len(SETS)}")
    for views in VIEWS:
        cells = []
        for name in SETS:
            keys = [(name, vlm.fingerprint, options.shots, seed) for seed in range(1, options.seeds + 1)]
            values = [done[(*key, views)] for key in keys]
            difference = [done[(*key, views)] - done[(*key, "fresh")] for key in keys]
            cells += [interval(values), "" if views == "fresh" else interval(difference)]
        print(f"| {views} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
