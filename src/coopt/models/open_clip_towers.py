"""The towers of open_clip's models, opened up into blocks (views of the modules' own layers)."""

from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from coopt.models.vlm import Block, ClosedTower, ImageTower, Layer, TextTower


@dataclass(frozen=True)
class FusedLinear:
    """One third of a fused q, k, v projection: slices of its parameters, taken at each call."""

    weight: Tensor
    bias: Tensor | None
    part: int

    def __call__(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        width = self.weight.shape[0] // 3
        rows = slice(self.part * width, (self.part + 1) * width)
        return functional.linear(x, self.weight[rows], None if self.bias is None else self.bias[rows])


@dataclass(frozen=True)
class Chain:
    """Layers after one another (a norm or a LayerScale folded into a projection)."""

    layers: tuple[Layer, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's output."""
        return reduce(lambda value, layer: layer(value), self.layers, x)


@dataclass(frozen=True)
class PerHead:
    """A norm or a scale that acts on each head's columns."""

    layer: Layer
    n_heads: int

    def __call__(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return self.layer(x.unflatten(-1, (self.n_heads, -1))).flatten(-2)


def _chain(*layers: Layer) -> Layer:
    kept = tuple(layer for layer in layers if not isinstance(layer, nn.Identity))
    return kept[0] if len(kept) == 1 else Chain(kept)


def open_text_tower(module: Any, context_length: int, eos_id: int, name: str) -> TextTower | ClosedTower:
    """The text tower of a CLIP, CustomTextCLIP or CoCa; closed where it is not a plain pre-norm transformer."""
    tower = getattr(module, "text", module)  # the older CLIP class keeps the text tower's parts at its own level
    pool_type = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    pooling = _pooling(tower, pool_type, eos_id)
    reason = _why_closed(tower, pooling, pool_type)
    if reason:
        return ClosedTower(f"the text tower of '{name}' cannot be opened up: {reason}", context_length)
    projection = tower.text_projection
    if isinstance(projection, nn.Parameter):
        last: list[Layer] = [lambda rows: rows @ tower.text_projection]
    else:
        last = [] if projection is None else [projection]
    vocabulary = tower.token_embedding.weight
    return TextTower(
        width=vocabulary.shape[1],
        context_length=context_length,
        causal=tower.attn_mask is not None,
        pooling="last" if pooling == "last" else "eos",
        token_embedding=tower.token_embedding,
        positions=tower.positional_embedding,
        blocks=[open_block(block) for block in tower.transformer.resblocks],
        project=_chain(tower.ln_final, *last),
        vocabulary=vocabulary,
    )


def _pooling(tower: Any, pool_type: str | None, eos_id: int) -> Literal["eos", "last"] | None:
    if pool_type == "last":
        return "last"
    if pool_type == "argmax" and eos_id == tower.vocab_size - 1:
        return "eos"  # the highest id of a text is its end token
    if pool_type == "eos" and eos_id == getattr(tower, "text_eos_id", getattr(tower, "eos_id", None)):
        return "eos"
    return None


def _why_closed(tower: Any, pooling: str | None, pool_type: str | None) -> str:
    if not hasattr(tower, "token_embedding") or not hasattr(tower.transformer, "resblocks"):
        return f"it is a {type(tower).__name__}, not open_clip's own transformer"
    if getattr(tower, "cls_emb", None) is not None:
        return "it appends a class token behind the text and masks the padding for it (CoCa)"
    if getattr(tower, "use_pad_mask", False):
        return "it masks the padding"
    if pooling is None:
        return f"it pools by pool_type='{pool_type}', which is neither the end token's row nor the last one"
    if any(not _is_plain(block) for block in tower.transformer.resblocks):
        return "its attention is scaled cosine attention"
    return ""


def _is_plain(block: Any) -> bool:
    return getattr(block.attn, "logit_scale", None) is None


def open_block(block: Any) -> Block:
    """One residual block, with LayerScale and the extra norms of the custom kind folded into the projections."""
    attention = block.attn
    n_heads = attention.num_heads
    q, k, v = (FusedLinear(attention.in_proj_weight, attention.in_proj_bias, part) for part in range(3))
    identity = nn.Identity()
    q_norm, k_norm = getattr(attention, "ln_q", identity), getattr(attention, "ln_k", identity)
    head_scale = getattr(attention, "head_scale", None)
    scale_heads = identity if head_scale is None else PerHead(lambda x: x * attention.head_scale[:, 0], n_heads)
    return Block(
        norm_1=block.ln_1,
        q=q if isinstance(q_norm, nn.Identity) else Chain((q, PerHead(q_norm, n_heads))),
        k=k if isinstance(k_norm, nn.Identity) else Chain((k, PerHead(k_norm, n_heads))),
        v=v,
        out=_chain(
            scale_heads,
            getattr(attention, "ln_inner", identity),
            attention.out_proj,
            getattr(block, "ln_attn", identity),
            block.ls_1,
        ),
        norm_2=block.ln_2,
        mlp=_chain(block.mlp, block.ls_2),
        n_heads=n_heads,
    )


def open_image_tower(visual: Any) -> ImageTower:
    """A vision transformer of open_clip or timm, opened up; anything else with its kind only."""
    kind = type(visual).__name__
    if kind == "ModifiedResNet":
        return ImageTower(kind="resnet", width=visual.attnpool.k_proj.in_features)
    if kind == "VisionTransformer" and visual.attn_pool is None and visual.pool_type in ("tok", "avg"):
        if all(_is_plain(block) for block in visual.transformer.resblocks):
            return _vision_transformer(visual)
    trunk: Any = getattr(visual, "trunk", None)
    if type(trunk).__name__ == "VisionTransformer" and all(type(b).__name__ == "Block" for b in trunk.blocks):
        return _timm_transformer(visual, trunk)
    return ImageTower(kind="other", width=int(getattr(trunk, "num_features", 0) or getattr(visual, "output_dim", 0)))


def _vision_transformer(visual: Any) -> ImageTower:
    n_tokens, width = visual.positional_embedding.shape

    def embed(pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N d_v"]:
        patches = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (B, N - 1, d_v)
        first = visual.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([first, patches], dim=1) + visual.positional_embedding

    def pool(tokens: Float[Tensor, "B N d_v"]) -> Float[Tensor, "B E"]:
        # Norm before or after "tok" is the same; before or after the mean ("avg") it is not.
        tokens = tokens[:, :n_tokens] if visual.final_ln_after_pool else visual.ln_post(tokens[:, :n_tokens])
        pooled = tokens[:, 0] if visual.pool_type == "tok" else tokens[:, 1:].mean(dim=1)
        pooled = visual.ln_post(pooled) if visual.final_ln_after_pool else pooled
        return pooled if visual.proj is None else pooled @ visual.proj

    return ImageTower(
        kind="vit",
        width=width,
        embed=embed,
        pre_norm=None if isinstance(visual.ln_pre, nn.Identity) else visual.ln_pre,
        blocks=[open_block(block) for block in visual.transformer.resblocks],
        pool=pool,
        pools_first=visual.pool_type == "tok",
    )


def _timm_transformer(visual: Any, trunk: Any) -> ImageTower:
    """Timm's vision transformer: what rows behind the image's own would add is left out of any pooling."""

    def embed(pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N d_v"]:
        return trunk._pos_embed(trunk.patch_embed(pixels))

    def pool(tokens: Float[Tensor, "B N d_v"]) -> Float[Tensor, "B E"]:
        n_tokens = trunk.patch_embed.num_patches + trunk.num_prefix_tokens
        return visual.head(trunk.forward_head(trunk.norm(tokens[:, :n_tokens])))

    return ImageTower(
        kind="vit",
        width=trunk.embed_dim,
        embed=embed,
        pre_norm=None if isinstance(trunk.norm_pre, nn.Identity) else trunk.norm_pre,
        blocks=[_timm_block(block) for block in trunk.blocks],
        pool=pool,
    )


def _timm_block(block: Any) -> Block:
    attention = block.attn
    n_heads = attention.num_heads
    q, k, v = (FusedLinear(attention.qkv.weight, attention.qkv.bias, part) for part in range(3))
    identity = nn.Identity()
    inner_norm = getattr(attention, "norm", identity)
    q_norm, k_norm = attention.q_norm, attention.k_norm
    return Block(
        norm_1=block.norm1,
        q=q if isinstance(q_norm, nn.Identity) else Chain((q, PerHead(q_norm, n_heads))),
        k=k if isinstance(k_norm, nn.Identity) else Chain((k, PerHead(k_norm, n_heads))),
        v=v,
        out=_chain(inner_norm, attention.proj, block.ls1),
        norm_2=block.norm2,
        mlp=_chain(block.mlp, block.ls2),
        n_heads=n_heads,
    )
