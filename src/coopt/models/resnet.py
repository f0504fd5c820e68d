"""CLIP's modified ResNet: the image tower of RN50, RN101, RN50x4, RN50x16 and RN50x64.

Its arithmetic stands once, as functions of layers by name, so that it runs our own module, open_clip's, and a tower
whose layers a method has wrapped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from coopt.models.block import Change, Layer, attention
from coopt.models.towers import ImageTower, Place


class Bottleneck(nn.Module):
    """The layers of 1x1, 3x3, 1x1 convolutions with a shortcut; `feature_map` runs them."""

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        if stride > 1 or n_in != 4 * width:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width))


class AttentionPool(nn.Module):
    """One attention layer whose only query is the mean over all places."""

    def __init__(self, grid: int, width: int, embed_dim: int, n_heads: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(grid * grid + 1, width))
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)
        self.num_heads = n_heads


class ModifiedResNet(nn.Module):
    """A ResNet with a stem of three convolutions, anti-aliased strides and attention pooling.

    Reference:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
        section 2.4. Module names follow the published weights.

    There are `layers` residual layers in each of the four stages, and `width` channels after the stem. The feature map
    is image_size / 32 wide.
    """

    def __init__(self, layers: Sequence[int], width: int, image_size: int, embed_dim: int, n_heads: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        n_in = width
        stages = []
        for i, n_layers in enumerate(layers):
            planes = width * 2**i
            stage = [Bottleneck(n_in, planes, stride=1 if i == 0 else 2)]
            stage += [Bottleneck(4 * planes, planes, stride=1) for _ in range(n_layers - 1)]
            stages.append(nn.Sequential(*stage))
            n_in = 4 * planes
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.attnpool = AttentionPool(image_size // 32, n_in, embed_dim, n_heads)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Pixels to features, not normalised."""
        return open_resnet(self, "")(x)


def feature_map(layers: Mapping[str, Layer], x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
    """The last feature map, a 32nd of the image wide. A stride is an average pooling, in the shortcut as well."""
    for i in (1, 2, 3):
        x = functional.relu(layers[f"bn{i}"](layers[f"conv{i}"](x)))
    x = functional.avg_pool2d(x, 2)
    for name in (key.removesuffix("conv1") for key in layers if key.startswith("layer") and key.endswith("conv1")):
        is_strided = name.endswith(".0.") and not name.startswith("layer1")
        shortcut = x
        if f"{name}downsample.0" in layers:
            shortcut = functional.avg_pool2d(x, 2) if is_strided else x
            shortcut = layers[f"{name}downsample.1"](layers[f"{name}downsample.0"](shortcut))
        x = functional.relu(layers[f"{name}bn1"](layers[f"{name}conv1"](x)))
        x = functional.relu(layers[f"{name}bn2"](layers[f"{name}conv2"](x)))
        x = functional.avg_pool2d(x, 2) if is_strided else x
        x = functional.relu(layers[f"{name}bn3"](layers[f"{name}conv3"](x)) + shortcut)
    return x


def open_resnet(module: Any, name: str) -> "ResNetTower":
    """The tower of a modified ResNet, ours or open_clip's; `name` is the model's, for messages."""
    kinds = nn.Conv2d | nn.BatchNorm2d
    layers: dict[str, Layer] = {key: layer for key, layer in module.named_modules() if isinstance(layer, kinds)}
    pool = module.attnpool
    layers |= {"pool.q": pool.q_proj, "pool.k": pool.k_proj, "pool.v": pool.v_proj, "pool.out": pool.c_proj}
    n_places, width = pool.positional_embedding.shape
    return ResNetTower(name, width, n_places - 1, layers, pool.positional_embedding, pool.num_heads)


@dataclass(frozen=True)
class ResNetTower(ImageTower):
    """A modified ResNet, opened up."""

    kind: ClassVar = "resnet"
    name: str
    width: int
    n_positions: int
    layers: dict[str, Layer]
    """Convolutions and norms by the module's own names, and the attention pool's four projections."""
    places: Float[Tensor, "L d_v"]
    """Positional embeddings of the attention pool: of the mean, then of the N places."""
    n_heads: int

    def __call__(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Image features, not normalised."""
        return self.pool(self.rows(pixels))[:, 0]

    def map(self, change: Change) -> "ResNetTower":
        """The tower with `change(name, layer)` in the place of each layer."""
        return replace(self, layers={name: change(name, layer) for name, layer in self.layers.items()})

    def rows(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B L d_v"]:
        """The mean of the last feature map's places, then the places."""
        x = feature_map(self.layers, pixels.to(self.places.device, self.places.dtype))
        x = x.flatten(2).transpose(1, 2)  # (B, N, d_v)
        return torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)

    def pool(self, rows: Float[Tensor, "B L d_v"], n_queries: int = 1) -> Float[Tensor, "B n E"]:
        """Attention of the first `n_queries` rows to all of them, projected; the mean's is the image feature."""
        x = rows + self.places
        q, k, v = self.layers["pool.q"](x[:, :n_queries]), self.layers["pool.k"](x), self.layers["pool.v"](x)
        return self.layers["pool.out"](attention(q, k, v, self.n_heads))

    def states(self, pixels: Float[Tensor, "B 3 H W"], at: Place) -> tuple[Tensor | None, Tensor]:
        """At "joint" every place asks the attention pool as the mean does (PLOT); at "values" each row is its own value
        in the pool (DualCoOp), and the pooled feature is the mean row's; "unprojected" is the feature map.
        """
        if at not in ("joint", "unprojected", "values"):
            raise self.refuse(at, "'joint', 'unprojected' and 'values' (it has no blocks)")
        rows = self.rows(pixels)
        if at == "joint":
            return None, self.pool(rows, rows.shape[1])[:, 1:]
        if at == "values":
            rows = self.layers["pool.out"](self.layers["pool.v"](rows + self.places))
        return rows[:, 0], rows[:, 1:]
