"""Look for held-out artwork in the training sets: shapes that coincide after fitting both to their bounding boxes.

    python -m tools.pretrain.near_duplicates

Simple shapes (a circle, a plus, an arrow) coincide by nature; a set that repackages a held-out one would show in
hundreds of its icons.
"""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .fetch import read_json
from .rasterise import draw, svg_text
from .sources import SOURCES

SIDE, SAME = 24, 0.97


def fingerprint(alpha: np.ndarray) -> np.ndarray | None:
    """The shape inside its bounding box at 24x24, centred and of unit length; None for an empty or full picture."""
    rows, columns = np.flatnonzero(alpha.max(1) > 64), np.flatnonzero(alpha.max(0) > 64)
    if len(rows) < 8 or len(columns) < 8:
        return None
    box = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = np.asarray(Image.fromarray(box).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32).ravel()
    small = small - small.mean()
    length = np.linalg.norm(small)
    return small / length if length > 400 else None


def font_awesome() -> dict[str, np.ndarray]:
    """Coverage of Font Awesome's solid and regular icons."""
    spec = importlib.util.find_spec("fontawesomefree")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the extra `demo` first")
    root = Path(spec.submodule_search_locations[0]) / "static" / "fontawesomefree" / "svgs"
    paths = sorted([*root.glob("solid/*.svg"), *root.glob("regular/*.svg")])
    return {f"{path.parent.name}/{path.stem}": draw(path.read_text())[..., 3] for path in paths}


def iconify(npm: Path, prefix: str) -> dict[str, np.ndarray]:
    """Coverage of the icons of a set that was fetched for evaluation."""
    icons = read_json(npm, f"@iconify-json/{prefix}", "icons.json")
    return {name: draw(svg_text(icons, name))[..., 3] for name in sorted(icons["icons"])}


def compare(held_out: dict[str, np.ndarray], raster: Path) -> tuple[Counter, set[str]]:
    """How many training icons of each set coincide with a held-out one, and which held-out ones are met."""
    prints = {name: found for name, alpha in held_out.items() if (found := fingerprint(alpha)) is not None}
    names, table = list(prints), torch.from_numpy(np.stack(list(prints.values())))
    counts: Counter[str] = Counter()
    met: set[str] = set()
    for source in SOURCES:
        with np.load(raster / f"{source.prefix}.npz") as archive:
            pictures = archive["pictures"]
        alphas = pictures[..., 3] if pictures.ndim == 4 else pictures
        own = [found for alpha in alphas if (found := fingerprint(alpha)) is not None]
        if own:
            alike = torch.from_numpy(np.stack(own)) @ table.T > SAME
            counts[source.prefix] = int(alike.any(1).sum())
            met |= {names[index] for index in alike.any(0).nonzero()[:, 0].tolist()}
    return counts, met


if __name__ == "__main__":
    work = Path("work/pretrain")
    families = {"Font Awesome": font_awesome(), "Unicons": iconify(work / "npm", "uil")}
    for family, held_out in families.items():
        counts, met = compare(held_out, work / "raster")
        most = ", ".join(f"{prefix} {count}" for prefix, count in counts.most_common(8))
        print(f"{family}: {len(met)} of {len(held_out)} icons have a near-equal shape in training; most in {most}")
