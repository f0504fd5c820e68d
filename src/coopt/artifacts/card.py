"""The card of a run: its README.md, for people and for model hubs."""

from collections.abc import Mapping, Sequence
from typing import Any

from coopt.tasks import Figure


def card(config: Mapping[str, Any], records: Sequence[Mapping[str, Any]], figures: Sequence[Figure]) -> str:
    """Markdown with the front matter that hubs read, what was learned from what, how well, and how to use it."""
    evaluations = [record for record in records if figures[0].name in record and "data" in record]
    lines = [
        "---",
        "library_name: coopt",
        f"base_model: {config['base_model_name_or_path']}",
        "pipeline_tag: image-classification",
        "tags: [prompt-learning, clip, few-shot]",
        "---",
        "",
        f"# {config['method']} on {config['base_model_name_or_path']}",
        "",
        f"A classifier for {len(config['class_names'])} classes, learned by coopt (context optimization). "
        f"The base model is unchanged; {config['n_parameters']:,} numbers were learned.",
        "",
        "| | |",
        "| --- | --- |",
        f"| method | {config['method']} {cell({**config['settings'], **config['found']})} |",
        f"| base model | {config['base_model_name_or_path']}, revision {config['revision']}, "
        f"fingerprint `{config['fingerprint']}` |",
        f"| training | {_training(config)} |",
        f"| classes | {cell(', '.join(config['class_names'][:20]))}{', ...' * (len(config['class_names']) > 20)} |",
        f"| versions | {', '.join(f'{name} {value}' for name, value in config['versions'].items())} |",
        "",
    ]
    if evaluations:
        lines += [
            "## Results",
            "",
            f"| data | images | {' | '.join(f.title for f in figures)} |",
            "| --- " * (2 + len(figures)) + "|",
        ]
        for record in evaluations:
            shown = " | ".join(figure.show_interval(record) for figure in figures)
            lines.append(f"| {record['data']} | {record['n_images']} | {shown} |")
        lines += ["", "An interval is the sampling error of the test images, not of the shots.", ""]
    lines += [
        "## Use",
        "",
        "    coopt predict THIS_FOLDER IMAGES",
        "",
        "    from coopt import PromptClassifier",
        '    PromptClassifier.load("THIS_FOLDER").predict(["image.jpg"])',
        "",
    ]
    return "\n".join(lines)


def _training(config: Mapping[str, Any]) -> str:
    """What was really used: a method that looks at no images has no shots, one without steps has no epochs."""
    shots, recipe = config.get("shots"), config.get("recipe") or {}
    if not (config.get("data") or {}).get("n_train", 1):
        return f"nothing was learned from images, seed {config.get('seed')}"
    parts = ["all images" if shots is None else f"{shots} shots per class", f"seed {config.get('seed')}"]
    if "lr" in recipe and recipe.get("epochs"):
        parts += [f"{recipe['epochs']} epochs, {recipe['optimizer']}, learning rate {recipe['lr']:g}"]
    return ", ".join(parts)


def cell(text: object) -> str:
    """Text inside a table: one line, whatever is in a name."""
    return " ".join(str(text).replace("|", "\\|").split())
