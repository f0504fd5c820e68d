"""The towers of transformers' CLIP and SigLIP modules, opened up into blocks (views of the modules' own layers)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from coopt.models.block import Block, Layer, Mlp
from coopt.models.towers import TextTower, VisionTransformer, class_token_and_patches


def hf_block(layer: Any) -> Block:
    """One encoder layer of CLIP or SigLIP."""
    attention = layer.self_attn
    return Block(
        norm_1=layer.layer_norm1,
        q=attention.q_proj,
        k=attention.k_proj,
        v=attention.v_proj,
        out=attention.out_proj,
        norm_2=layer.layer_norm2,
        mlp=Mlp(layer.mlp.fc1, layer.mlp.activation_fn, layer.mlp.fc2),
        n_heads=attention.num_heads,
    )


def hf_text_tower(text_model: Any, projection: nn.Module) -> TextTower:
    """CLIP is causal, and its feature is the end token's row; in SigLIP every position sees all others, and the feature
    is the last position's row, padding or not.
    """
    embeddings = text_model.embeddings
    vocabulary = embeddings.token_embedding.weight
    is_clip = type(text_model).__name__.startswith("CLIP")
    return TextTower(
        width=vocabulary.shape[1],
        context_length=embeddings.position_embedding.num_embeddings,
        causal=is_clip,
        pooling="eos" if is_clip else "last",
        token_embedding=embeddings.token_embedding,
        positions=embeddings.position_embedding.weight,
        blocks=[hf_block(layer) for layer in text_model.encoder.layers],
        norm=text_model.final_layer_norm,
        projection=projection,
        vocabulary=vocabulary,
    )


def hf_image_tower(vision_model: Any, name: str, projection: nn.Module | None = None) -> VisionTransformer:
    """CLIP's vision transformer, which has a projection, or SigLIP's of either generation.

    CLIP's feature is the class token's row. SigLIP has no class token: an attention head pools over the N patches of
    the image. Rows after the first N (visual prompts) take part in every block but are left out of the pooling, as a
    class token's reading of the last layer leaves them out in CLIP: the head was trained on patches.
    """
    embeddings = vision_model.embeddings
    positions = embeddings.position_embedding.weight
    shared: dict[str, Any] = {
        "name": name,
        "width": positions.shape[1],
        "weight": positions,
        "patch": embeddings.patch_embedding,
        "blocks": [hf_block(layer) for layer in vision_model.encoder.layers],
        "post_norm": vision_model.post_layernorm,
        "projection": projection or nn.Identity(),
    }
    if projection is not None:
        tokens = class_token_and_patches(embeddings.class_embedding, positions)
        norm = vision_model.pre_layrnorm  # the library's own spelling
        return VisionTransformer(n_positions=len(positions) - 1, tokens=tokens, pre_norm=norm, **shared)

    def patches(patch: Layer, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N d_v"]:
        if isinstance(embeddings.patch_embedding, nn.Linear):  # SigLIP 2, at the one resolution of its positions
            return patch(patchify(pixels, embeddings.patch_size)) + positions
        return patch(pixels).flatten(2).transpose(1, 2) + positions

    pooling: dict[str, Any] = {"n_special": 0, "gather": vision_model.head, "norm_last": False}
    return VisionTransformer(n_positions=len(positions), tokens=patches, pre_norm=nn.Identity(), **shared, **pooling)


def patchify(pixels: Float[Tensor, "B 3 H W"], patch_size: int) -> Float[Tensor, "B N P"]:
    """Square patches row by row, each flattened as (row, column, channel): what Siglip2Model takes."""
    batch, channels, height, width = pixels.shape
    grid = pixels.reshape(batch, channels, height // patch_size, patch_size, width // patch_size, patch_size)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch_size * patch_size * channels)


def siglip2_inputs(vision_model: Any, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
    """What a Siglip2Model takes at its one square resolution: patches, a mask that keeps all of them, grid shapes."""
    side = math.isqrt(vision_model.embeddings.num_patches)
    patches = patchify(pixels, vision_model.embeddings.patch_size)
    kept = torch.ones(patches.shape[:2], dtype=torch.int64, device=patches.device)
    return patches, kept, torch.tensor([[side, side]]).expand(len(pixels), 2)
