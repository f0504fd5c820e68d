"""The training set as arrays: pictures, tags, sampling weights, styles and the tokenised tags."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from coopt.files import write_json

from . import tokenizer
from .captions import KINDS
from .sources import SOURCES

STYLES = ("coloured", "solid", "line")
N_WORDS = 5500
TAG_LENGTH = 12  # tokens of a tag; the few longer ones are cut


def pack(raster: Path, captions: Path, target: Path) -> None:
    """Join the sets' pictures into memory-mapped arrays and tokenise the tags."""
    target.mkdir(parents=True, exist_ok=True)
    alphas, inks, ink_rows, weights, styles = [], [], [], [], []
    n_inks = 0
    for source in SOURCES:
        with np.load(raster / f"{source.prefix}.npz") as archive:
            pictures = archive["pictures"]
        coloured = pictures.ndim == 4
        alpha = pictures[..., 3] if coloured else pictures
        alphas.append(alpha)
        weights.append(np.full(len(alpha), source.weight, dtype=np.float32))
        if coloured:
            inks.append(pictures[..., :3])
            ink_rows.append(np.arange(n_inks, n_inks + len(alpha)))
            n_inks += len(alpha)
            styles.append(np.zeros(len(alpha), dtype=np.int64))
        else:
            ink_rows.append(np.full(len(alpha), -1))
            styles.append(np.where(_solid(alpha), 1, 2))
    np.save(target / "alpha.npy", np.concatenate(alphas))
    np.save(target / "ink.npy", np.concatenate(inks))
    np.save(target / "ink_row.npy", np.concatenate(ink_rows))
    np.save(target / "style.npy", np.concatenate(styles))
    np.save(target / "weight.npy", np.concatenate(weights))
    _tokenise(json.loads((captions / "tags.json").read_text()), captions, target)


def _solid(alpha: np.ndarray) -> np.ndarray:
    """Which one-colour icons are silhouettes: much of their ink is further than 3 pixels from an edge."""
    ink = torch.from_numpy(alpha).float()[:, None] / 255
    inner = -torch.nn.functional.max_pool2d(-ink, 7, 1, 3)
    return (inner.mean((1, 2, 3)) > 0.25 * ink.mean((1, 2, 3))).numpy()


def _tokenise(tags: list[str], captions: Path, target: Path) -> None:
    clip_tokenizer = tokenizer.load(target.parent / "tokenizer")
    ids = np.full((len(tags), TAG_LENGTH), -1, dtype=np.int32)
    for row, tokens in enumerate(clip_tokenizer(tags, add_special_tokens=False).input_ids):
        ids[row, : len(tokens)] = tokens[:TAG_LENGTH]
    np.save(target / "tag_ids.npy", ids)
    # Words of the auxiliary loss: the most common words over all icons' names and keywords and categories.
    counts: Counter[str] = Counter()
    for kind in KINDS:
        rows = np.load(captions / f"{kind}.npy")
        np.save(target / f"{kind}.npy", rows)
        for tag, count in Counter(rows[rows >= 0].tolist()).items():
            for word in set(tags[tag].split()):
                counts[word] += count
    words = {word: index for index, (word, _) in enumerate(counts.most_common(N_WORDS))}
    longest = max(len(set(tag.split())) for tag in tags)
    tag_words = np.full((len(tags), longest), -1, dtype=np.int32)
    for row, tag in enumerate(tags):
        known = sorted({words[word] for word in tag.split() if word in words})
        tag_words[row, : len(known)] = known
    np.save(target / "tag_words.npy", tag_words)
    write_json(target / "words.json", list(words))


@dataclass
class Corpus:
    """The packed training set; N icons, V tags."""

    alpha: Tensor  # (N, 64, 64) uint8
    ink: Tensor  # (n_coloured, 64, 64, 3) uint8, premultiplied
    ink_row: Int[Tensor, " N"]
    style: Int[Tensor, " N"]
    weight: Tensor
    tags: Int[Tensor, "N K"]  # names, keywords, categories side by side; -1 pads
    kind_columns: dict[str, slice]
    tag_ids: Int[Tensor, "V 12"]
    tag_words: Int[Tensor, "V W"]
    n_words: int

    def kind_counts(self) -> Int[Tensor, "N 3"]:
        """How many names, keywords and categories each icon has."""
        return torch.stack([(self.tags[:, self.kind_columns[kind]] >= 0).sum(1) for kind in KINDS], dim=1)

    def word_targets(self, icons: Int[Tensor, " B"]) -> Bool[Tensor, "B words"]:
        """Which common words are true of each icon."""
        tags = self.tags[icons]
        words = self.tag_words[tags.clamp(min=0)]  # (B, K, W)
        words = torch.where((tags >= 0)[..., None], words, -1).flatten(1).long()
        targets = torch.zeros(len(icons), self.n_words + 1, dtype=torch.bool)
        targets.scatter_(1, torch.where(words >= 0, words, self.n_words), True)
        return targets[:, :-1]


def load(folder: Path) -> Corpus:
    """The packed training set; the pictures stay on disk (memory-mapped) until they are drawn."""

    def tensor(name: str, mapped: bool = False) -> Tensor:
        array = np.load(folder / f"{name}.npy", mmap_mode="c" if mapped else None)
        return torch.from_numpy(array)

    by_kind = {kind: tensor(kind) for kind in KINDS}
    columns, start = {}, 0
    for kind in KINDS:
        columns[kind] = slice(start, start + by_kind[kind].shape[1])
        start = columns[kind].stop
    return Corpus(
        alpha=tensor("alpha", mapped=True),
        ink=tensor("ink", mapped=True),
        ink_row=tensor("ink_row"),
        style=tensor("style"),
        weight=tensor("weight"),
        tags=torch.cat(list(by_kind.values()), dim=1).long(),
        kind_columns=columns,
        tag_ids=tensor("tag_ids").long(),
        tag_words=tensor("tag_words"),
        n_words=len(json.loads((folder / "words.json").read_text())),
    )
