"""CLIP's modified ResNet: the image tower of RN50, RN101, RN50x4, RN50x16 and RN50x64."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; a stride is an average pooling before the last one (and in the shortcut)."""

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Sequential | None = None
        if stride > 1 or n_in != 4 * width:
            shortcut = nn.Sequential(nn.Conv2d(n_in, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width))
            self.downsample = shortcut

    def forward(self, x: Float[Tensor, "B C_in H W"]) -> Float[Tensor, "B C_out H2 W2"]:
        """The residual layer."""
        shortcut = x if self.downsample is None else self.downsample(self.pool(x))
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(self.pool(x)))
        return functional.relu(x + shortcut)


class AttentionPool(nn.Module):
    """One attention layer whose only query is the mean over all places."""

    def __init__(self, grid: int, width: int, embed_dim: int, n_heads: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(grid * grid + 1, width))
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)
        self.n_heads = n_heads

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E"]:
        """Feature map to features."""
        x = x.flatten(2).transpose(1, 2)  # (B, H * W, C)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + self.positional_embedding  # (B, 1 + H * W, C)
        q, k, v = (
            layer(rows).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, heads, rows, C / heads)
            for layer, rows in ((self.q_proj, x[:, :1]), (self.k_proj, x), (self.v_proj, x))
        )
        pooled = functional.scaled_dot_product_attention(q, k, v)  # (B, heads, 1, C / heads)
        return self.c_proj(pooled.flatten(1))


class ModifiedResNet(nn.Module):
    """A ResNet with a stem of three convolutions, anti-aliased strides and attention pooling.

    Reference:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
        section 2.4. Module names follow the published weights.

    Args:
        layers: residual layers in each of the four stages.
        width: channels behind the stem.
        image_size: pixels; the feature map is image_size / 32 wide.
        embed_dim: E.
        n_heads: of the attention pooling.
    """

    def __init__(self, layers: Sequence[int], width: int, image_size: int, embed_dim: int, n_heads: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(2)
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
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = functional.relu(norm(convolution(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.pool(x)))))  # (B, 32 width, H / 32, W / 32)
        return self.attnpool(x)
