"""The towers of open_clip's models, opened up into blocks (views of the modules' own layers)."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from coopt.models.block import Block, Chain, Layer, Mlp, chain
from coopt.models.resnet import open_resnet
from coopt.models.towers import (
    ClosedImageTower,
    ClosedTower,
    ImageTower,
    TextTower,
    VisionTransformer,
    class_token_and_patches,
    first_row,
)


@dataclass(frozen=True)
class LinearView:
    """A linear layer on a part of a fused projection, or on a projection that is stored transposed.

    Its parameters are views, taken at each call, so that they are the loaded module's whatever is done to it.
    """

    whole: Tensor
    whole_bias: Tensor | None = None
    third: int | None = None
    """Which third of a fused q, k, v projection; None is a matrix that is stored transposed."""

    @property
    def weight(self) -> Float[Tensor, "K D"]:
        """The view of the matrix, as in `nn.Linear`."""
        return self.whole.T if self.third is None else self.whole.chunk(3)[self.third]

    @property
    def bias(self) -> Float[Tensor, " K"] | None:
        """The third of the fused bias, as in `nn.Linear`."""
        return None if self.whole_bias is None or self.third is None else self.whole_bias.chunk(3)[self.third]

    def __call__(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... K"]:
        """The layer's output."""
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class PerHead:
    """A norm or a scale that acts on each head's columns."""

    layer: Layer
    n_heads: int

    def __call__(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return self.layer(x.unflatten(-1, (self.n_heads, -1))).flatten(-2)


def _projection(matrix: nn.Parameter | nn.Linear | None) -> Layer:
    """A projection as a layer, in each of the ways in which open_clip stores it."""
    return nn.Identity() if matrix is None else LinearView(matrix) if isinstance(matrix, nn.Parameter) else matrix


def open_text_tower(module: Any, context_length: int, eos_id: int, name: str) -> TextTower | ClosedTower:
    """The text tower of a CLIP, CustomTextCLIP or CoCa; closed where it is not a plain pre-norm transformer."""
    tower = getattr(module, "text", module)  # the older CLIP class keeps the text tower's parts at its own level
    reason = _why_closed(tower, eos_id)
    if reason:
        return ClosedTower(f"the text tower of '{name}' cannot be opened up: {reason}", context_length)
    vocabulary = tower.token_embedding.weight
    return TextTower(
        width=vocabulary.shape[1],
        context_length=context_length,
        causal=tower.attn_mask is not None,
        pooling="last" if _pool_type(tower) == "last" else "eos",
        token_embedding=tower.token_embedding,
        positions=tower.positional_embedding,
        blocks=[open_block(block) for block in tower.transformer.resblocks],
        norm=tower.ln_final,
        projection=_projection(tower.text_projection),
        vocabulary=vocabulary,
    )


def _pool_type(tower: Any) -> str | None:
    return getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)


def _why_closed(tower: Any, eos_id: int) -> str:
    if not hasattr(tower, "token_embedding") or not hasattr(tower.transformer, "resblocks"):
        return f"it is a {type(tower).__name__}, not open_clip's own transformer"
    if getattr(tower, "cls_emb", None) is not None:
        return "it appends a class token to the text and masks the padding for it (CoCa)"
    if getattr(tower, "use_pad_mask", False):
        return "it masks the padding"
    pooled_at: dict[str | None, int | None] = {
        "last": eos_id,  # the last row, whatever it holds
        "argmax": tower.vocab_size - 1,  # the highest id of a text is its end token
        "eos": getattr(tower, "text_eos_id", getattr(tower, "eos_id", None)),
    }
    if pooled_at.get(_pool_type(tower)) != eos_id:
        return f"it pools by pool_type='{_pool_type(tower)}', which is neither the end token's row nor the last one"
    if any(not _is_plain(block) for block in tower.transformer.resblocks):
        return "its attention is scaled cosine attention"
    return ""


def _is_plain(block: Any) -> bool:
    return getattr(block.attn, "logit_scale", None) is None


def open_block(block: Any) -> Block:
    """One residual block, with LayerScale and the extra norms of the custom kind folded into the projections."""
    attention = block.attn
    head_scale = getattr(attention, "head_scale", None)
    scale: Layer = nn.Identity()
    if head_scale is not None:
        scale = PerHead(lambda x: x * attention.head_scale[:, 0], attention.num_heads)
    inner_norm, outer_norm = getattr(attention, "ln_inner", nn.Identity()), getattr(block, "ln_attn", nn.Identity())
    up, *between, down = block.mlp
    return Block(
        norm_1=block.ln_1,
        **_projections(attention, attention.in_proj_weight, attention.in_proj_bias, "ln_q", "ln_k"),
        out=chain(scale, inner_norm, attention.out_proj, outer_norm, block.ls_1),
        norm_2=block.ln_2,
        mlp=Mlp(up, chain(*between), chain(down, block.ls_2)),
        n_heads=attention.num_heads,
    )


def _projections(attention: Any, weight: Tensor, bias: Tensor | None, q_norm: str, k_norm: str) -> dict[str, Layer]:
    """The thirds of a fused projection; q and k with the norm of that name on each head, where there is one."""
    views = (LinearView(weight, bias, third) for third in range(3))
    norms = (getattr(attention, name, nn.Identity()) for name in (q_norm, k_norm, ""))
    return {
        part: view if isinstance(norm, nn.Identity) else Chain((view, PerHead(norm, attention.num_heads)))
        for part, view, norm in zip("qkv", views, norms, strict=True)
    }


def open_image_tower(visual: Any, name: str) -> ImageTower:
    """A ResNet, or a vision transformer of open_clip or timm, opened up; anything else with its width only."""
    kind = type(visual).__name__
    if kind == "ModifiedResNet":
        return open_resnet(visual, name)
    if kind == "VisionTransformer" and visual.attn_pool is None and visual.pool_type in ("tok", "avg"):
        if all(_is_plain(block) for block in visual.transformer.resblocks):
            return _vision_transformer(visual, name)
    trunk: Any = getattr(visual, "trunk", None)
    if type(trunk).__name__ == "VisionTransformer" and all(type(b).__name__ == "Block" for b in trunk.blocks):
        return _timm_transformer(visual, trunk, name)
    return ClosedImageTower(name, int(getattr(trunk, "num_features", 0) or getattr(visual, "output_dim", 0)))


def _vision_transformer(visual: Any, name: str) -> VisionTransformer:
    n_rows, width = visual.positional_embedding.shape
    is_first = visual.pool_type == "tok"
    return VisionTransformer(
        name=name,
        width=width,
        n_positions=n_rows - 1,
        weight=visual.positional_embedding,
        patch=visual.conv1,
        tokens=class_token_and_patches(visual.class_embedding, visual.positional_embedding),
        pre_norm=visual.ln_pre,
        blocks=[open_block(block) for block in visual.transformer.resblocks],
        post_norm=visual.ln_post,
        projection=_projection(visual.proj),
        gather=first_row if is_first else lambda rows: rows[:, 1:].mean(dim=1),
        # Before or after the choice of one row is the same; before or after the mean is not.
        norm_last=is_first or visual.final_ln_after_pool,
    )


def _timm_transformer(visual: Any, trunk: Any, name: str) -> VisionTransformer:
    """Timm's vision transformer: what rows after the image's own would add is left out of any pooling."""

    def tokens(patch: Layer, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N d_v"]:
        patches = patch(pixels)  # (B, d_v, h, w)
        patches = patches.flatten(2).transpose(1, 2) if trunk.patch_embed.flatten else patches.permute(0, 2, 3, 1)
        return trunk._pos_embed(trunk.patch_embed.norm(patches))

    is_last = isinstance(trunk.norm, nn.Identity)  # then the norm stands after the pooling
    return VisionTransformer(
        name=name,
        width=trunk.embed_dim,
        n_positions=trunk.patch_embed.num_patches,
        weight=trunk.patch_embed.proj.weight,
        patch=trunk.patch_embed.proj,
        tokens=tokens,
        pre_norm=trunk.norm_pre,
        blocks=[_timm_block(block) for block in trunk.blocks],
        post_norm=trunk.fc_norm if is_last else trunk.norm,
        projection=chain(trunk.head, *visual.head),
        n_special=trunk.num_prefix_tokens,
        gather=trunk.pool,
        norm_last=is_last,
    )


def _timm_block(block: Any) -> Block:
    attention, mlp = block.attn, block.mlp
    parts: Layer = chain(mlp, block.ls2)
    if type(mlp).__name__ == "Mlp":
        parts = Mlp(mlp.fc1, chain(mlp.act, mlp.norm), chain(mlp.fc2, block.ls2))
    return Block(
        norm_1=block.norm1,
        **_projections(attention, attention.qkv.weight, attention.qkv.bias, "q_norm", "k_norm"),
        out=chain(getattr(attention, "norm", nn.Identity()), attention.proj, block.ls1),
        norm_2=block.norm2,
        mlp=parts,
        n_heads=attention.num_heads,
    )
