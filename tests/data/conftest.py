"""Small data sets, made on the spot."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.data.data_helpers import picture, png

Make = Callable[..., Path]


@pytest.fixture
def make_files(tmp_path: Path) -> Make:
    """Write files below a root, which is the answer: an image at every path that has no content of its own."""

    def make(root: str, *paths: str, contents: Mapping[str, str | bytes] = {}) -> Path:  # noqa: B006
        folder = tmp_path / root
        folder.mkdir(parents=True, exist_ok=True)
        for seed, path in enumerate([*paths, *contents]):
            target = folder / path
            if path.endswith("/"):
                target.mkdir(parents=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            content = contents.get(path, png(picture(seed)))
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return make
