"""`coopt fit`: learn a classifier from a few labelled images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from coopt.cli.class_weight import CLASS_WEIGHT_HELP, read_class_weight
from coopt.cli.console import print_json
from coopt.cli.downloads import download_bar
from coopt.cli.options import (
    DATA_HELP,
    AllowDuplicates,
    AllowEmpty,
    AllowEqual,
    Device,
    Dtype,
    GroupColumn,
    Ignore,
    ImageBits,
    ImageColumn,
    ImageRoot,
    ImageSuffix,
    Json,
    LabelColumn,
    LabelPattern,
    Layout,
    Model,
    Revision,
    Strict,
    Workers,
    table_options,
)


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
        Path | None, typer.Option(help="File of the prompt's words: a JSON map from labels, or a list.")
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
    layout: Layout = "auto",
    ignore: Ignore = None,
    allow_empty: AllowEmpty = False,
    image_bits: ImageBits = None,
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
    from coopt.cli import fit_steps as steps
    from coopt.cli import run_place as place
    from coopt.cli.progress import ConsoleReporter
    from coopt.cli.settings import read_settings, read_shots, shots_notes
    from coopt.cli.task_options import read_task_settings
    from coopt.fit import learn
    from coopt.models import load_model

    n_shots = read_shots(shots, method)
    changes = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "views": views, "precision": precision}
    task_settings, pairs = read_task_settings(set_ or [], task, ranks, len(data) > 1)
    settings, recipe = read_settings(method, preset, pairs, truncate_names, changes)
    job: dict[str, Any] = {"method": method, "settings": settings, "preset": preset, "recipe": recipe}
    job |= {"task": task, "task_settings": task_settings, "class_weight": read_class_weight(class_weight or [])}
    table = table_options(image_column, label_column, group_column, image_root, image_suffix, label_pattern)
    files: dict[str, Any] = {"layout": layout, "ignore": ignore or (), "image_bits": image_bits}
    folder = out_folder or Path("runs") / place.default_name(data, method, n_shots, seed)
    steps.check_before(template, seed)
    if resume and not overwrite and (done := place.finished(folder, method, settings, recipe, n_shots, seed)):
        return steps.say_finished(folder, done, as_json)
    checkpoint = place.partial_of(folder) / place.CHECKPOINT
    with place.held(folder, overwrite), ConsoleReporter(quiet=as_json) as reporter:
        asked = {**table, "class_names": class_names, "seed": seed, "allow_empty": allow_empty}
        read = steps.read_all(data, job, unlabelled, files, **asked)
        with download_bar(as_json) as progress:
            vlm = load_model(model, device=device, dtype=dtype, revision=revision, progress=progress)
        notes = [*shots_notes(shots, method), *place.checkpoint_notes(checkpoint, resume)]
        steps.announce(read.splits, vlm, method, task, recipe.resolve(n_shots), notes, reporter)
        reading: dict[str, Any] = {"seed": seed, "n_workers": workers, "strict": strict, "reporter": reporter}
        learned = learn(
            vlm,
            read.train,
            val=read.splits.val,
            unlabelled=read.unlabelled,
            **job,
            shots=n_shots,
            allow_equal_prompts=allow_equal_prompts,
            **reading,
            checkpoint_path=checkpoint,
            resume=resume,
        )
        tested, seen = steps.test(learned, read, template, reading, allow_duplicates)
        steps.write(learned, read, tested, folder, seen, overwrite=overwrite, revision_asked=revision, preset=preset)
        place.remove_partial(checkpoint.parent)
    if as_json:
        print_json(steps.as_dict(learned, tested, folder, reporter.notes))
    else:
        read_so = steps.reading_options(bool(tested), table, files, allow_duplicates)
        steps.summarise(learned, tested, template, folder, [*data, *read_so])
