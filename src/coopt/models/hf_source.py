"""Weights in the transformers layout: CLIP, SigLIP and SigLIP 2, from the hub or a local folder."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Resampling
from torch import Tensor

from coopt.errors import ModelError
from coopt.models.fingerprint import fingerprint
from coopt.models.hf_tokenizer import read_tokenizer
from coopt.models.hf_towers import hf_image_tower, hf_text_tower, siglip2_inputs
from coopt.models.library import import_problem, is_import_problem, library_class
from coopt.models.preprocess import Preprocess, from_processor_config
from coopt.models.tokens import Tokenizer
from coopt.models.towers import ImageTower, TextTower
from coopt.models.vlm import VLM

MODEL_CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel", "siglip2": "Siglip2Model"}


def load_folder(name: str, folder: Path, revision: str | None, device: torch.device, dtype: torch.dtype) -> VLM:
    """Load a folder with config.json, weights, tokenizer and image preparation.

    Raises:
        ModelError: a file is missing or damaged, the files do not belong together, or the architecture is not one of
            `MODEL_CLASSES`.
    """
    config = _json_file(folder / "config.json")
    model_type = config.get("model_type")
    if model_type not in MODEL_CLASSES:
        raise ModelError(
            f"'{folder}' holds a model of type {model_type!r}; this loader takes {', '.join(MODEL_CLASSES)}. "
            "Other dual encoders may load through open_clip (open_clip:ARCH/PRETRAINED)."
        )
    preprocess = _read_preprocess(folder, model_type, _image_size(config, model_type, folder))
    tokenizer = read_tokenizer(folder)
    if not any(folder.glob("model*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise ModelError(
            f"'{folder}' holds no weights (model.safetensors or pytorch_model.bin); the download may be incomplete."
        )
    module = read_module(MODEL_CLASSES[model_type], folder, folder)
    facts = {**module_facts(module), "preprocess": preprocess.facts()}
    encode_image, encode_text, text, image = open_module(module, name)
    if tokenizer.vocab_size > text.vocabulary.shape[0]:
        raise ModelError(
            f"the tokenizer in '{folder}' has {tokenizer.vocab_size} tokens, the model's table only "
            f"{text.vocabulary.shape[0]}: they do not belong together."
        )
    _check_end_token(module, tokenizer, folder)
    return VLM(
        name=name,
        source="transformers",
        revision=revision,
        fingerprint=fingerprint(module.state_dict(), facts),
        module=module,
        encode_image=encode_image,
        encode_text=encode_text,
        tokenizer=tokenizer,
        preprocess=preprocess,
        text=text,
        image=image,
        embed_dim=(module.text_projection if model_type == "clip" else module.text_model.head).out_features,
        device=device,
        dtype=dtype,
    )


def open_module(
    module: Any, name: str
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], TextTower, ImageTower]:
    """(encode_image, encode_text, text tower, image tower) of a CLIPModel, SiglipModel or Siglip2Model."""
    text, vision = module.text_model, module.vision_model
    # get_image_features() changed what it returns between releases; the parts below it did not.
    if type(module).__name__ == "CLIPModel":
        return (
            lambda pixels: module.visual_projection(vision(pixel_values=pixels).pooler_output),
            lambda ids: module.text_projection(text(input_ids=ids).pooler_output),
            hf_text_tower(text, module.text_projection),
            hf_image_tower(vision, name, module.visual_projection),
        )
    is_second = type(module).__name__ == "Siglip2Model"
    return (
        lambda pixels: vision(*(siglip2_inputs(vision, pixels) if is_second else (pixels,))).pooler_output,
        lambda ids: text(input_ids=ids).pooler_output,
        hf_text_tower(text, text.head),
        hf_image_tower(vision, name),
    )


def module_facts(module: Any) -> dict[str, Any]:
    """What the features depend on beside the weights: written out, so that a new library release changes nothing."""
    config = module.config
    facts: dict[str, Any] = {"architecture": type(module).__name__}
    for tower, part in (("text", config.text_config), ("image", config.vision_config)):
        facts[tower] = {
            "n_heads": part.num_attention_heads,
            "activation": part.hidden_act,
            "epsilon": part.layer_norm_eps,
        }
    if facts["architecture"] == "CLIPModel":
        # 2 is how old configurations were written; the model then pools at the highest id, which is 49407.
        facts["text"]["eos"] = "highest id" if config.text_config.eos_token_id == 2 else config.text_config.eos_token_id
    return facts


def _check_end_token(module: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """The token whose row CLIP's own forward takes is the one that the tokenizer puts at the end."""
    if type(module).__name__ != "CLIPModel":
        return  # SigLIP takes the last row, whatever it holds
    pooled_at = module.config.text_config.eos_token_id
    if pooled_at == 2:  # old configurations: the highest id of a text
        pooled_at = tokenizer.vocab_size - 1
    if pooled_at != tokenizer.eos_id:
        raise ModelError(
            f"the model in '{folder}' takes its text feature at token {pooled_at}, but its tokenizer ends texts with "
            f"token {tokenizer.eos_id}: they do not belong together."
        )


def _json_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"'{path.parent}' has no {path.name}. A model folder holds config.json, model.safetensors, tokenizer.json "
            "and preprocessor_config.json, as save_pretrained() of the model and its processor write them."
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"'{path}' is not valid JSON ({error}); download or save the model again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"'{path}' holds {type(value).__name__}, not a JSON object; download or save the model again.")
    return value


def _image_size(config: dict[str, Any], model_type: str, folder: Path) -> int:
    vision = config.get("vision_config") or {}
    if not vision.get("vision_use_head", True):
        raise ModelError(f"'{folder}': vision_use_head is false, so this model has no image feature to compare.")
    patch = vision.get("patch_size", 32 if model_type == "clip" else 16)
    if model_type == "siglip2":
        n_patches = vision.get("num_patches", 256)
        if not isinstance(patch, int) or math.isqrt(n_patches) ** 2 != n_patches:
            raise ModelError(f"'{folder}': {n_patches} patches of {patch} pixels do not make a square image.")
        return math.isqrt(n_patches) * patch  # the resolution at which no position is interpolated
    size = vision.get("image_size", 224)
    if not isinstance(size, int) or not isinstance(patch, int):
        raise ModelError(f"'{folder}': image_size={size}, patch_size={patch}; coopt supports square images only.")
    return size


def _read_preprocess(folder: Path, model_type: str, image_size: int) -> Preprocess:
    path, newer = folder / "preprocessor_config.json", folder / "processor_config.json"
    if newer.is_file() and not path.is_file():  # how newer releases save the whole processor
        path, config = newer, _json_file(newer).get("image_processor") or {}
    else:
        config = _json_file(path)
    if model_type == "siglip2":
        # NaFlex models take any shape; here they run at one square, which needs every image squashed to it.
        fields = {"image_mean": 0.5, "image_std": 0.5, "resample": Resampling.BILINEAR, **config}
        fields |= {"size": image_size, "do_center_crop": False}
        return from_processor_config(fields, square=True, where=str(path))
    if model_type == "siglip":
        config = {"image_mean": 0.5, "image_std": 0.5, **config}
    preprocess = from_processor_config(config, square=model_type != "clip", where=str(path))
    if preprocess.size != image_size:
        raise ModelError(f"'{path}' prepares images of {preprocess.size} pixels, but the model takes {image_size}.")
    return preprocess


def read_module(class_name: str, where: Path, folder: Path | None, **settings: Any) -> Any:
    """A transformers model from its folder, or of the settings `config` and `state_dict`; `where` is for messages."""
    kind = library_class(class_name)
    try:
        with _quiet():
            # Single precision loses nothing of any stored format, whatever the configuration says.
            module, report = kind.from_pretrained(
                folder,
                **settings,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                weights_only=True,
            )
    except Exception as error:  # safetensors, JSON and shape errors of many classes
        if is_import_problem(error):
            raise ModelError(import_problem("transformers", error)) from error
        raise ModelError(
            f"the weights in '{where}' cannot be read as a {class_name} ({type(error).__name__}: {error}). "
            "The files may be damaged or incomplete; download or save the model again."
        ) from error
    missing = sorted(str(key) for key in report["missing_keys"])
    wrong = sorted(str(entry) for entry in report.get("mismatched_keys") or [])
    if missing or wrong:
        raise ModelError(
            f"the weights in '{where}' do not fit {class_name}: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(wrong)} of another shape {wrong[:3]}. Is this another architecture, or an incomplete download?"
        )
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bar and load report: `read_module` reports what is wrong."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
