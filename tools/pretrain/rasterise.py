"""Draw every icon at 64x64: the alpha channel of one-colour icons, premultiplied RGBA of coloured ones."""

import io
import multiprocessing
import os
import re
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from coopt.files import atomic_path, write_json

from .fetch import read_json
from .sources import SOURCES, IconSet, check_training_set

SIZE = 64
_SKIN_TONE = re.compile(
    r"-(medium-light|medium-dark|light|medium|dark)(-skin-tone)?(-(medium-light|medium-dark|light|medium|dark)-skin-tone)?$"
)


def svg_text(icons: dict, name: str) -> str:
    """The SVG file of one icon of an Iconify set, black where the set leaves the colour open."""
    icon = icons["icons"][name]
    box = [icon.get(key, icons.get(key, default)) for key, default in _BOX]
    body = icon["body"].replace("currentColor", "#000000")
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{" ".join(map(str, box))}">{body}</svg>'


_BOX = (("left", 0), ("top", 0), ("width", 16), ("height", 16))


def draw(svg: str, size: int = SIZE) -> np.ndarray:
    """RGBA picture (size, size, 4), uint8, of an SVG text, fitted and centred on transparent ground."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, skip_system_fonts=True)
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    if image.size != (size, size):
        scale = size / max(image.size)
        image = image.resize(tuple(max(1, round(scale * side)) for side in image.size), Image.Resampling.BICUBIC)
        ground = Image.new("RGBA", (size, size))
        ground.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        image = ground
    return np.asarray(image)


def used_names(source: IconSet, icons: dict) -> list[str]:
    """Names of the set's icons that are drawn: without hidden ones, other sizes and styles, and skin tones."""
    every = icons["icons"]
    names = [name for name in sorted(every) if source.uses(name) and not every[name].get("hidden")]
    if not source.emoji:
        return names
    return [
        name
        for name in names
        if not (_SKIN_TONE.search(name) and _SKIN_TONE.sub("", name) in every) and not name.endswith("skin-tone")
    ]


def rasterise_set(source: IconSet, npm: Path, target: Path) -> int:
    """Draw one set into `target/PREFIX.npz` (names, pictures) and return how many icons it holds."""
    package = f"@iconify-json/{source.prefix}"
    info = read_json(npm, package, "info.json")
    licence = check_training_set(source.prefix, info)
    icons = read_json(npm, package, "icons.json")
    coloured = bool(info.get("palette"))
    names, pictures = [], []
    for name in used_names(source, icons):
        try:
            picture = draw(svg_text(icons, name))
        except ValueError:  # an SVG that the renderer refuses
            continue
        alpha = picture[..., 3]
        if alpha.max() < 128 or (alpha > 64).mean() < 0.01:  # nothing to see
            continue
        if coloured:
            ink = picture[..., :3].astype(np.uint16) * alpha[..., None] // 255
            picture = np.concatenate([ink.astype(np.uint8), alpha[..., None]], axis=-1)
        names.append(name)
        pictures.append(picture if coloured else alpha)
    with atomic_path(target / f"{source.prefix}.npz") as temporary, open(temporary, "wb") as file:
        np.savez(file, names=np.array(names), pictures=np.stack(pictures))
    facts = {"name": info["name"], "author": info["author"], "licence": licence, "coloured": coloured}
    write_json(target / f"{source.prefix}.json", facts | {"icons": len(names)})
    return len(names)


def rasterise_all(npm: Path, target: Path, processes: int | None = None) -> None:
    """Draw every training set that is not drawn yet."""
    target.mkdir(parents=True, exist_ok=True)
    waiting = [source for source in SOURCES if not (target / f"{source.prefix}.json").exists()]
    with multiprocessing.Pool(processes or os.cpu_count()) as pool:
        counts = pool.starmap(rasterise_set, [(source, npm, target) for source in waiting], chunksize=1)
    for source, count in zip(waiting, counts, strict=True):
        print(f"{source.prefix}: {count} icons", flush=True)
