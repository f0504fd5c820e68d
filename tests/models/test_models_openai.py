"""OpenAI checkpoints: tokens, features and logits of the reference code, files of every stored form, and bad files."""

import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from coopt.errors import ModelError
from coopt.models import VLM, load_model
from coopt.models.openai_tokenizer import openai_tokenizer
from coopt.models.tokens import layout
from tests.goldens.golden import MODELS, assert_close, clip_weights, golden_cases, golden_tensor
from tests.models.folders import assert_towers_equal_forward, functional_logits, relative_error

FORMS = ["single", "half", "torchscript", "safetensors"]
TOKENS = golden_cases("tokens")
FEATURES = golden_cases("features")


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def state_dict(model: str) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in clip_weights(MODELS[model]).items()}


class Node(nn.Module):
    """A module that holds tensors under given names, and computes nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def as_module(weights: dict[str, torch.Tensor]) -> nn.Module:
    root = Node()
    for name, tensor in weights.items():
        *path, last = name.split(".")
        node: nn.Module = root
        for part in path:
            if part not in node._modules:
                node.add_module(part, Node())
            node = node._modules[part]
        node.register_buffer(last, tensor)
    return root


def half(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As published: half precision but for the logit scale, which would lose digits."""
    return {k: v.half() if v.is_floating_point() and k != "logit_scale" else v for k, v in weights.items()}


def write(weights: dict[str, torch.Tensor], form: str, folder: Path) -> Path:
    path = folder / ("weights.safetensors" if form == "safetensors" else "weights.pt")
    if form == "single":
        torch.save(weights, path)
    elif form == "half":
        torch.save(half(weights), path)
    elif form == "safetensors":
        save_file(half(weights), path)
    else:
        settings = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
        extra = {name: torch.tensor(value) for name, value in settings.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # writing TorchScript is deprecated; OpenAI's files stay what they are
            torch.jit.script(as_module({**half(weights), **extra})).save(str(path))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory):
    """(golden model, stored form) to loaded model, each written and loaded once."""
    loaded: dict[tuple[str, str], VLM] = {}

    def get(model: str, form: str) -> VLM:
        if (model, form) not in loaded:
            path = write(state_dict(model), form, tmp_path_factory.mktemp(f"{model}-{form}"))
            loaded[model, form] = load_model(path)
            path.unlink()
        return loaded[model, form]

    return get


@pytest.mark.parametrize("case", TOKENS)
def test_tokens_equal_the_reference(case: str) -> None:
    meta, arrays = TOKENS[case]
    tokenizer = openai_tokenizer()
    assert torch.equal(layout(tokenizer, meta["texts"], 77), torch.from_numpy(arrays["ids"]).long())
    assert [len(tokenizer.encode(text)) for text in meta["texts"]] == arrays["n_encode"].tolist()


def test_html_is_unescaped_twice_even_where_the_text_repair_leaves_it_alone() -> None:
    tokenizer = openai_tokenizer()
    assert tokenizer.encode("<b> &amp;amp;") == tokenizer.encode("<b> &")


def test_tokens_can_be_read_back() -> None:
    tokenizer = openai_tokenizer()
    for text in ("a photo of a golden retriever .", "naïve façade", "你好"):
        row = layout(tokenizer, [text], 77)[0].tolist()
        assert tokenizer.decode(row) == tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocab_size == 49408


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [case for case in FEATURES if case.startswith("raw")])
def test_features_and_logits_equal_the_reference(models, case: str, form: str) -> None:
    meta, arrays = FEATURES[case]
    vlm = models(meta["model"], form)
    names = [name.replace("_", " ") for name in meta["classnames"]]
    ids = vlm.tokenize([meta["template"].format(name) for name in names])
    assert torch.equal(ids, torch.from_numpy(arrays["token_ids"]).long())
    image = vlm.encode_image(golden_tensor(meta["inputs"]["images"]))
    text = vlm.encode_text(ids)
    assert_close(image, arrays["image_features"], 1e-5)
    assert_close(text, arrays["text_features"], 1e-5)
    logits = functional_logits(image, text, vlm.logit_scale)
    assert_close(logits, arrays["logits_per_image"], 1e-5)
    assert_close(logits.T, arrays["logits_per_text"], 1e-5)


@pytest.mark.parametrize("case", [case for case in FEATURES if case.startswith("ZeroshotCLIP_")])
def test_zero_shot_logits_equal_the_reference(models, case: str) -> None:
    meta, arrays = FEATURES[case]
    vlm = models(meta["model"], "single")
    names = [name.replace("_", " ") for name in meta["classnames"]]
    text = vlm.encode_text(vlm.tokenize([meta["templates"][0].format(name) for name in names]))
    image = vlm.encode_image(golden_tensor(meta["inputs"]["images"]))
    assert_close(text / text.norm(dim=-1, keepdim=True), arrays["text_features"], 1e-5)
    assert_close(functional_logits(image, text, vlm.logit_scale), arrays["logits"], 1e-5)


@pytest.mark.parametrize("model", ["vit_a", "vit_b", "rn_a"])
def test_towers(models, model: str) -> None:
    vlm = models(model, "single")
    assert vlm.source == "openai" and vlm.text.causal and vlm.text.pooling == "eos"
    assert (vlm.image_size, vlm.embed_dim) == (MODELS[model]["image"], MODELS[model]["embed_dim"])
    assert_towers_equal_forward(vlm, ["a photo of a dog.", "x", "C++/C#"])
    if model == "rn_a":
        assert (vlm.image.kind, vlm.image.width) == ("resnet", 16 * 32)
    else:
        assert vlm.image.kind == "vit" and len(vlm.image.blocks) == MODELS[model]["vision_layers"]


def test_all_forms_of_a_file_have_one_fingerprint(models) -> None:
    for model in ("vit_a", "rn_a"):
        assert len({models(model, form).fingerprint for form in FORMS}) == 1
    assert models("vit_a", "half").fingerprint != models("vit_b", "half").fingerprint
    assert models("vit_a", "half").revision != models("vit_a", "single").revision


def test_resnet_in_other_precision(models, tmp_path: Path) -> None:
    vlm = load_model(write(state_dict("rn_a"), "half", tmp_path), dtype="bfloat16")
    pixels = torch.randn(2, 3, 64, 64)
    exact = models("rn_a", "half").encode_image(pixels)
    assert vlm.encode_image(pixels).dtype == torch.bfloat16
    assert relative_error(vlm.encode_image(pixels).float(), exact) < 0.1


def test_preprocess_is_openais() -> None:
    """torchvision rounds an odd margin's half to even: offsets 2.5 -> 2, 3.5 -> 4 (checked with torchvision 0.28)."""
    import numpy as np
    from PIL import Image

    from coopt.models import Preprocess

    prepare = Preprocess(size=8, crop_rounding="even", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    for width, offset in ((13, 2), (15, 4), (8, 0), (9, 0), (11, 2)):
        ramp = np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None], (8, width, 3))
        pixels = prepare(Image.fromarray(np.ascontiguousarray(ramp)))
        assert (pixels[0, 0] * 255).round().tolist() == list(range(offset, offset + 8))


def test_wrappings_of_training_programs(models, tmp_path: Path) -> None:
    path = tmp_path / "wrapped.pt"
    weights = {f"module.{name}": tensor for name, tensor in state_dict("vit_a").items()}
    torch.save({"epoch": 3, "state_dict": weights}, path)
    assert load_model(path).fingerprint == models("vit_a", "single").fingerprint


# Files that are not what they should be.


class Malicious:
    """Pickles to a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (str(self.trace),))


def test_a_malicious_pickle_runs_no_code(tmp_path: Path) -> None:
    trace, path = tmp_path / "ran", tmp_path / "evil.pt"
    weights = {"visual.proj": torch.zeros(3, 2), "logit_scale": Malicious(trace)}
    torch.save(weights, path)
    with pytest.raises(ModelError, match="refuses to load"):
        load_model(path)
    path.write_bytes(pickle.dumps(weights["logit_scale"]))
    with pytest.raises(ModelError, match="evil.pt"):
        load_model(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(weights["logit_scale"]))  # the trap itself works
    assert trace.exists()


def test_a_malicious_torchscript_archive_runs_no_code(tmp_path: Path) -> None:
    trace, good, path = tmp_path / "ran", write(state_dict("vit_a"), "torchscript", tmp_path), tmp_path / "evil.pt"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/data.pkl"):
                content = pickle.dumps(Malicious(trace), protocol=2)
            target.writestr(name, content)
    with pytest.raises(ModelError, match=r"refuses to load.*posix.mkdir"):
        load_model(path)
    assert not trace.exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file(tmp_path: Path, form: str) -> None:
    path = write({name: tensor for name, tensor in state_dict("vit_a").items()}, form, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)


def test_a_flipped_bit_in_a_torchscript_archive(tmp_path: Path) -> None:
    path = write(state_dict("vit_a"), "torchscript", tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="CRC"):
        load_model(path)


def test_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"layer1.weight": torch.zeros(3, 5)}, path)
    with pytest.raises(ModelError, match=r"not a CLIP checkpoint in OpenAI's format.*open_clip:ARCH@"):
        load_model(path)
    torch.save([1, 2, 3], path)
    with pytest.raises(ModelError, match="not a state dict"):
        load_model(path)
    weights = state_dict("vit_a")
    for change, message in (
        ({"visual.transformer.resblocks.0.ls_1.gamma": torch.ones(64)}, "1 tensors that .* does not have.*ls_1"),
        ({"token_embedding.weight": torch.zeros(31, 128)}, "31 tokens; OpenAI's vocabulary has 49408"),
        ({"visual.positional_embedding": torch.zeros(16, 64)}, "15 image positions, which is no square"),
        ({"text_projection": torch.zeros(127, 32)}, "another shape|mismatch"),
    ):
        torch.save({**weights, **change}, path)
        with pytest.raises(ModelError, match=message):
            load_model(path)
    del weights["ln_final.bias"]
    torch.save(weights, path)
    with pytest.raises(ModelError, match=r"no tensor 'ln_final.bias'"):
        load_model(path)
