"""CLIP, SigLIP and SigLIP 2 folders: held to transformers' own modules, tokenizers and image processors."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

from coopt.errors import DataError, MissingExtraError, ModelError
from coopt.models import VLM, list_models, load_model
from tests.models.folders import (
    END_TOKEN,
    assert_towers_equal_forward,
    clip_folder,
    image_by_blocks,
    relative_error,
    siglip_folder,
    siglip_tokenizer,
)

TEXTS = ["a photo of a dog.", "x", "a small red bird on the big green painting", ""]
SIGLIP_TEXTS = ["a photo of a dog", "x", "a small red bird on the big green painting", ""]


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def own_features(module: transformers.PreTrainedModel, pixels: torch.Tensor, ids: torch.Tensor):
    """What the library's own whole forward pass says: (image embeds, text embeds), both normalised, and logits."""
    if isinstance(module, transformers.Siglip2Model):
        patches = torch.stack([torch.from_numpy(convert_image_to_patches(image.numpy(), 11)) for image in pixels])
        shapes = torch.tensor([[3, 3]] * len(pixels))
        mask = torch.ones(patches.shape[:2], dtype=torch.int64)
        out = module(input_ids=ids, pixel_values=patches, pixel_attention_mask=mask, spatial_shapes=shapes)
    else:
        out = module(input_ids=ids, pixel_values=pixels)
    return out.image_embeds, out.text_embeds, out.logits_per_image


def assert_equal_to(vlm: VLM, module: transformers.PreTrainedModel, texts: list[str]) -> None:
    pixels = torch.randn(5, 3, vlm.image_size, vlm.image_size)
    ids = vlm.tokenize(texts)
    image, text, logits = own_features(module.eval(), pixels, ids)
    features = [vlm.encode_image(pixels), vlm.encode_text(ids)]
    normal = [torch.nn.functional.normalize(x, dim=-1) for x in features]
    assert relative_error(normal[0], image) < 1e-5
    assert relative_error(normal[1], text) < 1e-5
    assert relative_error(vlm.logit_scale * normal[0] @ normal[1].T + vlm.logit_bias, logits) < 1e-5
    assert features[0].shape == (5, vlm.embed_dim)
    # The features themselves are not normalised.
    assert (features[0].norm(dim=-1) - 1).abs().min() > 1e-3


@pytest.mark.parametrize("eos_token_id", [END_TOKEN, 2])
def test_clip_equals_transformers(tmp_path: Path, eos_token_id: int) -> None:
    module = clip_folder(tmp_path, eos_token_id=eos_token_id)
    vlm = load_model(tmp_path)
    assert vlm.source == "transformers" and vlm.image_size == 34 and vlm.context_length == 19
    assert vlm.text.causal and vlm.text.pooling == "eos"
    assert_equal_to(vlm, module, TEXTS)
    assert_towers_equal_forward(vlm, TEXTS)


def test_clip_of_real_shape_equals_transformers(tmp_path: Path) -> None:
    module = clip_folder(tmp_path, real=True)
    vlm = load_model(tmp_path)
    assert (vlm.image_size, vlm.context_length, vlm.embed_dim, len(vlm.text.blocks)) == (224, 77, 512, 12)
    assert_equal_to(vlm, module, TEXTS)
    assert_towers_equal_forward(vlm, TEXTS)


@pytest.mark.parametrize("generation", [1, 2])
def test_siglip_equals_transformers(tmp_path: Path, generation: int) -> None:
    module = siglip_folder(tmp_path, generation)
    vlm = load_model(tmp_path)
    assert vlm.tokenizer.bos_id is None and vlm.logit_bias == pytest.approx(-7.3)
    assert not vlm.text.causal and vlm.text.pooling == "last"
    assert_equal_to(vlm, module, SIGLIP_TEXTS)
    assert_towers_equal_forward(vlm, SIGLIP_TEXTS)


def test_builtin_equals_transformers() -> None:
    from importlib.resources import files

    module = transformers.CLIPModel.from_pretrained(str(files("coopt.models") / "builtin"), dtype=torch.float32)
    vlm = load_model("builtin")
    assert_equal_to(vlm, module, TEXTS)
    assert_towers_equal_forward(vlm, TEXTS)
    assert not any(parameter.requires_grad for parameter in vlm.module.parameters())


def test_tokens_equal_the_folders_own_tokenizer(tmp_path: Path) -> None:
    clip_folder(tmp_path / "clip")
    fast = siglip_tokenizer(tmp_path / "siglip") if siglip_folder(tmp_path / "siglip") else None
    assert fast is not None
    clip = transformers.AutoTokenizer.from_pretrained(tmp_path / "clip")
    texts = ["It's a PHOTO,  of 3 dogs", "naïve façade", *TEXTS]
    for folder, tokenizer, some, length in (("clip", clip, texts, 19), ("siglip", fast, SIGLIP_TEXTS, 13)):
        vlm = load_model(tmp_path / folder)
        own = tokenizer(some, padding="max_length", max_length=length, return_tensors="pt").input_ids
        assert torch.equal(vlm.tokenize(some), own)
        assert vlm.tokenizer.encode(some[0]) == tokenizer(some[0], add_special_tokens=False).input_ids
    assert load_model(tmp_path / "clip").tokenizer.decode(own_ids := clip("a dog").input_ids) == "a dog", own_ids


def test_a_folder_with_the_older_vocabulary_files(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    expected = load_model(tmp_path).tokenize(TEXTS)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    assert torch.equal(load_model(tmp_path).tokenize(TEXTS), expected)


def test_siglip2_lowers_text_where_its_configuration_says_so(tmp_path: Path) -> None:
    siglip_folder(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    before = load_model(tmp_path).tokenize(["A Photo"])
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_lower_case": True}))
    vlm = load_model(tmp_path)
    assert torch.equal(vlm.tokenize(["A Photo"]), vlm.tokenize(["a photo"]))
    assert not torch.equal(before, vlm.tokenize(["a photo"]))


def test_a_text_that_is_too_long(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    vlm = load_model(tmp_path)
    fits, long = " ".join(["dog"] * 17), " ".join(["dog"] * 18)
    assert vlm.tokenize([fits])[0, -1] == vlm.tokenizer.eos_id
    with pytest.raises(DataError, match=rf"'{long}' has 20 tokens .* takes 19"):
        vlm.tokenize([fits, long])
    cut = vlm.tokenize([long], truncate=True)
    assert torch.equal(cut, vlm.tokenize([fits]))
    assert vlm.tokenize([]).shape == (0, 19)


def test_rows_behind_the_image_are_prompts_and_are_not_pooled(tmp_path: Path) -> None:
    for make, name in ((clip_folder, "clip"), (siglip_folder, "siglip")):
        make(tmp_path / name)
        vlm = load_model(tmp_path / name)
        tokens = torch.randn(2, 31, vlm.image.width)
        n_own = vlm.image.embed(torch.zeros(1, 3, 34, 34)).shape[1]
        assert torch.equal(vlm.image.pool(tokens[:, :n_own]), vlm.image.pool(tokens))
        # ... but they take part in attention.
        pixels = torch.randn(2, 3, 34, 34)
        prompted = image_by_blocks(vlm, pixels, torch.randn(7, vlm.image.width))
        assert relative_error(prompted, vlm.encode_image(pixels)) > 1e-2


@pytest.mark.parametrize("size", [(61, 40), (40, 61), (34, 34), (20, 97), (35, 37), (37, 34), (34, 41)])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_preprocess_equals_transformers(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    from tests.models.folders import CLIPImageProcessorPil, SiglipImageProcessorPil

    (clip_folder if kind == "clip" else siglip_folder)(tmp_path)
    processor = (CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil).from_pretrained(tmp_path)
    noise = np.random.default_rng(5).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    vlm = load_model(tmp_path)
    own = torch.from_numpy(np.asarray(processor(Image.fromarray(noise)).pixel_values[0]))
    assert vlm.preprocess(Image.fromarray(noise)).dtype == torch.float32
    torch.testing.assert_close(vlm.preprocess(Image.fromarray(noise)), own.float(), rtol=0, atol=2e-6)


def test_fingerprint_is_of_content_not_of_place(tmp_path: Path) -> None:
    clip_folder(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    mark = load_model(tmp_path / "one").fingerprint
    assert load_model(tmp_path / "two").fingerprint == mark
    assert load_model(tmp_path / "two", dtype="bfloat16").fingerprint == mark
    weights = load_file(tmp_path / "two" / "model.safetensors")
    weights["visual_projection.weight"][3, 5] += 1e-3
    save_file(weights, tmp_path / "two" / "model.safetensors", metadata={"format": "pt"})
    assert load_model(tmp_path / "two").fingerprint != mark
    path = tmp_path / "one" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "resample": 2}))
    assert load_model(tmp_path / "one").fingerprint != mark
    path = tmp_path / "one" / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"]["hidden_act"] = "quick_gelu"
    other = load_model(tmp_path / "one").fingerprint
    path.write_text(json.dumps(config))
    assert load_model(tmp_path / "one").fingerprint != other


def test_half_precision_folder_has_the_fingerprint_of_its_values(tmp_path: Path) -> None:
    module = clip_folder(tmp_path / "half").half()
    module.save_pretrained(tmp_path / "half")
    shutil.copytree(tmp_path / "half", tmp_path / "single")
    module.float().save_pretrained(tmp_path / "single")
    half, single = load_model(tmp_path / "half"), load_model(tmp_path / "single")
    assert half.dtype == torch.float32 and half.fingerprint == single.fingerprint


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16])
def test_precision(tmp_path: Path, dtype) -> None:
    clip_folder(tmp_path)
    vlm = load_model(tmp_path, dtype=dtype)
    assert vlm.dtype == (torch.bfloat16 if dtype == "bfloat16" else dtype)
    single = load_model(tmp_path)
    exact = single.encode_text(vlm.tokenize(TEXTS))
    assert relative_error(vlm.encode_text(vlm.tokenize(TEXTS)).float(), exact) < 0.05
    assert vlm.logit_scale == single.logit_scale, (
        "the scale of the logits is not rounded to the precision of the weights"
    )


# What can be wrong with a folder, a name or a setting.


def test_settings_that_do_not_exist() -> None:
    with pytest.raises(ModelError, match=r"dtype='fp16' .* float32, bfloat16, float16"):
        load_model("builtin", dtype="fp16")
    with pytest.raises(ModelError, match="dtype=torch.int8 is not supported"):
        load_model("builtin", dtype=torch.int8)
    with pytest.raises(ModelError, match="device='gpu' is not a device"):
        load_model("builtin", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match=r"device='cuda'.*Use device='cpu'"):
            load_model("builtin", device="cuda")
    with pytest.raises(ModelError, match="revision='main' goes with a hub id"):
        load_model("builtin", revision="main")
    with pytest.raises(ModelError, match="checkpoint='x.pt' goes with 'open_clip:ARCH'"):
        load_model("builtin", checkpoint="x.pt")


@pytest.mark.parametrize(
    ("name", "near"),
    [("ViT-B/23", "'ViT-B/32'"), ("vit-b/16", "'ViT-B/16'"), ("rn50", "'RN50'"), ("built-in", "'builtin'")],
)
def test_unknown_names_get_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ModelError, match=f"unknown model '{name}'. Did you mean .*{near}.*`coopt models`"):
        load_model(name)


@pytest.mark.parametrize("name", ["weights/none.pt", "./none", "/none/at/all"])
def test_paths_that_are_not_there(name: str) -> None:
    with pytest.raises(ModelError, match=f"no file or folder '{Path(name)}'"):
        load_model(name)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_file_is_missing(tmp_path: Path, missing: str) -> None:
    clip_folder(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=missing.replace(".", r"\.")):
        load_model(tmp_path)


def test_another_architecture(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 13}))
    with pytest.raises(ModelError, match="a model of type 'bert'; this loader takes clip, siglip, siglip2"):
        load_model(tmp_path)


def test_weights_that_are_incomplete_or_damaged(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    del weights["text_model.final_layer_norm.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="1 tensors missing .*final_layer_norm.bias"):
        load_model(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read as a CLIPModel"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_model(tmp_path)


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    clip_folder(tmp_path, eos_token_id=END_TOKEN - 1)
    told = f"feature at token {END_TOKEN - 1}, but its tokenizer ends texts with token {END_TOKEN}"
    with pytest.raises(ModelError, match=told):
        load_model(tmp_path)
    siglip_tokenizer(tmp_path)  # its end token is 0
    with pytest.raises(ModelError, match="do not belong together"):
        load_model(tmp_path)


def test_images_must_be_square(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    original = json.loads(path.read_text())
    for change, message in (
        ({"crop_size": {"height": 34, "width": 51}}, "square images only"),
        ({"do_center_crop": False}, "crops nothing"),
        ({"crop_size": {"height": 51, "width": 51}}, "must not be larger"),
        ({"size": {"shortest_edge": 17}}, "must not be larger"),
        ({"size": {"shortest_edge": 51}, "crop_size": {"height": 51, "width": 51}}, "prepares images of 51 pixels"),
        ({"do_resize": False}, "do_resize is false"),
        ({"image_std": [0.5, 0.0, 0.5]}, "std="),
    ):
        path.write_text(json.dumps({**original, **change}))
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path)


def test_old_and_new_ways_of_writing_the_image_preparation(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    now = json.loads(path.read_text())
    expected = load_model(tmp_path).preprocess
    path.write_text(json.dumps({**now, "size": 34, "crop_size": 34}))  # the first releases wrote bare numbers
    assert load_model(tmp_path).preprocess == expected
    path.unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": now}))
    assert load_model(tmp_path).preprocess == expected


# The hub, without a network.


def test_the_extra_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'coopt\[open-clip\]'"):
        load_model("open_clip:ViT-B-32/openai")


def test_a_cached_hub_model_loads_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    name, commit = "google/siglip-base-patch16-224", "0123456789abcdef0123456789abcdef01234567"
    assert not {model.name: model for model in list_models()}[name].on_this_machine
    with pytest.raises(ModelError, match=r"'google/siglip-.*' is not in .* cache, and offline mode .* 'builtin'"):
        load_model(name)
    repository = tmp_path / "models--google--siglip-base-patch16-224"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    siglip_folder(repository / "snapshots" / commit)
    vlm = load_model(name)
    assert (vlm.name, vlm.revision) == (name, commit)
    assert load_model(name, revision=commit, offline=True).fingerprint == vlm.fingerprint
    assert {model.name: model for model in list_models()}[name].on_this_machine
    with pytest.raises(ModelError, match="at revision 'other' is not in"):
        load_model(name, revision="other")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RevisionNotFoundError", "has no revision 'v9'"),
        ("RepositoryNotFoundError", "no model 'me/clip' on the hub"),
        ("GatedRepoError", "accept its terms"),
        ("LocalEntryNotFoundError", "could not be reached: .* 'builtin'"),
    ],
)
def test_what_the_hub_answers(monkeypatch: pytest.MonkeyPatch, error: str, message: str) -> None:
    import huggingface_hub

    def refuse(*arguments, **settings):
        kind = getattr(huggingface_hub.errors, error)
        raise kind.__new__(kind, "the network is down")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=message):
        load_model("me/clip", revision="v9", offline=False)


def test_list_models_states_facts() -> None:
    models = {model.name: model for model in list_models()}
    assert models["builtin"].on_this_machine and models["builtin"].image_size == load_model("builtin").image_size
    assert models["RN50"].embed_dim == 1024 and models["ViT-L/14@336px"].image_size == 336
    assert {model.source for model in models.values()} == {"builtin", "openai", "transformers", "open_clip"}


def test_a_torchvision_of_another_build_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from coopt.models import open_clip_source

    def fail(*arguments: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(open_clip_source, "require_extra", fail)
    with pytest.raises(ModelError, match=r"torchvision::nms does not exist\).*same package index as torch"):
        load_model("open_clip:ViT-B-32/openai")
