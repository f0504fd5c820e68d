"""The towers of transformers' CLIP and SigLIP modules, opened up into blocks (views of the modules' own layers)."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from coopt.models.vlm import Block, ImageTower, Mlp, TextTower


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


def clip_text_tower(text_model: Any, projection: nn.Module) -> TextTower:
    """CLIP: causal, the feature is the end token's row after the final norm and the projection."""
    return TextTower(
        causal=True,
        pooling="eos",
        project=nn.Sequential(text_model.final_layer_norm, projection),
        **_text(text_model),
    )


def siglip_text_tower(text_model: Any) -> TextTower:
    """SigLIP: every position sees all others, the feature is the last position's row, padding or not."""
    return TextTower(
        causal=False,
        pooling="last",
        project=nn.Sequential(text_model.final_layer_norm, text_model.head),
        **_text(text_model),
    )


def _text(text_model: Any) -> dict[str, Any]:
    embeddings = text_model.embeddings
    vocabulary = embeddings.token_embedding.weight
    return {
        "width": vocabulary.shape[1],
        "context_length": embeddings.position_embedding.num_embeddings,
        "token_embedding": embeddings.token_embedding,
        "positions": embeddings.position_embedding.weight,
        "blocks": [hf_block(layer) for layer in text_model.encoder.layers],
        "vocabulary": vocabulary,
    }


def clip_image_tower(vision_model: Any, projection: nn.Module) -> ImageTower:
    """CLIP's vision transformer: the feature is the class token's row, so appended rows are ignored by pooling."""

    def pool(tokens: Float[Tensor, "B N d_v"]) -> Float[Tensor, "B E"]:
        return projection(vision_model.post_layernorm(tokens[:, 0]))

    return ImageTower(
        kind="vit",
        width=vision_model.embeddings.class_embedding.shape[0],
        embed=vision_model.embeddings,
        pre_norm=vision_model.pre_layrnorm,  # the library's own spelling
        blocks=[hf_block(layer) for layer in vision_model.encoder.layers],
        pool=pool,
        pools_first=True,
    )


def siglip_image_tower(vision_model: Any, embed: Callable[[Tensor], Tensor]) -> ImageTower:
    """SigLIP's vision transformer: an attention head pools over the N patches of the image.

    There is no class token. Rows behind the first N (visual prompts) take part in every block but are left out of the
    pooling, as a class token's reading of the last layer leaves them out in CLIP: the head was trained on patches.
    """
    n_patches = vision_model.embeddings.position_embedding.num_embeddings

    def pool(tokens: Float[Tensor, "B N d_v"]) -> Float[Tensor, "B E"]:
        return vision_model.head(vision_model.post_layernorm(tokens[:, :n_patches]))

    return ImageTower(
        kind="vit",
        width=vision_model.embeddings.position_embedding.embedding_dim,
        embed=embed,
        pre_norm=None,
        blocks=[hf_block(layer) for layer in vision_model.encoder.layers],
        pool=pool,
    )


def patchify(pixels: Float[Tensor, "B 3 H W"], patch_size: int) -> Float[Tensor, "B N P"]:
    """Square patches row by row, each flattened as (row, column, channel): what Siglip2Model takes."""
    batch, channels, height, width = pixels.shape
    grid = pixels.reshape(batch, channels, height // patch_size, patch_size, width // patch_size, patch_size)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch_size * patch_size * channels)


def siglip2_pixels(vision_model: Any, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
    """Patches and grid shapes for a Siglip2Model run at its one square resolution, where no patch is padding."""
    side = math.isqrt(vision_model.embeddings.num_patches)
    shapes = torch.tensor([[side, side]]).expand(len(pixels), 2)
    return patchify(pixels, vision_model.embeddings.patch_size), shapes


def siglip2_embed(vision_model: Any) -> Callable[[Tensor], Tensor]:
    """Pixels to patch tokens with positions."""
    return partial(_siglip2_embed, vision_model)


def _siglip2_embed(vision_model: Any, pixels: Tensor) -> Tensor:
    return vision_model.embeddings(*siglip2_pixels(vision_model, pixels))
