"""The card of a run: its README.md, for people and for model hubs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coopt.errors import ModelError
from coopt.methods import Method
from coopt.models import HUB_ID, model_licence
from coopt.prompting import nearest_words
from coopt.tasks import Figure

SIZES = {"n_train": "training images", "n_val": "validation images", "n_test": "test images"}


def learned_words(method: Method) -> list[str]:
    """The vocabulary word nearest to each vector of a shared learned context; none where there is no such context."""
    ctx = method.state_dict().get("ctx")
    if ctx is None or ctx.ndim != 2 or not ctx.is_floating_point():
        return []
    try:
        width = method.vlm.text.width
    except ModelError:  # a text tower whose vocabulary is not known
        return []
    if ctx.shape[1] != width:  # vectors of something else than the prompt
        return []
    return [nearest[0].word for nearest in nearest_words(method.vlm, ctx, 1)]


def card(
    config: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    figures: Sequence[Figure],
    words: Sequence[str] = (),
) -> str:
    """Markdown with the front matter that hubs read, what was learned from what, how well, and how to use it.

    Args:
        config: of the run.
        records: lines of its metrics.
        figures: of its task.
        words: the vocabulary word nearest to each learned context vector.
    """
    evaluations = [record for record in records if figures[0].name in record and "data" in record]
    model = shown_place(config["base_model_name_or_path"])
    lines = [
        *_front_matter(config, evaluations, figures),
        "",
        f"# {config['method']} on {model}",
        "",
        f"A classifier for {len(config['class_names'])} classes, learned by coopt (context optimization). "
        f"The base model is unchanged; {config['n_parameters']:,} numbers were learned.",
        "",
        "| | |",
        "| --- | --- |",
        f"| method | {config['method']} {cell({**config['settings'], **config['found']})} |",
        f"| base model | {model}, revision {config['revision']}, fingerprint `{config['fingerprint']}` |",
        f"| licence of the base model | {_licence(config)} |",
        f"| data | {_data(config)} |",
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
    if words:
        lines += [
            "## Words",
            "",
            f"Nearest vocabulary word of each learned vector, a hint and no translation: {cell(', '.join(words))}.",
            "",
        ]
    lines += [
        "## Use",
        "",
        "    coopt predict THIS_FOLDER IMAGES",
        "",
        "    from coopt import PromptClassifier",
        '    PromptClassifier.from_pretrained("THIS_FOLDER").predict(["image.jpg"])',
        "",
    ]
    return "\n".join(lines)


def shown_place(name: str) -> str:
    """A name of a model or of data; of a file or folder of this machine the last part, since runs are published."""
    path = Path(name).expanduser()
    return path.name if path.is_absolute() or path.exists() else name


def _front_matter(
    config: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]], figures: Sequence[Figure]
) -> list[str]:
    """What model hubs read; every value is written as JSON, which YAML reads."""
    model = config["base_model_name_or_path"]
    lines = ["---", "library_name: coopt"]
    if HUB_ID.fullmatch(model) and shown_place(model) == model and config["base_model_source"] == "transformers":
        lines.append(f"base_model: {json.dumps(model)}")
    lines += ["pipeline_tag: image-classification", "tags: [coopt, prompt-learning, clip, few-shot]"]
    if evaluations:
        title = f"{config['method']} on {shown_place(model)}"
        lines += ["model-index:", f"- name: {json.dumps(title)}", "  results:"]
    for record in evaluations:
        data = json.dumps({"name": str(record["data"]), "type": "image-folder"})
        metrics = [{"type": f.name, "name": f.title, "value": record[f.name]} for f in figures if f.name in record]
        task = json.dumps({"type": "image-classification"})
        lines += [f"  - task: {task}", f"    dataset: {data}", f"    metrics: {json.dumps(metrics)}"]
    return [*lines, "---"]


def _licence(config: Mapping[str, Any]) -> str:
    licence = model_licence(config["base_model_name_or_path"])
    return licence or "not known on this machine; see the card of the base model"


def _data(config: Mapping[str, Any]) -> str:
    facts = config.get("data") or {}
    if not facts.get("source"):
        return "not known"
    sizes = [f"{facts[name]} {what}" for name, what in SIZES.items() if facts.get(name)]
    return cell(
        ", ".join([str(facts["source"]), *sizes, *([f"split by {facts['split']}"] if "split" in facts else [])])
    )


def _training(config: Mapping[str, Any]) -> str:
    """What was really used: a method that looks at no images has no shots, one without steps has no epochs."""
    shots, recipe = config.get("shots"), config.get("recipe") or {}
    if imported := config.get("imported"):
        epoch = "" if imported.get("epoch") is None else f", epoch {imported['epoch']}"
        return f"by another project; imported from {cell(imported['file'])}{epoch}, sha256 `{imported['sha256']}`"
    if not (config.get("data") or {}).get("n_train", 1):
        return f"nothing was learned from images, seed {config.get('seed')}"
    parts = ["all images" if shots is None else f"{shots} shots per class", f"seed {config.get('seed')}"]
    if "lr" in recipe and recipe.get("epochs"):
        parts += [f"{recipe['epochs']} epochs, {recipe['optimizer']}, learning rate {recipe['lr']:g}"]
    return ", ".join(parts)


def cell(text: object) -> str:
    """Text inside a table: one line, whatever is in a name."""
    return " ".join(str(text).replace("|", "\\|").split())
