"""Towers opened up: mapped layers, and positions as well as the pooled feature, held to the libraries' own modules."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from coopt.errors import ModelError
from coopt.models import VLM, VisionTransformer, load_model
from tests.goldens.golden import assert_close, golden_cases, golden_tensor, golden_vlm
from tests.models.folders import clip_folder, relative_error, siglip_folder
from tests.models.mapped import check_mapping, named_layers

FOLDERS = {"clip": clip_folder, "siglip": siglip_folder, "siglip2": lambda folder: siglip_folder(folder, 2)}
BLOCK = {"norm_1", "q", "k", "v", "out", "norm_2", "mlp.up", "mlp.down"}


@pytest.fixture(scope="module")
def vlms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VLM]:
    found = {name: golden_vlm(name) for name in ("vit_b", "rn_a")}
    for name, make in FOLDERS.items():
        folder = tmp_path_factory.mktemp(name)
        make(folder)
        found[name] = load_model(str(folder))
    return found


@pytest.mark.parametrize("name", ["vit_b", "rn_a", *FOLDERS])
def test_names_of_layers(vlms: dict[str, VLM], name: str) -> None:
    vlm = vlms[name]
    blocks = {f"blocks.{i}.{part}" for i in range(len(vlm.text.blocks)) for part in BLOCK}
    assert set(named_layers(vlm.text)) == blocks | {"norm", "projection"}
    layers = named_layers(vlm.image)
    if name == "rn_a":
        assert {"conv1", "bn3", "layer1.0.conv1", "layer4.0.bn3", "layer2.0.downsample.0"} < set(layers)
        assert {"pool.q", "pool.k", "pool.v", "pool.out"} < set(layers)
        convolutions = [m for m in vlm.module.visual.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        assert len(layers) == len(convolutions) + 4
        return
    assert isinstance(vlm.image, VisionTransformer)
    blocks = {f"blocks.{i}.{part}" for i in range(len(vlm.image.blocks)) for part in BLOCK}
    rest = {"patch", "post_norm"} if "siglip" in name else {"patch", "pre_norm", "post_norm", "projection"}
    assert set(layers) == blocks | rest
    assert all(hasattr(layer, "weight") and hasattr(layer, "bias") for layer in layers.values())


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", ["vit_b", "rn_a", *FOLDERS])
def test_a_mapped_tower(vlms: dict[str, VLM], name: str, kind: str) -> None:
    check_mapping(vlms[name], kind)


def test_positions_equal_the_authors_local_features() -> None:
    """LoCoOp's in a vision transformer and DualCoOp's are "values"; PLOT's are "joint"; LoCoOp's in a ResNet are the
    "unprojected" places through the pool's value and output layers, without positions."""
    for name, (meta, golden) in golden_cases("positions").items():
        vlm, expected = golden_vlm(meta["model"]), golden["local_features"]
        pixels = golden_tensor(meta["inputs"]["images"])[0]
        at = {"plot": "joint", "locoop_rn_c": "unprojected"}.get(name if name == "locoop_rn_c" else meta["topic"])
        tokens = vlm.encode_image_at(pixels, "tokens", at or "values")  # (B, 1 + N, width)
        if name == "locoop_rn_c":
            image: Any = vlm.image
            tokens = image.layers["pool.out"](image.layers["pool.v"](tokens))
        if meta["topic"] == "dualcoop":
            assert_close(tokens.transpose(1, 2), expected, 1e-5)  # the mean's row, then the places
        elif meta["topic"] == "plot":
            assert_close(nn.functional.normalize(tokens[:, 1:], dim=-1).transpose(0, 1), expected, 1e-5)
        else:
            assert_close(tokens[:, 1:], expected, 1e-5)


def own_states(vlm: VLM, pixels: torch.Tensor) -> Any:
    """Hidden states and outputs of transformers' own vision model; SigLIP 2 takes patches."""
    vision: Any = vlm.module.vision_model
    if "Siglip2" not in type(vlm.module).__name__:
        return vision(pixel_values=pixels, output_hidden_states=True)
    size, side = vision.embeddings.patch_size, 3
    patches = pixels.reshape(len(pixels), 3, side, size, side, size).permute(0, 2, 4, 3, 5, 1).flatten(3)
    patches = patches.reshape(len(pixels), side * side, -1)
    seen, shapes = torch.ones(patches.shape[:2], dtype=torch.int64), torch.full((len(pixels), 2), side)
    return vision(patches, seen, shapes, output_hidden_states=True)


@pytest.mark.parametrize("name", ["vit_b", *FOLDERS])
def test_positions_equal_the_librarys_states(vlms: dict[str, VLM], name: str) -> None:
    vlm = vlms[name]
    vision: Any = vlm.module.vision_model
    n_first = 0 if "siglip" in name else 1
    pixels = torch.randn(3, 3, vlm.image_size, vlm.image_size)
    with torch.no_grad():
        found = own_states(vlm, pixels)
        states = found.hidden_states  # what enters each block, then what leaves the last
        last = vision.post_layernorm(states[-1])
        pooled = {"joint": vlm.encode_image(pixels), "unprojected": found.pooler_output}
        rows = {"unprojected": last, "joint": last if n_first == 0 else vlm.module.visual_projection(last)}
        for at in ("joint", "unprojected"):
            tokens = vlm.encode_image_at(pixels, "tokens", at)
            assert tokens.shape == (3, 1 + vlm.n_positions, vlm.width_at(at))
            assert relative_error(tokens[:, 1:], rows[at][:, n_first:]) < 1e-5
            assert relative_error(tokens[:, 0], pooled[at]) < 1e-5
            assert torch.equal(vlm.encode_image_at(pixels, "features", at), tokens[:, 0])
        assert torch.equal(vlm.encode_image_at(pixels, "features", "joint"), pooled["joint"])
        assert torch.equal(vlm.encode_image_at(pixels, "tokens", "joint")[:, 0], pooled["joint"])
        for k, state in enumerate(states):
            tokens = vlm.encode_image_at(pixels, "tokens", k)
            assert tokens.shape == (3, 1 + vlm.n_positions, vlm.width_at(k))
            assert relative_error(tokens[:, 1:], state[:, n_first:]) < 1e-5
            first = state[:, 0] if n_first else state.mean(dim=1)
            assert relative_error(tokens[:, 0], first) < 1e-5
            assert torch.equal(vlm.encode_image_at(pixels, "features", k), tokens[:, 0])
        layer, x = vision.encoder.layers[-1], states[-2]
        x = x + layer.self_attn.out_proj(layer.self_attn.v_proj(layer.layer_norm1(x)))
        x = vision.post_layernorm(x + layer.mlp(layer.layer_norm2(x)))
        values = x if n_first == 0 else vlm.module.visual_projection(x)
        tokens = vlm.encode_image_at(pixels, "tokens", "values")
        assert tokens.shape[2] == vlm.width_at("values")
        assert relative_error(tokens[:, 1:], values[:, n_first:]) < 1e-5
        assert torch.equal(tokens[:, 0], pooled["joint"])


def test_positions_of_a_resnet() -> None:
    """The feature map by a hook; the attention pool by torch's own multi-head attention."""
    vlm = golden_vlm("rn_a")
    visual: Any = vlm.module.visual
    pixels = torch.randn(3, 3, vlm.image_size, vlm.image_size)
    with torch.no_grad():
        x = vlm.encode_image_at(pixels, "tokens", "unprojected")
        assert (
            x.shape
            == (3, 1 + vlm.n_positions, vlm.width_at("unprojected"))
            == (3, 5, visual.attnpool.q_proj.in_features)
        )
        assert relative_error(x[:, 0], x[:, 1:].mean(dim=1)) < 1e-6
        assert bool((x >= 0).all())  # after the last rectifier
        pool = visual.attnpool
        rows = (x + pool.positional_embedding).transpose(0, 1)
        expected = nn.functional.multi_head_attention_forward(
            rows,
            rows,
            rows,
            rows.shape[-1],
            pool.num_heads,
            None,
            torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
            None,
            None,
            False,
            0.0,
            pool.c_proj.weight,
            pool.c_proj.bias,
            training=False,
            use_separate_proj_weight=True,
            q_proj_weight=pool.q_proj.weight,
            k_proj_weight=pool.k_proj.weight,
            v_proj_weight=pool.v_proj.weight,
        )[0].transpose(0, 1)
        joint = vlm.encode_image_at(pixels, "tokens", "joint")
        assert relative_error(joint, expected) < 1e-5
        assert torch.equal(joint[:, 0], vlm.encode_image(pixels))


def test_what_a_tower_does_not_have() -> None:
    pixels = torch.zeros(1, 3, 64, 64)
    with pytest.raises(
        ModelError, match=r"image tower of '.*rn_a.*' has no features at 2; possible are 'joint'.*values"
    ):
        golden_vlm("rn_a").encode_image_at(pixels, "tokens", 2)
    with pytest.raises(ModelError, match=r"'.*vit_b.*' has no features at 5; possible are .* the blocks 0 to 4 \("):
        golden_vlm("vit_b").encode_image_at(pixels, "features", 5)


def test_a_mapped_tower_keeps_its_device_precision(tmp_path: Path) -> None:
    """Pixels are cast to the weights' precision, in a tower as in the model."""
    clip_folder(tmp_path)
    half = load_model(str(tmp_path), dtype="bfloat16")
    pixels = torch.randn(2, 3, 34, 34)
    with torch.no_grad():
        assert half.image(pixels).dtype == torch.bfloat16
        assert half.encode_image_at(pixels, "tokens", "values").dtype == torch.bfloat16
