"""The two networks: the convolutional teacher that learns fast, and the stock CLIPModel that is shipped."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from .tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE

EMBEDDING = 192
TEACHER_WIDTHS = (48, 96, 192, 384)
IMAGE_SIZE, PATCH = 48, 8


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., Deep Residual Learning, CVPR 2016)."""

    def __init__(self, wide_in: int, wide_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(wide_out)
        self.second = nn.Conv2d(wide_out, wide_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(wide_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or wide_in != wide_out:
            self.shortcut = nn.Sequential(nn.Conv2d(wide_in, wide_out, 1, stride, bias=False), nn.BatchNorm2d(wide_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, wide_in, R, R) to (B, wide_out, R/stride, R/stride)."""
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class Teacher(nn.Module):
    """A small residual network with an embedding and, for training, a head that names common words."""

    def __init__(self, n_words: int, widths: tuple[int, ...] = TEACHER_WIDTHS, blocks: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        wide = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(Block(wide, width, 2 if stage and not block else 1))
                wide = width
        self.body = nn.Sequential(*layers)
        self.embedding = nn.Linear(wide, EMBEDDING, bias=False)
        self.words = nn.Linear(wide, n_words)

    def forward(self, pixels: Float[Tensor, "B 3 R R"]) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B words"]]:
        """Image embeddings (not normalised) and the logits of the common words."""
        pooled = self.body(pixels).mean((2, 3))
        return self.embedding(pooled), self.words(pooled)


def clip_model() -> CLIPModel:
    """The shipped model, freshly initialised: stock CLIPModel, about 5 M parameters."""
    text = dict(
        vocab_size=VOCABULARY_SIZE, hidden_size=192, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=CONTEXT_LENGTH, hidden_act="gelu",
        bos_token_id=VOCABULARY_SIZE - 2, eos_token_id=VOCABULARY_SIZE - 1, pad_token_id=VOCABULARY_SIZE - 1,
    )  # fmt: skip
    vision = dict(
        hidden_size=192, intermediate_size=768, num_hidden_layers=6, num_attention_heads=3,
        image_size=IMAGE_SIZE, patch_size=PATCH, hidden_act="gelu",
    )  # fmt: skip
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING)
    # Eager attention is about twice as fast as the fused one for short sequences on a CPU.
    config._attn_implementation = "eager"
    return CLIPModel(config)


def encode_text(model: CLIPModel, ids: Tensor) -> Float[Tensor, "B E"]:
    """Text embeddings (not normalised) of padded token ids."""
    pooled = model.text_model(input_ids=ids).pooler_output
    return model.text_projection(pooled)


def encode_image(model: CLIPModel, pixels: Tensor) -> Float[Tensor, "B E"]:
    """Image embeddings (not normalised)."""
    pooled = model.vision_model(pixel_values=pixels).pooler_output
    return model.visual_projection(pooled)
