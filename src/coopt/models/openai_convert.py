"""OpenAI's weight names and layout to transformers' CLIP: every tensor is taken out of the given dict once."""

from torch import Tensor

from coopt.errors import ModelError

LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
TEXT = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
VISION = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",  # the library's own spelling
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}


def text_weights(left: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text tower with its projection (stored transposed); what is used leaves `left`."""
    converted = {f"text_model.{theirs}": _take(left, ours) for ours, theirs in TEXT.items()}
    converted |= _layers(left, "transformer.resblocks.", "text_model.encoder.layers.")
    converted["text_projection.weight"] = _take(left, "text_projection").T.contiguous()
    return converted


def vision_weights(left: dict[str, Tensor]) -> dict[str, Tensor]:
    """The vision transformer with its projection (stored transposed); what is used leaves `left`."""
    converted = {f"vision_model.{theirs}": _take(left, f"visual.{ours}") for ours, theirs in VISION.items()}
    converted |= _layers(left, "visual.transformer.resblocks.", "vision_model.encoder.layers.")
    converted["visual_projection.weight"] = _take(left, "visual.proj").T.contiguous()
    return converted


def _layers(left: dict[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    converted = {}
    numbers = {key.removeprefix(ours).split(".")[0] for key in left if key.startswith(ours)}
    for number in numbers:
        for kind in ("weight", "bias"):
            for our_name, their_name in LAYER.items():
                tensor = _take(left, f"{ours}{number}.{our_name}.{kind}")
                converted[f"{theirs}{number}.{their_name}.{kind}"] = tensor
            fused = _take(left, f"{ours}{number}.attn.in_proj_{kind}")
            for part, tensor in zip("qkv", fused.chunk(3), strict=True):
                converted[f"{theirs}{number}.self_attn.{part}_proj.{kind}"] = tensor.contiguous()
    return converted


def _take(left: dict[str, Tensor], name: str) -> Tensor:
    if name not in left:
        raise ModelError(f"the checkpoint has no tensor '{name}': it is incomplete or another architecture.")
    return left.pop(name)
