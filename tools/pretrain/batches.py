"""Training batches: which icons, which caption for each, and which caption is true of which icon."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from . import augment
from .captions import KINDS
from .corpus import Corpus

_ANY = -1

# How a caption is worded: (probability, template, the style it needs, whether it names the colour of the ink).
# A few wordings are used most of the time, and some are true of one style alone ("emoji" of coloured pictures,
# "solid icon" of silhouettes): so the wording tells something about the picture, as it does in CLIP's data.
OBJECT_TEMPLATES = (
    (0.40, "an icon of a {}.", _ANY, False),
    (0.10, "a picture of a {}.", _ANY, False),
    (0.12, "{}", _ANY, False),
    (0.08, "{}.", _ANY, False),
    (0.08, "a photo of a {}.", 0, False),
    (0.06, "an emoji of a {}.", 0, False),
    (0.05, "a solid icon of a {}.", 1, False),
    (0.05, "a line drawing of a {}.", 2, False),
    (0.06, "a {colour} icon of a {}.", _ANY, True),
)
CATEGORY_TEMPLATES = (
    (0.30, "an icon of {}.", _ANY, False),
    (0.20, "{}", _ANY, False),
    (0.30, "an icon from the category {}.", _ANY, False),
    (0.20, "something about {}.", _ANY, False),
)
KIND_PROBABILITY = {"names": 0.5, "keywords": 0.28, "categories": 0.22}


@dataclass
class Wording:
    """One template as token ids around the tag."""

    prefix: list[int]
    suffix: list[int]
    style: int
    colour: int


def expand_templates(templates: tuple, tokenizer) -> tuple[list[Wording], list[list[int]]]:
    """Templates with every colour written out, and for each template the rows that belong to it."""
    wordings: list[Wording] = []
    rows: list[list[int]] = []
    for _, text, style, names_colour in templates:
        own = []
        for code, colour in enumerate(augment.COLOURS) if names_colour else ((_ANY, ""),):
            left, right = text.replace("{colour}", colour).split("{}")
            ids = [
                tokenizer(part, add_special_tokens=False).input_ids if part.strip() else [] for part in (left, right)
            ]
            own.append(len(wordings))
            wordings.append(Wording(ids[0], ids[1], style, code))
        rows.append(own)
    return wordings, rows


@dataclass
class Batch:
    """B icons with one caption each."""

    icons: Int[Tensor, " B"]
    pixels: Float[Tensor, "B 3 R R"]
    ids: Int[Tensor, "B L"]  # captions, padded with the end token
    positives: Bool[Tensor, "B B"]  # caption j (column) is true of icon i (row)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(self.icons, self.pixels.to(device), self.ids.to(device), self.positives.to(device))


class Batches:
    """Batches by step number: the same seed and step give the same batch, on any machine and after any resume."""

    def __init__(self, corpus: Corpus, tokenizer, seed: int) -> None:
        self.corpus, self.seed = corpus, seed
        self.bos, self.eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.object_wordings, self.object_rows = expand_templates(OBJECT_TEMPLATES, tokenizer)
        category_wordings, category_rows = expand_templates(CATEGORY_TEMPLATES, tokenizer)
        shift = len(self.object_wordings)
        self.category_rows = [[row + shift for row in rows] for rows in category_rows]
        self.wordings = self.object_wordings + category_wordings
        self.wording_style = torch.tensor([wording.style for wording in self.wordings])
        self.wording_colour = torch.tensor([wording.colour for wording in self.wordings])
        self.counts = corpus.kind_counts()
        self.cumulative = np.cumsum(corpus.weight.double().numpy())

    def generator(self, step: int) -> torch.Generator:
        """The randomness of one step."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)

    def draw_icons(self, generator: torch.Generator, size: int) -> Int[Tensor, " B"]:
        """Icons by their sets' weights."""
        points = torch.rand(size, generator=generator, dtype=torch.float64).numpy() * self.cumulative[-1]
        return torch.from_numpy(np.searchsorted(self.cumulative, points).clip(max=len(self.cumulative) - 1))

    def draw_pictures(
        self, icons: Tensor, generator: torch.Generator, resolution: int, device: torch.device
    ) -> augment.Drawn:
        """Freshly varied pictures of `icons`."""
        rows = self.corpus.ink_row[icons]
        has_ink = rows >= 0
        ink = self.corpus.ink[rows[has_ink]]
        return augment.draw(self.corpus.alpha[icons], ink, has_ink, generator, resolution, device)

    def draw_tags(self, icons: Tensor, generator: torch.Generator) -> tuple[Int[Tensor, " B"], Bool[Tensor, " B"]]:
        """One tag of each icon, and whether it is a category."""
        counts = self.counts[icons]  # (B, 3)
        chances = torch.tensor([KIND_PROBABILITY[kind] for kind in KINDS]) * (counts > 0)
        kind = torch.multinomial(chances, 1, generator=generator)[:, 0]
        count = counts.gather(1, kind[:, None])[:, 0]
        # Earlier tags are surer and more specific: squaring the uniform number prefers them.
        place = (torch.rand(len(icons), generator=generator) ** 1.5 * count).long()
        starts = torch.tensor([self.corpus.kind_columns[name].start for name in KINDS])
        tags = self.corpus.tags[icons].gather(1, (starts[kind] + place)[:, None])[:, 0]
        return tags, kind == KINDS.index("categories")

    def draw_wordings(
        self, is_category: Tensor, style: Tensor, colour: Tensor, generator: torch.Generator
    ) -> Int[Tensor, " B"]:
        """A wording for each tag that is true of the picture's style and colour."""
        n = len(is_category)
        chosen = []
        for templates, rows in ((OBJECT_TEMPLATES, self.object_rows), (CATEGORY_TEMPLATES, self.category_rows)):
            chances = torch.tensor([template[0] for template in templates]).expand(n, -1).clone()
            needs = torch.tensor([template[2] for template in templates])
            chances *= (needs == _ANY) | (needs == style[:, None])
            names_colour = torch.tensor([template[3] for template in templates])
            chances *= ~(names_colour & (colour < 0)[:, None])
            template = torch.multinomial(chances, 1, generator=generator)[:, 0]
            first = torch.tensor([row[0] for row in rows])[template]
            chosen.append(torch.where(names_colour[template], first + colour.clamp(min=0), first))
        return torch.where(is_category, chosen[1], chosen[0])

    def caption_ids(self, tags: Tensor, wordings: Tensor) -> Int[Tensor, "B L"]:
        """Token ids of the captions, padded with the end token to the longest of the batch."""
        rows = []
        for tag, wording in zip(self.corpus.tag_ids[tags].tolist(), wordings.tolist(), strict=True):
            around = self.wordings[wording]
            rows.append([self.bos, *around.prefix, *(token for token in tag if token >= 0), *around.suffix, self.eos])
        longest = max(map(len, rows))
        return torch.tensor([row + [self.eos] * (longest - len(row)) for row in rows])

    def positives(self, icons: Tensor, tags: Tensor, wordings: Tensor, style: Tensor, colour: Tensor) -> Tensor:
        """Caption j is true of icon i if its tag is, and what its wording says of style and colour is."""
        true = (self.corpus.tags[icons][:, None, :] == tags[None, :, None]).any(-1)
        for needs, looks in ((self.wording_style[wordings], style), (self.wording_colour[wordings], colour)):
            true &= (needs == _ANY)[None] | (needs[None] == looks[:, None])
        return true | torch.eye(len(icons), dtype=torch.bool)

    def batch(self, step: int, size: int, resolution: int, device: torch.device) -> Batch:
        """The batch of step `step`."""
        generator = self.generator(step)
        icons = self.draw_icons(generator, size)
        drawn = self.draw_pictures(icons, generator, resolution, device)
        style, colour = self.corpus.style[icons], drawn.colour
        tags, is_category = self.draw_tags(icons, generator)
        wordings = self.draw_wordings(is_category, style, colour, generator)
        positives = self.positives(icons, tags, wordings, style, colour)
        ids = self.caption_ids(tags, wordings)
        return Batch(icons, drawn.pixels, ids.to(device), positives.to(device))
