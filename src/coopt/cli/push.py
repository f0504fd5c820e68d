"""`coopt push`: share a run folder on the Hugging Face hub."""

from typing import Annotated

import typer

from coopt.cli.console import Lines, out, print_json
from coopt.cli.options import Json, TrustCode
from coopt.messages import listening


def push(
    run: Annotated[str, typer.Argument(help="A run folder that `coopt fit` or `coopt import` wrote.")],
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where; it is made if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="A new repository is private.")] = False,
    revision: Annotated[str | None, typer.Option(help="A branch that is there already; by default main.")] = None,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    pull_request: Annotated[bool, typer.Option("--pull-request", help="Propose the commit instead.")] = False,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Share a run folder on the Hugging Face hub.

    All of its files go in one commit. Log in before with `hf auth login`, or set HF_TOKEN. Others then use OWNER/NAME
    in the place of a run folder.

    Example: coopt push runs/photos-coop-16shot-seed1 your-name/photos
    """
    from coopt.artifacts import push_run

    reporter = Lines(quiet=as_json)
    with listening(reporter.note):
        address = push_run(
            run,
            repo_id,
            private=private or None,
            revision=revision,
            commit_message=message,
            create_pr=pull_request,
            trust_code=trust_code,
        )
    if as_json:
        print_json({"run": run, "repo_id": repo_id, "commit": address, "notes": reporter.notes})
    else:
        out.print(f"Shared: {address}")
