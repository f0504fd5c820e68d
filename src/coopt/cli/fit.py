"""`coopt fit`: learn a classifier from a few labelled images."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from coopt.artifacts import SeenImages, save_run
from coopt.cli.class_weight import CLASS_WEIGHT_HELP, read_class_weight
from coopt.cli.console import ConsoleReporter, out, print_json, show_path
from coopt.cli.downloads import download_bar
from coopt.cli.options import (
    DATA_HELP,
    AllowDuplicates,
    AllowEqual,
    Device,
    Dtype,
    GroupColumn,
    ImageColumn,
    ImageRoot,
    ImageSuffix,
    Json,
    LabelColumn,
    LabelPattern,
    Model,
    Revision,
    Strict,
    Workers,
)
from coopt.cli.parts import honest_test, remember_split
from coopt.cli.run_place import (
    CHECKPOINT,
    checkpoint_notes,
    default_name,
    finished,
    held,
    partial_of,
    remove_partial,
)
from coopt.cli.settings import read_settings, read_shots, shots_notes
from coopt.cli.task_options import numbers_note, read_task_settings
from coopt.data import ImageDataset, Splits, join_datasets, load_dataset
from coopt.errors import ConfigError, DataError
from coopt.evaluate import dataset_logits, measure
from coopt.features import encode_dataset
from coopt.fit import Learned, learn
from coopt.methods import Method, ZeroShot, find_method, set_task
from coopt.models import VLM, load_model
from coopt.prompting import equal_prompts_allowed, read_templates
from coopt.tasks import DEFAULT_TASK, Metrics, find_task


def fit(
    data: Annotated[list[str], typer.Argument(help=f"{DATA_HELP} Several are learned together.")],
    model: Model = "builtin",
    method: Annotated[str, typer.Option(help="A name from `coopt methods`, or module:Class of your own.")] = "coop",
    task: Annotated[
        str, typer.Option(help="What a label means: classification, ordinal (numbers), or module:Class.")
    ] = "classification",
    ranks: Annotated[
        str | None, typer.Option(help="Of --task ordinal: 0:100, 0:100:5 or low,medium,high; by default the data's.")
    ] = None,
    shots: Annotated[
        str | None, typer.Option(help="Images per class to learn from, or 'all'; by default 16.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of shots, start, order, augmentation and a split made here.")] = 1,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Run folder to write; by default runs/DATA-METHOD-SHOTS-SEED.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of method (n_ctx=4), recipe (momentum=0.8) or task (task.interval=0.8)."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Settings for a protocol; `coopt methods` lists them.")] = None,
    epochs: Annotated[int | None, typer.Option(help="By default the method's: CoOp's 50, 100 or 200 by shots.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; by default the method's, CoOp's is 0.002.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step; CoOp's is 32.")] = None,
    views: Annotated[
        str | None, typer.Option(help="Augmented views per image, encoded once; 'fresh': new ones each epoch; 0: none.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    truncate_names: Annotated[
        bool, typer.Option("--truncate-names", help="Cut the last tokens of names too long for the model's context.")
    ] = False,
    class_names: Annotated[
        Path | None, typer.Option(help="File of the prompt's words: a JSON map from labels.")
    ] = None,
    template: Annotated[
        str, typer.Option(help="The hand-written prompt to compare with: a template with {}, a name or a file.")
    ] = "a photo of a {}.",
    class_weight: Annotated[list[str] | None, typer.Option(help=CLASS_WEIGHT_HELP)] = None,
    unlabelled: Annotated[str | None, typer.Option(help="Images without labels, for methods that use them.")] = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    image_root: ImageRoot = None,
    image_suffix: ImageSuffix = None,
    label_pattern: LabelPattern = None,
    allow_equal_prompts: AllowEqual = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run of these settings.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is in --out.")] = False,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    workers: Workers = 0,
    strict: Strict = False,
    allow_duplicates: AllowDuplicates = False,
    as_json: Json = False,
) -> None:
    """Learn a classifier from a few labelled images and save it as a run folder.

    The data's test images (its own, or a stratified part) show how well it does beside a hand-written prompt.

    Example: coopt fit photos/ --shots 16 --set n_ctx=4
    """
    n_shots = read_shots(shots, method)
    read_templates(template)
    if seed >= 2**63:
        raise ConfigError(f"--seed is {seed}; allowed is a whole number from 0 to 2**63 - 1.")
    changes = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "views": views, "precision": precision}
    task_settings, pairs = read_task_settings(set_ or [], task, ranks, len(data) > 1)
    settings, recipe = read_settings(method, preset, pairs, truncate_names, changes)
    weights = read_class_weight(class_weight or [])
    folder = out_folder or Path("runs") / default_name(data, method, n_shots, seed)
    if resume and not overwrite and (done := finished(folder, method, settings, recipe, n_shots, seed)):
        return say_finished(folder, done, as_json)
    checkpoint = partial_of(folder) / CHECKPOINT
    reading: dict[str, Any] = {"n_workers": workers, "strict": strict}
    with held(folder, overwrite), ConsoleReporter(quiet=as_json) as reporter:
        columns: dict[str, Any] = {
            "image_column": image_column,
            "label_column": label_column,
            "group_column": group_column,
            "image_root": image_root,
            "image_suffix": image_suffix,
            "label_pattern": label_pattern,
        }
        columns |= {"class_names": class_names, "seed": seed, "validation": find_method(method).uses_validation}
        columns["ordered"] = find_task(task).ordered
        splits, train = read_training(data, **columns)
        for part in splits.parts.values():
            find_task(task).check(part, task_settings)  # of parts that are not learned from, too
        beside = load_dataset(unlabelled, require_labels=False, make_split=False).whole() if unlabelled else None
        with download_bar(as_json) as progress:
            vlm = load_model(model, device=device, dtype=dtype, revision=revision, progress=progress)
        for note in [*splits.notes, *shots_notes(shots, method), *checkpoint_notes(checkpoint, resume)]:
            reporter.note(note)
        announce(splits, vlm, method, task, reporter)
        split = remember_split(splits)
        learned = learn(
            vlm,
            train,
            val=splits.val,
            unlabelled=beside,
            method=method,
            settings=settings,
            preset=preset,
            task=task,
            task_settings=task_settings,
            shots=n_shots,
            seed=seed,
            recipe=recipe,
            allow_equal_prompts=allow_equal_prompts,
            class_weight=weights,
            **reading,
            checkpoint_path=checkpoint,
            resume=resume,
            reporter=reporter,
        )
        seen = replace(learned.seen(), split=split)
        test = honest_test(splits.test, seen, allow_duplicates, reporter)
        tested = compare(learned.method, test, template, seed, reading, reporter) if test is not None else None
        write(learned, splits, tested, folder, seen, overwrite=overwrite, revision_asked=revision, preset=preset)
        remove_partial(checkpoint.parent)
    if as_json:
        print_json(as_dict(learned, tested, folder, reporter.notes))
    else:
        summarise(
            learned,
            tested,
            template,
            folder,
            [*data, *column_options({"image_column": image_column, "label_column": label_column})],
        )


def read_training(data: Sequence[str], **options: Any) -> tuple[Splits, ImageDataset]:
    """The data and its training images.

    Raises:
        DataError: it has none.
    """
    splits = read_data(data, len(data) > 1, **options)
    if splits.train is None:
        raise DataError(f"{' '.join(data)!r} has no training images; its parts are {', '.join(splits.parts)}.")
    return splits, splits.train


def read_data(sources: Sequence[str], grouped: bool, **options: Any) -> Splits:
    """The data of one source, or of several as one with the classes of all, told apart by the sources' names.

    Raises:
        DataError: two sources have the same name.
    """
    if not grouped:
        return load_dataset(sources[0], **options)
    names = [Path(source.rstrip("/")).stem for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"Two sources are called {repeated[0]!r}; rename one of them, their names tell classes apart.")
    return join_datasets({name: load_dataset(source, **options) for name, source in zip(names, sources, strict=True)})


def write(
    learned: Learned,
    splits: Splits,
    tested: tuple[Metrics, Metrics] | None,
    folder: Path,
    seen: SeenImages,
    *,
    overwrite: bool,
    **facts: Any,
) -> None:
    """Save the run folder."""
    details = {**learned.details(), **facts}
    details["data"] |= {"split": splits.made_by, "n_test": tested[1].n_images if tested else 0}
    records: list[dict[str, Any]] = [record.as_dict() for record in learned.records]
    if tested:
        records.append({"data": "test", **tested[1].as_dict()})
    save_run(folder, learned.method, records=records, details=details, images=seen, overwrite=overwrite)


def say_finished(folder: Path, message: str, as_json: bool) -> None:
    """The run that --resume asks for is there."""
    if as_json:
        print_json({"run": str(folder), "finished": True, "notes": [message]})
    else:
        out.print(message, markup=False)


def as_dict(learned: Learned, tested: tuple[Metrics, Metrics] | None, folder: Path, notes: list[str]) -> dict[str, Any]:
    """The result, for --json."""
    return {
        "run": str(folder),
        "method": learned.method.key,
        "n_parameters": learned.method.n_parameters(),
        "n_train": len(learned.train),
        "epochs": learned.recipe.epochs,
        "skipped": [list(item) for item in learned.skipped],
        "zero_shot": tested[0].as_dict() if tested else None,
        "test": tested[1].as_dict() if tested else None,
        "notes": notes,
    }


def compare(
    method: Method, test: ImageDataset, template: str, seed: int, reading: dict[str, Any], reporter: ConsoleReporter
) -> tuple[Metrics, Metrics]:
    """Metrics of the hand-written prompt and of the learned method on the test images."""
    options = {**reading, "progress": reporter.encoding(f"{len(test)} test images")}
    encoded = encode_dataset(method.vlm, test, **options)
    reporter.skipped(encoded.skipped)
    cut = bool(method.settings.get("truncate_names", False))
    with equal_prompts_allowed():  # they were checked before learning
        zero_shot = ZeroShot(method.vlm, method.class_names, templates=template, truncate_names=cut)
    set_task(zero_shot, method.task)
    results = []
    for predictor in (zero_shot.predictor(), method.predictor()):
        found = dataset_logits(method.vlm, predictor, test, encoded=encoded, seed=seed, **options)
        results.append(measure(predictor.task, found, test))
    return results[0], results[1]


def column_options(columns: Mapping[str, str | None]) -> list[str]:
    """The columns of a table as a command takes them."""
    return [word for name, value in columns.items() if value for word in (f"--{name.replace('_', '-')}", value)]


def announce(splits: Splits, vlm: VLM, method: str, task: str, reporter: ConsoleReporter) -> None:
    """Say what is about to happen, and that there is another task for labels that are all numbers."""
    if task == DEFAULT_TASK and (note := numbers_note(splits.any)) is not None:
        reporter.note(note)
    for name, part in splits.parts.items():
        reporter.say(f"{name}: {part.summary()}")
    reporter.say(f"split: {splits.made_by}")
    reporter.say(f"model: {vlm!r}; method: {method} ({find_method(method).summary})")


def summarise(
    learned: Learned, tested: tuple[Metrics, Metrics] | None, template: str, folder: Path, data: Sequence[str]
) -> None:
    """The result, where everything lies, and what to type next."""
    if learned.method.uses_shots:
        out.print(
            f"Learned {learned.method.n_parameters():,} numbers from {len(learned.train)} images"
            + (f" in {len(learned.records)} epochs." if learned.records else ".")
        )
    if learned.skipped:
        out.print(f"{len(learned.skipped)} training image(s) could not be read and were skipped.")
    if tested:
        zero_shot, metrics = tested
        headline = metrics.shown[0]
        by_hand = headline.show(zero_shot.figures()[headline.name])
        out.print(f"Test {metrics.summary()}; hand-written prompt {template!r}: {by_hand}.", markup=False)
    out.print(f"Run folder: {show_path(folder)}", markup=False)
    command = shlex.join(["coopt", "evaluate", show_path(folder), *data])
    out.print(f"Next: {command}", markup=False)
