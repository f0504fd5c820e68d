"""`coopt words`: the vocabulary words nearest to what was learned."""

from typing import Annotated

import typer

from coopt.cli.console import Lines, print_json
from coopt.cli.downloads import download_bar
from coopt.cli.options import Device, Json, OtherModel, RunFolder, RunRevision, TrustCode
from coopt.cli.tables import print_table
from coopt.errors import RunError
from coopt.messages import listening


def words(
    run: RunFolder,
    top_k: Annotated[int, typer.Option(min=1, help="Words per vector.")] = 3,
    class_name: Annotated[
        str | None, typer.Option(help="For a class-specific prompt: the class; by default the first.")
    ] = None,
    revision: RunRevision = None,
    model: OtherModel = None,
    device: Device = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Nearest vocabulary words of each learned context vector, by Euclidean distance.

    Words are a hint, not a translation: a learned vector need not lie near any word (CoOp, section 4.2.4).

    Example: coopt words runs/photos-coop-16shot-seed1
    """
    from coopt.artifacts import load_run
    from coopt.data.unicode import one_form
    from coopt.prompting import nearest_words

    with listening(Lines(quiet=as_json).note):
        loaded = load_run(run, revision=revision, trust_code=trust_code)
    ctx = loaded.tensors.get("ctx")
    if ctx is None:
        raise RunError(f"The run {run} (method {loaded.config['method']!r}) has no learned context vectors.")
    if ctx.ndim == 3 and len(ctx) == len(loaded.class_names):
        names = [one_form(name) for name in loaded.class_names]
        name = one_form(class_name or names[0])
        if name not in names:
            raise RunError(f"The run {run} has no class {name!r}; it has {', '.join(loaded.class_names)}.")
        ctx = ctx[names.index(name)]
    with download_bar(as_json) as progress:
        vlm = loaded.load_vlm(device, model=model, progress=progress)
    if ctx.ndim != 2 or ctx.shape[1] != vlm.text.width:
        raise RunError(
            f"The context vectors of {run} have the shape {tuple(ctx.shape)}; needed is (M, {vlm.text.width})."
        )
    nearest = nearest_words(vlm, ctx, top_k)
    if as_json:
        rows = [[{"word": w.word, "distance": w.distance} for w in row] for row in nearest]
        print_json({"run": str(run), "norms": ctx.norm(dim=-1).tolist(), "words": rows})
        return
    lines = [
        (i, f"{vector.norm():.3f}", ", ".join(f"{w.word} ({w.distance:.3f})" for w in row))
        for i, (vector, row) in enumerate(zip(ctx, nearest, strict=True), start=1)
    ]
    print_table(("vector", "norm", "nearest words (distance)"), lines, right=("vector", "norm"))
