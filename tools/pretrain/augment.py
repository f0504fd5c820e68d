"""Varied pictures of icons, a batch at a time: colours, ground, stroke, outline, geometry, blur, noise."""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

# Named colours that captions may speak of ("a red icon of a heart"); the index is the colour's code.
COLOURS = {
    "red": (0.86, 0.10, 0.12), "orange": (0.96, 0.55, 0.08), "yellow": (0.95, 0.85, 0.12),
    "green": (0.12, 0.62, 0.22), "blue": (0.13, 0.33, 0.85), "purple": (0.52, 0.18, 0.70),
    "pink": (0.95, 0.48, 0.70), "brown": (0.47, 0.29, 0.14), "gray": (0.5, 0.5, 0.5),
    "black": (0.03, 0.03, 0.03), "white": (0.98, 0.98, 0.98),
}  # fmt: skip


@dataclass
class Drawn:
    """A batch of pictures and what their looks are."""

    pixels: Float[Tensor, "B 3 R R"]  # normalised to mean 0.5, deviation 0.5
    colour: Int[Tensor, " B"]  # code of the one colour of the ink; -1 where it has no name


def uniform(generator: torch.Generator, n: int, low: float, high: float) -> Float[Tensor, " n"]:
    """`n` uniform numbers, drawn on the CPU so that a GPU run sees the same ones."""
    return torch.rand(n, generator=generator) * (high - low) + low


def _chance(generator: torch.Generator, n: int, probability: float) -> Tensor:
    return torch.rand(n, generator=generator) < probability


def ink_and_ground(
    generator: torch.Generator, n: int
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Int[Tensor, " n"]]:
    """Colours of one-colour icons and their ground: mostly dark on light, also light on dark and named colours."""
    palette = torch.tensor(list(COLOURS.values()))
    black = list(COLOURS).index("black")
    ink = torch.rand(n, 1, generator=generator) * 0.25 + torch.rand(n, 3, generator=generator) * 0.05
    ground = 1 - torch.rand(n, 1, generator=generator) * 0.12 - torch.rand(n, 3, generator=generator) * 0.04
    ground[_chance(generator, n, 0.5)] = 1.0
    colour = torch.full((n,), black)
    kind = torch.rand(n, generator=generator)
    named = kind < 0.3  # a named colour on a light or dark ground
    code = torch.randint(len(palette), (n,), generator=generator)
    ink = torch.where(named[:, None], palette[code] + 0.06 * torch.randn(n, 3, generator=generator), ink)
    colour = torch.where(named, code, colour)
    free = (kind >= 0.3) & (kind < 0.42)  # any colours
    ink = torch.where(free[:, None], torch.rand(n, 3, generator=generator), ink)
    ground = torch.where(free[:, None], torch.rand(n, 3, generator=generator), ground)
    colour = torch.where(free, -1, colour)
    swap = (kind >= 0.42) & (kind < 0.54)  # light on dark
    ink, ground = torch.where(swap[:, None], ground, ink), torch.where(swap[:, None], ink, ground)
    colour = torch.where(swap, list(COLOURS).index("white"), colour)
    # Ink and ground must differ: otherwise the ground becomes the far end of the grey scale.
    light = torch.tensor([0.3, 0.59, 0.11])
    close = ((ink - ground) @ light).abs() < 0.25
    far = (ink @ light < 0.5).float()[:, None].expand(-1, 3)
    return ink.clamp(0, 1), torch.where(close[:, None], far, ground).clamp(0, 1), colour


def dilate(x: Float[Tensor, "B K S S"]) -> Float[Tensor, "B K S S"]:
    """Maximum over 3x3 neighbours, by shifted slices (several times faster than max pooling on a CPU)."""
    rows = x.clone()
    torch.maximum(rows[..., 1:, :], x[..., :-1, :], out=rows[..., 1:, :])
    torch.maximum(rows[..., :-1, :], x[..., 1:, :], out=rows[..., :-1, :])
    result = rows.clone()
    torch.maximum(result[..., 1:], rows[..., :-1], out=result[..., 1:])
    torch.maximum(result[..., :-1], rows[..., 1:], out=result[..., :-1])
    return result


def thicken(alpha: Float[Tensor, "B 1 S S"], generator: torch.Generator) -> Float[Tensor, "B 1 S S"]:
    """Make strokes of some icons thicker or thinner by a pixel, in place."""
    chance = torch.rand(len(alpha), generator=generator).to(alpha.device)
    thick, thin = chance < 0.2, (chance >= 0.2) & (chance < 0.28)
    alpha[thick] = dilate(alpha[thick])
    alpha[thin] = 0.5 * (alpha[thin] - dilate(-alpha[thin]))
    return alpha


def outline(picture: Float[Tensor, "B 4 S S"]) -> Float[Tensor, "B 4 S S"]:
    """Draw dark contours around the coloured parts, as cartoons have them (premultiplied RGBA in and out)."""
    spread = dilate(picture) + dilate(-picture)
    contour = ((spread.amax(1, keepdim=True) - 0.25) * 4).clamp(0, 1)
    ink = picture[:, :3] * (1 - contour)
    return torch.cat([ink, torch.maximum(picture[:, 3:], contour)], dim=1)


def vary_colours(picture: Float[Tensor, "B 4 S S"], generator: torch.Generator) -> Float[Tensor, "B 4 S S"]:
    """Change saturation, brightness and the mix of channels of coloured pictures, and outline some."""
    n, device = len(picture), picture.device
    outlined = _chance(generator, n, 0.35).to(device)
    picture[outlined] = outline(picture[outlined])
    ink, alpha = picture[:, :3], picture[:, 3:]
    mix = torch.eye(3) + 0.08 * torch.randn(n, 3, 3, generator=generator)
    turned = _chance(generator, n, 0.1)
    mix[turned] = mix[turned][:, torch.randperm(3, generator=generator)]
    ink = torch.einsum("bij,bjhw->bihw", mix.to(device), ink)
    grey = ink.mean(1, keepdim=True)
    saturation = torch.where(_chance(generator, n, 0.12), 0.0, uniform(generator, n, 0.6, 1.4))
    ink = grey + (ink - grey) * saturation.to(device)[:, None, None, None]
    ink = ink * uniform(generator, n, 0.8, 1.15).to(device)[:, None, None, None]
    return torch.cat([torch.minimum(ink.clamp(0, 1), alpha), alpha], dim=1)


def warp_grid(generator: torch.Generator, n: int, flips: Tensor, size: int) -> Float[Tensor, "n R R 2"]:
    """Sampling grid of scale, aspect, rotation, shear, shift and (where `flips`) mirroring."""
    scale = uniform(generator, n, 0.9, 1.35)
    aspect = torch.exp(0.08 * torch.randn(n, generator=generator))
    tilted = torch.where(_chance(generator, n, 0.6), 0.16 * torch.randn(n, generator=generator), torch.zeros(n))
    shear = torch.where(_chance(generator, n, 0.3), 0.1 * torch.randn(n, generator=generator), torch.zeros(n))
    cosine, sine = torch.cos(tilted), torch.sin(tilted)
    theta = torch.stack(
        [cosine * scale * aspect, -sine * scale + shear, 0.08 * torch.randn(n, generator=generator),
         sine * scale, cosine * scale / aspect, 0.08 * torch.randn(n, generator=generator)], dim=1
    ).view(n, 2, 3)  # fmt: skip
    mirrored = flips & _chance(generator, n, 0.3)
    theta[mirrored, :, 0] *= -1
    return functional.affine_grid(theta, [n, 1, size, size], align_corners=False)


def draw(
    alpha: Tensor, ink: Tensor, has_ink: Tensor, generator: torch.Generator, size: int, device: torch.device
) -> Drawn:
    """Pictures of icons at `size`.

    Args:
        alpha: (B, 64, 64) uint8, the ink's coverage.
        ink: (n_coloured, 64, 64, 3) uint8, premultiplied colours of those with `has_ink`, in their order.
        has_ink: (B,) bool.
        generator: all randomness; a CPU generator.
        size: resolution of the result.
        device: where the arithmetic is done.
    """
    n = len(alpha)
    coverage = thicken(alpha.to(device).float()[:, None] / 255, generator)
    colours, ground, colour = ink_and_ground(generator, n)
    coloured = has_ink.clone()
    # Coloured icons are drawn as silhouettes now and then; mostly they keep their colours and a plain ground.
    coloured &= ~_chance(generator, n, 0.06)
    white = coloured & _chance(generator, n, 0.7)
    ground[white] = 1.0
    picture = torch.cat([colours.to(device)[:, :, None, None] * coverage, coverage], dim=1)  # (B, 4, 64, 64)
    full = torch.cat([ink.to(device).float().permute(0, 3, 1, 2), alpha[has_ink].to(device).float()[:, None]], dim=1)
    full = vary_colours(full / 255, generator)
    kept = coloured[has_ink]
    picture[coloured.to(device)] = full[kept.to(device)]
    grid = warp_grid(generator, n, has_ink, size).to(device)
    if size < 48:  # average first: sampling alone would skip pixels
        picture = functional.avg_pool2d(picture, 2)
    picture = functional.grid_sample(picture, grid, padding_mode="zeros", align_corners=False)
    pixels = picture[:, :3] + (1 - picture[:, 3:]) * ground.to(device)[:, :, None, None]
    pixels = _soften(pixels, generator)
    colour = torch.where(coloured, -1, colour)
    return Drawn(((pixels.clamp(0, 1) - 0.5) / 0.5), colour)


def _soften(pixels: Float[Tensor, "B 3 R R"], generator: torch.Generator) -> Float[Tensor, "B 3 R R"]:
    """Blur some pictures, add noise to others, and vary the contrast a little."""
    n, device = len(pixels), pixels.device
    blurred = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    amount = torch.where(_chance(generator, n, 0.25), uniform(generator, n, 0.2, 1.0), torch.zeros(n))
    pixels = torch.lerp(pixels, blurred, amount.to(device)[:, None, None, None])
    noisy = torch.where(_chance(generator, n, 0.15), uniform(generator, n, 0.0, 0.08), torch.zeros(n))
    noise = torch.randn(n, 1, *pixels.shape[2:], generator=generator)
    pixels = pixels + (noise * noisy[:, None, None, None]).to(device)
    contrast = uniform(generator, n, 0.75, 1.0).to(device)[:, None, None, None]
    return 0.5 + (pixels - 0.5) * contrast
