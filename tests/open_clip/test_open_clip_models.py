"""Models of open_clip: held to open_clip's own outputs, tokens and preprocessing, for random weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from coopt.errors import ModelError
from coopt.models import VisionTransformer, load_model
from tests.models.folders import (
    assert_towers_equal_forward,
    image_by_blocks,
    relative_error,
    scramble,
    siglip_tokenizer,
)
from tests.models.mapped import check_mapping, named_layers

VISION = {"image_size": 34, "layers": 2, "width": 38, "head_width": 19, "patch_size": 17}
TEXT = {"context_length": 19, "vocab_size": 49408, "width": 39, "heads": 3, "layers": 2}
TIMM = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "linear"}
SIGLIP_TEXT = TEXT | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "norm_kwargs": {"eps": 1e-6}}
CONFIGS = {
    "causal": {"embed_dim": 23, "vision_cfg": VISION, "text_cfg": TEXT},
    "quick-gelu": {"embed_dim": 23, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT},
    "layer-scale": {
        "embed_dim": 23,
        "vision_cfg": VISION
        | {"ls_init_value": 0.1, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
        "text_cfg": TEXT | {"ls_init_value": 0.1},
    },
    "custom-blocks": {
        "embed_dim": 23,
        "vision_cfg": VISION | {"qk_norm": True, "scale_heads": True, "pool_type": "avg"},
        "text_cfg": TEXT | {"qk_norm": True, "scale_attn_inner": True, "scale_attn": True, "scale_fc": True},
    },
    "not-causal": {
        "embed_dim": 23,
        "init_logit_bias": -7,
        "custom_text": True,
        "vision_cfg": VISION,
        "text_cfg": SIGLIP_TEXT,
    },
    "eos": {
        "embed_dim": 23,
        "custom_text": True,
        "vision_cfg": VISION,
        "text_cfg": TEXT | {"pool_type": "eos", "eos_id": 49407},
    },
    "no-projection": {
        "embed_dim": 39,
        "custom_text": True,
        "vision_cfg": VISION,
        "text_cfg": TEXT | {"proj_type": "none", "pool_type": "last"},
    },
    "timm": {"embed_dim": 23, "vision_cfg": TIMM, "text_cfg": TEXT},
    "timm-map": {
        "embed_dim": 192,
        "init_logit_bias": -7,
        "custom_text": True,
        "vision_cfg": TIMM | {"timm_pool": "map", "timm_proj": "none"},
        "text_cfg": SIGLIP_TEXT,
    },
    "resnet": {
        "embed_dim": 23,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None},
        "text_cfg": TEXT,
    },
    "coca": {
        "embed_dim": 23,
        "custom_text": True,
        "vision_cfg": VISION | {"attentional_pool": True, "attn_pooler_heads": 1, "output_tokens": True},
        "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {
            "context_length": 19,
            "vocab_size": 49408,
            "width": 39,
            "heads": 3,
            "layers": 1,
            "attn_pooler_heads": 1,
        },
    },
    "first": {"embed_dim": 23, "custom_text": True, "vision_cfg": VISION, "text_cfg": TEXT | {"pool_type": "first"}},
    "cosine": {"embed_dim": 23, "vision_cfg": VISION, "text_cfg": TEXT | {"scaled_cosine_attn": True}},
}
OPEN = [name for name in CONFIGS if name not in ("coca", "first", "cosine")]
TEXTS = ["a photo of a dog.", "x", "a golden retriever on C++/C#"]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def models(tmp_path: Path):
    """Configuration name to (coopt's name for it, open_clip's own module), with random weights in a file."""
    import open_clip
    from open_clip import factory

    registered = dict(factory._MODEL_CONFIGS)

    def make(name: str):
        (tmp_path / f"coopt-{name}.json").write_text(json.dumps(CONFIGS[name]))
        open_clip.add_model_config(tmp_path / f"coopt-{name}.json")
        module = scramble(open_clip.create_model(f"coopt-{name}", pretrained_hf=False, load_weights=False))
        for buffer_name, buffer in module.named_buffers():
            if "running" in buffer_name:  # means near zero, so that no rectifier is dead
                is_variance = buffer_name.endswith("var")
                buffer.copy_(torch.rand(buffer.shape) + 0.5 if is_variance else 0.1 * torch.randn(buffer.shape))
        torch.save(module.state_dict(), tmp_path / f"{name}.pt")
        return f"open_clip:coopt-{name}@{tmp_path / name}.pt", module

    yield make
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(registered)
    factory._rescan_model_configs()


@pytest.mark.parametrize("name", CONFIGS)
def test_features_equal_open_clip(models, name: str) -> None:
    import open_clip

    full_name, module = models(name)
    if name == "cosine":
        pytest.skip("open_clip's own scaled cosine attention fails on batches (it multiplies 4-axis tensors with bmm)")
    vlm = load_model(full_name)
    ids = vlm.tokenize(TEXTS)
    assert torch.equal(ids, open_clip.get_tokenizer(f"coopt-{name}")(TEXTS))
    pixels = torch.randn(3, 3, vlm.image_size, vlm.image_size)
    text, image = module.encode_text(ids, normalize=True), module.encode_image(pixels, normalize=True)
    own_text, own_image = (
        torch.nn.functional.normalize(x, dim=-1) for x in (vlm.encode_text(ids), vlm.encode_image(pixels))
    )
    assert relative_error(own_text, text) < 1e-5
    assert relative_error(own_image, image) < 1e-5
    assert (vlm.encode_text(ids).norm(dim=-1) - 1).abs().min() > 1e-3
    assert vlm.embed_dim == text.shape[1]
    assert vlm.logit_scale == pytest.approx(module.logit_scale.exp().item())
    assert vlm.logit_bias == (-7 if "init_logit_bias" in CONFIGS[name] else 0)


@pytest.mark.parametrize("name", OPEN)
def test_towers(models, name: str) -> None:
    vlm = load_model(models(name)[0])
    not_causal = name in ("not-causal", "timm-map")
    assert vlm.text.causal is not not_causal
    assert vlm.text.pooling == ("last" if not_causal or name == "no-projection" else "eos")
    assert_towers_equal_forward(vlm, TEXTS)
    assert vlm.image.kind == ("resnet" if name == "resnet" else "vit")
    assert isinstance(vlm.image, VisionTransformer) == (name != "resnet")


@pytest.mark.parametrize("name", ["causal", "layer-scale", "timm-map"])
def test_rows_behind_the_image_are_not_pooled(models, name: str) -> None:
    vlm = load_model(models(name)[0])
    pixels = torch.randn(2, 3, vlm.image_size, vlm.image_size)
    n_own = vlm.image.embed(pixels).shape[1]
    tokens = torch.randn(2, n_own + 3, vlm.image.width)
    assert relative_error(vlm.image.pool(tokens), vlm.image.pool(tokens[:, :n_own])) < 1e-6
    prompted = image_by_blocks(vlm, pixels, torch.randn(3, vlm.image.width))
    assert relative_error(prompted, vlm.encode_image(pixels)) > 1e-3


@pytest.mark.parametrize(
    ("name", "why"), [("coca", "class token"), ("first", "pool_type='first'"), ("cosine", "cosine")]
)
def test_towers_that_cannot_be_opened_say_so_when_asked(models, name: str, why: str) -> None:
    vlm = load_model(models(name)[0])
    assert vlm.context_length == 19 and vlm.dtype == torch.float32
    with pytest.raises(ModelError, match=f"cannot be opened up: .*{why}"):
        _ = vlm.text


def test_no_weight_is_copied(models) -> None:
    vlm = load_model(models("causal")[0])
    query = vlm.text.blocks[0].q
    before = query(torch.ones(39))
    vlm.module.transformer.resblocks[0].attn.in_proj_weight[:39] += 1
    assert not torch.allclose(before, query(torch.ones(39)))


def test_preprocess_equals_open_clips(models) -> None:
    import open_clip
    from open_clip import transform

    from coopt.models.open_clip_source import _preprocess

    for mode in ("shortest", "squash"):
        name, _ = models("causal")
        config = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "resize_mode": mode}
        module = open_clip.create_model("coopt-causal", load_weights=False, force_preprocess_cfg=config)
        own = transform.image_transform_v2(transform.PreprocessCfg(**module.visual.preprocess_cfg), is_train=False)
        for size in ((61, 40), (40, 61), (34, 34), (35, 37), (20, 97)):
            pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            image = Image.fromarray(pixels)
            expected = own(image)
            torch.testing.assert_close(
                _preprocess(module.visual.preprocess_cfg, name)(image), expected, rtol=0, atol=2e-6
            )


def test_a_local_folder_with_its_own_tokenizer(tmp_path: Path) -> None:
    import open_clip

    config = {**CONFIGS["not-causal"], "text_cfg": SIGLIP_TEXT | {"hf_tokenizer_name": "x", "vocab_size": 53}}
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3}})
    )
    siglip_tokenizer(tmp_path)
    module = scramble(open_clip.CustomTextCLIP(**{k: v for k, v in config.items() if k != "custom_text"}))
    save_file(module.state_dict(), tmp_path / "open_clip_model.safetensors")
    vlm = load_model(f"open_clip:local-dir:{tmp_path}")
    assert vlm.preprocess.mean == (0.5, 0.5, 0.5) and vlm.tokenizer.bos_id is None
    assert_towers_equal_forward(vlm, ["a photo of a dog", "cat"])
    assert relative_error(vlm.encode_text(vlm.tokenize(["a dog"])), module.encode_text(vlm.tokenize(["a dog"]))) < 1e-5


def test_fingerprint(models) -> None:
    name, _ = models("causal")
    assert load_model(name).fingerprint == load_model(name, dtype="bfloat16").fingerprint
    arch, _, path = name.removeprefix("open_clip:").partition("@")
    assert load_model(f"open_clip:{arch}", checkpoint=path).fingerprint == load_model(name).fingerprint
    assert load_model(models("quick-gelu")[0]).fingerprint != load_model(name).fingerprint


@pytest.mark.parametrize(
    ("name", "checkpoint", "message"),
    [
        ("open_clip:ViT-B-23/laion2b_s34b_b79k", None, "no architecture 'ViT-B-23'.*Did you mean.*'ViT-B-32'"),
        ("open_clip:ViT-B-32/laion2b", None, "no weights 'laion2b'.*Published: .*laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32", None, "does not say which weights.*laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", None, "offline mode is on.*'builtin'"),
        ("open_clip:ViT-B-32@none.pt", None, "no checkpoint file 'none.pt'"),
        ("open_clip:ViT-B-32@one.pt", "two.pt", "names weights and checkpoint='two.pt' others"),
        ("open_clip:ViT-B-32/openai", "two.pt", "give one of them"),
        ("open_clip:local-dir:nowhere", None, "could not load 'open_clip:local-dir:nowhere'"),
    ],
)
def test_wrong_names(name: str, checkpoint: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(name, checkpoint=checkpoint)


def test_a_checkpoint_that_does_not_fit(models, tmp_path: Path) -> None:
    name, _ = models("causal")
    models("quick-gelu")
    other = CONFIGS["no-projection"]
    assert other["embed_dim"] != CONFIGS["causal"]["embed_dim"]
    _, module = models("no-projection")
    torch.save(module.state_dict(), tmp_path / "causal.pt")
    with pytest.raises(ModelError, match="could not load 'open_clip:coopt-causal@"):
        load_model(name)


@pytest.mark.parametrize("arch", ["ViT-B-32-quickgelu", "RN50-quickgelu"])
def test_real_shapes_and_openais_own_loader(tmp_path: Path, arch: str) -> None:
    """The same weights as open_clip's model and as a file in OpenAI's format: three ways to the same features."""
    import open_clip

    module = scramble(open_clip.create_model(arch, load_weights=False))
    for name, buffer in module.named_buffers():
        if "running_var" in name:  # grows with what a layer adds up, so that no block drowns the rest
            buffer.fill_(1.7)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    pixels = torch.randn(2, 3, 224, 224)
    for name in (f"open_clip:{arch}@{tmp_path}/weights.pt", str(tmp_path / "weights.pt")):
        vlm = load_model(name)
        assert vlm.source == ("open_clip" if name.startswith("open_clip:") else "openai")
        ids = vlm.tokenize(TEXTS)
        assert torch.equal(ids, open_clip.get_tokenizer(arch)(TEXTS))
        assert relative_error(vlm.encode_text(ids), module.encode_text(ids)) < 1e-5
        assert relative_error(vlm.encode_image(pixels), module.encode_image(pixels)) < 1e-5
        assert_towers_equal_forward(vlm, TEXTS[:1])


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", OPEN)
def test_a_mapped_tower(models, name: str, kind: str) -> None:
    """Fused projections and transposed matrices are layers with a weight of their own as well."""
    vlm = load_model(models(name)[0])
    with torch.enable_grad():
        check_mapping(vlm, kind)
    layers = named_layers(getattr(vlm, kind))
    if name == "resnet" and kind == "image":
        assert {"layer4.0.conv3", "layer2.0.downsample.0", "pool.v"} < set(layers)
        return
    parts = ("norm_1", "q", "k", "v", "out", "norm_2", "mlp.up", "mlp.down")
    assert {f"blocks.1.{part}" for part in parts} < set(layers)
    width = getattr(vlm, kind).width
    assert layers["blocks.1.k"].weight.shape == (width, width)
    assert ("projection" in layers) == ((name, kind) not in (("no-projection", "text"), ("timm-map", "image")))


@pytest.mark.parametrize("name", OPEN)
def test_positions_belong_to_the_pooled_feature(models, name: str) -> None:
    """Where a feature is the mean of its positions it can be told from them; every place has its width."""
    vlm = load_model(models(name)[0])
    pixels = torch.randn(2, 3, vlm.image_size, vlm.image_size)
    for at in ("joint", "unprojected", "values", *((0, 2) if name != "resnet" else ())):
        tokens = vlm.encode_image_at(pixels, "tokens", at)
        assert tokens.shape == (2, 1 + vlm.n_positions, vlm.width_at(at))
        assert torch.equal(tokens[:, 0], vlm.encode_image_at(pixels, "features", at))
    assert torch.equal(vlm.encode_image_at(pixels, "tokens", "joint")[:, 0], vlm.encode_image(pixels))
    if name == "custom-blocks":  # a mean after the norm, then a projection
        tokens = vlm.encode_image_at(pixels, "tokens", "joint")
        assert relative_error(tokens[:, 1:].mean(dim=1), tokens[:, 0]) < 1e-5


def test_a_closed_image_tower_says_what_it_has(models) -> None:
    vlm = load_model(models("coca")[0])
    pixels = torch.zeros(1, 3, 34, 34)
    assert vlm.encode_image_at(pixels, "features", "joint").shape == (1, 23)
    with pytest.raises(ModelError, match="image tower of 'open_clip:coopt-coca.*' has no features at 'values'; .*only"):
        vlm.encode_image_at(pixels, "tokens", "values")
    with pytest.raises(ModelError, match="cannot be opened up: it is neither a plain vision transformer nor"):
        vlm.image.map(lambda name, layer: layer)
