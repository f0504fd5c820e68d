"""Model folders in the transformers layout, made on the spot, and the plain maths that towers are held to."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import tokenizers
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from coopt.models import VLM, Block, VisionTransformer

BUILTIN = files("coopt.models") / "builtin"
END_TOKEN = json.loads((BUILTIN / "config.json").read_text())["text_config"]["eos_token_id"]
"""The built-in tokenizer's last token; the one before it is the start token."""
WORDS = ["</s>", "<unk>", *"a photo of dog cat bird on in the small big green red blue painting".split()]


def scramble(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights at which every layer matters: no bias is zero, no norm is the identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 0 or "logit_" in name:
            continue
        if parameter.ndim == 1:
            is_norm = "norm" in name or "ln_" in name or "bn" in name
            parameter.data = noise * 0.1 + (1.0 if is_norm and name.endswith("weight") else 0.0)
        else:
            fan_in = parameter[0].numel()
            parameter.data = noise * (0.5 if "embedding" in name or "positional" in name else fan_in**-0.5)
    return module.eval()


def clip_folder(
    folder: Path, seed: int = 0, eos_token_id: int = END_TOKEN, real: bool = False
) -> transformers.CLIPModel:
    """A CLIP of two small layers with the built-in tokenizer; `real` has the shape of ViT-B/32."""
    image_size = 224 if real else 34
    text = {"vocab_size": END_TOKEN + 1, "bos_token_id": END_TOKEN - 1, "pad_token_id": END_TOKEN}
    text |= {"eos_token_id": eos_token_id}
    if real:
        config = transformers.CLIPConfig(text_config=text, vision_config={})
    else:
        sizes = {"num_hidden_layers": 2, "projection_dim": 23}
        text |= {"hidden_size": 39, "intermediate_size": 53, "num_attention_heads": 3, "max_position_embeddings": 19}
        vision = {
            "hidden_size": 35,
            "intermediate_size": 47,
            "num_attention_heads": 5,
            "image_size": 34,
            "patch_size": 17,
        }
        config = transformers.CLIPConfig(
            text_config=text | sizes, vision_config=vision | sizes | {"hidden_act": "gelu"}, projection_dim=23
        )
    module = scramble(transformers.CLIPModel(config), seed)
    module.logit_scale.data.fill_(3.3)
    module.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(str(BUILTIN / name), folder / name)
    crop = {"height": image_size, "width": image_size}
    CLIPImageProcessorPil(size={"shortest_edge": image_size}, crop_size=crop).save_pretrained(folder)
    return module


def siglip_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of whole words with SigLIP's layout: no start token, an end token that is also the padding."""
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", pad_token="</s>", unk_token="<unk>", padding_side="right"
    )
    fast.save_pretrained(folder)
    return fast


def siglip_folder(folder: Path, generation: int = 1) -> transformers.PreTrainedModel:
    """A SigLIP of two small layers (`generation=2`: Siglip2Model, which takes patches)."""
    shared = {"hidden_size": 33, "intermediate_size": 47, "num_hidden_layers": 2, "num_attention_heads": 3}
    text = shared | {"vocab_size": len(WORDS), "max_position_embeddings": 13}
    text |= {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    siglip_tokenizer(folder)
    if generation == 1:
        vision = shared | {"image_size": 34, "patch_size": 17}
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
        module = scramble(transformers.SiglipModel(config))
        SiglipImageProcessorPil(size={"height": 34, "width": 34}).save_pretrained(folder)
    else:
        config = transformers.Siglip2Config(
            text_config=text, vision_config=shared | {"num_patches": 9, "patch_size": 11}
        )
        module = scramble(transformers.Siglip2Model(config))
        Siglip2ImageProcessorPil(patch_size=11, max_num_patches=9).save_pretrained(folder)
    module.logit_scale.data.fill_(2.1)
    module.logit_bias.data.fill_(-7.3)
    module.save_pretrained(folder)
    return module


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest value."""
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


def run_block(block: Block, x: Tensor, causal: bool) -> Tensor:
    """The pre-norm layer that `Block` promises, in plain maths. (B, L, D) to (B, L, D)."""
    normed = block.norm_1(x)
    q, k, v = (part(normed).unflatten(-1, (block.n_heads, -1)).transpose(1, 2) for part in (block.q, block.k, block.v))
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # (B, heads, L, L)
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), float("-inf"))
    x = x + block.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))
    return x + block.mlp(block.norm_2(x))


def text_by_blocks(vlm: VLM, ids: Tensor) -> Tensor:
    """encode_text from the opened tower."""
    text = vlm.text
    x = text.token_embedding(ids) + text.positions
    for block in text.blocks:
        x = run_block(block, x, text.causal)
    rows = [row.tolist().index(vlm.tokenizer.eos_id) if text.pooling == "eos" else -1 for row in ids]
    return text.project(torch.stack([tokens[row] for tokens, row in zip(x, rows, strict=True)]))


def image_by_blocks(vlm: VLM, pixels: Tensor, prompts: Tensor | None = None) -> Tensor:
    """encode_image from the opened tower; `prompts` (n, d_v) are appended behind the image's own tokens."""
    image = vlm.image
    assert isinstance(image, VisionTransformer)
    x = image.embed(pixels)
    if image.pre_norm is not None:
        x = image.pre_norm(x)
    if prompts is not None:
        x = torch.cat([x, prompts.expand(len(x), -1, -1)], dim=1)
    for block in image.blocks:
        x = run_block(block, x, causal=False)
    return image.pool(x)


def assert_towers_equal_forward(vlm: VLM, texts: list[str]) -> None:
    """The blocks give what the module's own forward gives, for text and (where opened) image."""
    ids = vlm.tokenize(texts)
    assert relative_error(text_by_blocks(vlm, ids), vlm.encode_text(ids)) < 1e-5
    assert vlm.text.positions.shape == (vlm.context_length, vlm.text.width)
    assert vlm.text.vocabulary.shape[1] == vlm.text.width
    pixels = torch.randn(3, 3, vlm.image_size, vlm.image_size)
    assert relative_error(vlm.image(pixels), vlm.encode_image(pixels)) < 1e-5
    if vlm.image.kind == "vit":
        assert relative_error(image_by_blocks(vlm, pixels), vlm.encode_image(pixels)) < 1e-5


def functional_logits(image: Tensor, text: Tensor, scale: float, bias: float = 0.0) -> Tensor:
    """(scale * normalised image) @ normalised text, plus the bias."""
    return (scale * functional.normalize(image, dim=-1)) @ functional.normalize(text, dim=-1).T + bias
