"""A training set of 29 icons in two sets, small enough to train on in a test."""

import numpy as np
import pytest

from coopt.files import write_json
from tools.pretrain import align, captions, corpus, tokenizer
from tools.pretrain.sources import IconSet


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A work folder with a packed corpus: 13 coloured and 16 one-colour icons, and their tags."""
    sources = (IconSet("colourful", 3.0, emoji=True), IconSet("plain", 1.0))
    for module in (corpus, align):
        monkeypatch.setattr(module, "SOURCES", sources)
    generator = np.random.default_rng(5)
    raster, tag_folder = tmp_path / "raster", tmp_path / "captions"
    raster.mkdir()
    tag_folder.mkdir()
    alpha = np.zeros((29, 64, 64), dtype=np.uint8)
    for number in range(29):
        alpha[number, number : number + 30, 10:50] = 255
    ink = generator.integers(0, 256, (13, 64, 64, 4), dtype=np.uint8)
    ink[..., 3] = alpha[:13]
    ink[..., :3] = np.minimum(ink[..., :3], ink[..., 3:])
    np.savez(raster / "colourful.npz", names=np.arange(13).astype(str), pictures=ink)
    np.savez(raster / "plain.npz", names=np.arange(16).astype(str), pictures=alpha[13:])
    tags = [f"thing {word}" for word in "cat dog owl cow hen pig fox bee ant bat elk".split()] + ["animals", "pets"]
    for kind in captions.KINDS:
        rows = np.full((29, captions.LIMITS[kind]), -1, dtype=np.int32)
        if kind == "names":
            rows[:, 0] = np.arange(29) % 11
        if kind == "categories":
            rows[:, 0] = 11 + np.arange(29) % 2
        np.save(tag_folder / f"{kind}.npy", rows)
    write_json(tag_folder / "tags.json", tags)
    tokenizer.train([*tags, "an icon of a photo ."], tmp_path / "tokenizer")
    corpus.pack(raster, tag_folder, tmp_path / "corpus")
    return tmp_path
