"""`save_pretrained`, `from_pretrained` and `push_to_hub`, by the conventions of libraries on the Hugging Face hub."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from coopt.artifacts.share import push_run

Made = TypeVar("Made", bound="Pretrained")


class Pretrained:
    """Adds the three to a class that has `save(folder, overwrite=...)` and `load(place, ...)` of run folders."""

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a run folder."""
        raise NotImplementedError

    load: Callable[..., Any]

    def save_pretrained(
        self, save_directory: Path | str, *, overwrite: bool = False, push_to_hub: bool = False, **options: Any
    ) -> Path:
        """Write a run folder, as `save` does.

        Args:
            save_directory: where.
            overwrite: replace a run that is there.
            push_to_hub: share it too.
            options: repo_id, and the others of `push_to_hub`.
        """
        folder = self.save(save_directory, overwrite=overwrite)
        if push_to_hub:
            push_run(folder, options.pop("repo_id", ""), **options)
        return folder

    @classmethod
    def from_pretrained(cls: type[Made], pretrained_model_name_or_path: Path | str, **options: Any) -> Made:
        """From a run folder or OWNER/NAME of a run on the hub, as `load` does; `options` are those of `load`."""
        return cls.load(pretrained_model_name_or_path, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Share what was learned on the hub as a run folder.

        Args:
            repo_id: OWNER/NAME; the repository is made if there is none.
            options: private, revision, commit_message, create_pr and token, as `coopt.push_run` has them.

        Returns:
            The address of the commit.
        """
        with tempfile.TemporaryDirectory() as temporary:
            return push_run(self.save(Path(temporary) / Path(repo_id).name), repo_id, **options)
