"""Sharing a run folder on the Hugging Face hub: one commit, of which all arrives or nothing."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from coopt.artifacts.card import shown_place
from coopt.artifacts.hub import FILES, PREFIX
from coopt.artifacts.load import load_run
from coopt.artifacts.place import CARD, CONFIG
from coopt.errors import ConfigError, RunError, first_line
from coopt.files import write_json, write_text
from coopt.messages import option, tell
from coopt.models import HUB_ID


def push_run(
    folder: Path | str,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
    trust_code: bool = False,
) -> str:
    """Share a run folder on the Hugging Face hub, in one commit: all of it is there, or nothing new.

    Args:
        folder: a run folder.
        repo_id: OWNER/NAME; the repository is made if there is none.
        private: whether a new repository is private; None leaves it to the hub.
        revision: a branch that is there already; None is the main one.
        commit_message: of the commit.
        create_pr: propose the commit instead of making it.
        token: of your account; None takes that of `hf auth login` or HF_TOKEN.
        trust_code: leave to import the method or the task of the run, where it is a class from outside the package.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: `repo_id` is no OWNER/NAME.
        RunError: the folder is no run, offline mode is on, or the hub refuses or fails.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    repo_id = repo_id.removeprefix(PREFIX)
    if HUB_ID.fullmatch(repo_id) is None:
        raise ConfigError(f"repo_id is {repo_id!r}; give OWNER/NAME, such as your-name/flowers.")
    folder = Path(folder)
    load_run(folder, trust_code=trust_code)  # what cannot be used is not shared
    if constants.HF_HUB_OFFLINE:
        raise RunError("Offline mode is on (HF_HUB_OFFLINE); sharing a run needs the network. Unset it.")
    api = HfApi(token=token, library_name="coopt")
    message = commit_message or f"Upload the coopt run {folder.name}"
    with tempfile.TemporaryDirectory() as temporary:
        shared = _copy(folder, Path(temporary), repo_id)
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            found = api.upload_folder(
                repo_id=repo_id,
                folder_path=shared,
                revision=revision,
                commit_message=message,
                create_pr=create_pr,
                allow_patterns=list(FILES),
            )
        except Exception as error:  # of the hub's client, of its transport, of the system
            response = error.response if isinstance(error, HfHubHTTPError) else None
            remedy = {
                401: "Log in with `hf auth login`, or give a token that may write.",
                403: "Give a token that may write to it, or choose a name under your own account.",
                404: "Check the name and, if you gave one, that the branch exists.",
            }.get(response.status_code if response is not None else 0, "Try again; nothing of the run was shared.")
            raise RunError(
                f"The hub ({constants.ENDPOINT}) did not take the run as '{repo_id}': "
                f"{first_line(error).rstrip('.')}. {remedy}"
            ) from error
    return str(found.commit_url)


def _copy(folder: Path, temporary: Path, repo_id: str) -> Path:
    """The run's files, in which a base model of this machine has no path, and the card says how to use the run."""
    for name in FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, temporary / name)
    if (temporary / CARD).is_file():
        text = (temporary / CARD).read_text(encoding="utf-8")
        write_text(temporary / CARD, text.replace("THIS_FOLDER", repo_id))
    config: dict[str, Any] = json.loads((temporary / CONFIG).read_text(encoding="utf-8"))
    model, source = config["base_model_name_or_path"], (config.get("data") or {}).get("source")
    if shown_place(model) != model:
        config["base_model_name_or_path"] = shown_place(model)
        tell(
            f"the base model is {model}, which only this machine has; the shared run names it {shown_place(model)!r}, "
            f"and whoever loads it gives the place of the same weights ({option('--model', 'model=...')})"
        )
    if isinstance(source, str):
        config["data"]["source"] = shown_place(source)
    write_json(temporary / CONFIG, config)
    return temporary
