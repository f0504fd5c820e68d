"""A run folder belongs together, says nothing of where it was made, and is believed in nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from coopt.artifacts import EarlierRunWarning, SeenImages, load_run, save_run
from coopt.artifacts.save import file_name, model_place, source_name
from coopt.artifacts.schema import MAX_DEPTH
from coopt.download import file_digest
from coopt.errors import CooptError, ModelError, RunError
from coopt.methods import Method, ZeroShot, build_method
from coopt.models import load_model
from tests.goldens.golden import golden_vlm

NAMES = ["tea", "barn owl", "red fox"]
DETAILS = {"class_labels": ["t", "b", "r"], "shots": 4, "seed": 1, "recipe": {}, "data": {"n_train": 12}}
OLD = Path(__file__).with_name("runs_v1")


def trained(seed: int = 0, **settings: object) -> Method:
    torch.manual_seed(seed)
    return build_method("coop", golden_vlm("vit_b"), NAMES, {"n_ctx": 3, **settings})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run", trained(), details=DETAILS, images=SeenImages(np.arange(7)))


def change(folder: Path, bind: bool = True, **values: object) -> None:
    """Values of the configuration, and the digests of the files as they are now."""
    path = folder / "adapter_config.json"
    config = {**json.loads(path.read_text()), **values}
    if bind and "files" not in values:
        config["files"] = {name: file_digest(folder / name) for name in config["files"]}
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "classifier.safetensors", "images.safetensors"])
@pytest.mark.parametrize("how", ["of another run", "zeroed", "one byte"])
def test_a_file_that_is_not_the_runs_is_refused(folder: Path, tmp_path: Path, name: str, how: str) -> None:
    if how == "of another run":
        images = SeenImages(np.arange(8))
        shutil.copy(save_run(tmp_path / "other", trained(seed=5), details=DETAILS, images=images) / name, folder / name)
    elif how == "zeroed":
        zeros = {key: torch.zeros_like(value) for key, value in load_file(folder / name).items()}
        save_file(zeros, folder / name, metadata={"normalize": "true"})
    else:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name} is not the file that adapter_config\.json was saved with"):
        load_run(folder)


def test_files_that_are_added_or_taken_away(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("A card of my own.")
    (folder / "images.safetensors").unlink()  # nobody needs it for a prediction
    assert load_run(folder).images is None
    (folder / "classifier.safetensors").rename(tmp_path / "classifier.safetensors")
    with pytest.raises(RunError, match=r"classifier\.safetensors is missing"):
        load_run(folder)
    change(folder, files={"adapter_model.safetensors": file_digest(folder / "adapter_model.safetensors")})
    load_run(folder)
    (tmp_path / "classifier.safetensors").rename(folder / "classifier.safetensors")
    with pytest.raises(RunError, match=r"classifier\.safetensors is none of the files"):
        load_run(folder)


def test_a_run_of_an_earlier_version_loads_with_a_note() -> None:
    with pytest.warns(EarlierRunWarning, match="written by an earlier version, which kept no digests"):
        run = load_run(OLD / "coop")
    assert run.images is None and run.config["format"] == 1


def test_a_run_says_nothing_of_the_place_where_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "somebody" / "photos"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    for source in (str(home), ".", "../photos", str(home) + "/"):
        assert source_name(source) == "photos"
    assert source_name(f"{tmp_path}/gone/a.zip and {home}") == "a.zip and photos"
    assert source_name("hf:owner/name") == "hf:owner/name"
    assert source_name("the list of 12 images") == "the list of 12 images"
    assert (file_name("cat/1.png"), file_name("/home/me/cat/1.png")) == ("cat/1.png", "1.png")
    (home / "t.txt").write_text("a drawing of a {}.\na sketch of a {}.\n")
    method = build_method("zero-shot", golden_vlm("vit_b"), NAMES, {"templates": "t.txt"})
    run = load_run(save_run("run", method, details=DETAILS))
    assert run.config["settings"]["templates"] == ["a drawing of a {}.", "a sketch of a {}."]
    (home / "t.txt").unlink()
    moved = run.build(golden_vlm("vit_b"), ["ship", "lamp"])
    assert isinstance(moved, ZeroShot) and len(moved.templates) == 2


def test_a_local_base_model_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "w.pt").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert model_place("./model") == model_place("model") == str(tmp_path / "model")
    assert model_place("open_clip:ViT-B-32@w.pt") == f"open_clip:ViT-B-32@{tmp_path / 'w.pt'}"
    for name in ("builtin", "ViT-B/16", "openai/clip-vit-base-patch16", "open_clip:ViT-B-32/laion2b"):
        assert model_place(name) == name


def test_a_base_model_that_moved(folder: Path) -> None:
    change(folder, base_model_name_or_path="/gone/model")
    run = load_run(folder)
    with pytest.raises(ModelError, match=r"'/gone/model' that the run .* names .*give its place: model="):
        run.load_vlm()
    with pytest.raises(ModelError, match="no file or folder") as told:
        run.load_vlm(model="./nor/here")
    assert "that the run" not in str(told.value)


def deep(levels: int) -> object:
    return [] if levels == 0 else [deep(levels - 1)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_names": [1, 2, 3]}, r"class_names must be a list of texts, not \[1, 2, 3\]"),
        ({"class_names": "tea"}, "class_names must be a list of texts, not 'tea'"),
        ({"class_names": ["tea"], "class_labels": ["t"]}, "class_names has 1 names"),
        ({"class_labels": [0, 1, 2]}, "class_labels must be a list of texts"),
        ({"class_labels": None}, "class_labels must be a list of texts, not None"),
        ({"data": "x"}, "data must be a dict, not 'x'"),
        ({"data": {"trained_on": 5}}, "data: trained_on must be a list of texts"),
        ({"found": []}, "found must be a dict"),
        ({"recipe": "fast"}, "recipe must be a dict or null"),
        ({"shots": True}, "shots must be a whole number from 1, or null, not True"),
        ({"shots": -4}, "shots must be"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 10**30}, "seed must be a whole number"),
        ({"seed": None}, "seed must be a whole number, not None"),
        ({"new_classes": "yes"}, "new_classes must be true or false"),
        ({"numeric_labels": 3}, "numeric_labels must be true or false"),
        ({"settings": [4]}, "settings must be a dict"),
        ({"settings": {"n_ctx": 10**9}}, r"settings: n_ctx is 1000000000; allowed are whole numbers up to 1,000,000"),
        ({"settings": {"n_ctx": -(10**40)}}, "settings: n_ctx is -1"),
        ({"settings": {"base": {"n_ctx": 10**9}}}, "settings: n_ctx is"),
        ({"task": "classification"}, "task must be a dict with a name and settings"),
        ({"task": {"name": "classification", "settings": {"grouped": 1, "x": 2}}}, "has no setting 'x'"),
        ({"versions": 4, "format": 77}, "run format 77, written by coopt unknown"),
        ({"format": True}, "run format True"),
        ({"format": [3]}, r"run format \[3\]"),
        ({"files": {}}, r"files has no digest of adapter_model\.safetensors"),
        ({"files": {"adapter_model.safetensors": 4}}, "files must be a dict"),
        ({"files": None}, "files must be a dict"),
        ({"extra": deep(MAX_DEPTH + 1)}, f"more than {MAX_DEPTH} deep"),
        ({"method": 5}, "not a coopt run"),
        ({"class_names": "x" * 10_000}, r"not '?x{50,70}\.\.\."),
    ],
)
def test_a_value_of_another_kind_is_refused(folder: Path, values: dict, message: str) -> None:
    change(folder, **values)
    with pytest.raises(CooptError, match=message):
        load_run(folder)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format": 3, "method": "coop"' + ', "a": {"b": ' * 3, "[3]", "3", "", "\x00"]
)
def test_text_that_is_no_configuration_is_refused(folder: Path, text: str) -> None:
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(RunError, match="damaged or not a coopt run"):
        load_run(folder)
    (folder / "adapter_config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="damaged or not a coopt run"):
        load_run(folder)


@pytest.mark.parametrize(
    "settings",
    [{"n_ctx": "four"}, {"n_ctx": 10**6}, {"n_ctx": 4.5}, {"n_ctx": [3]}, {"position": 7}, {"ctx_init": 5}, {"x": 1}],
)
def test_settings_of_which_no_method_can_be_made(folder: Path, settings: dict) -> None:
    change(folder, settings=settings)
    with pytest.raises(CooptError) as told:
        load_run(folder).build(golden_vlm("vit_b"))
    assert any(word in str(told.value) for word in ("damaged", "allowed", "no setting", "at most", "holds"))


@pytest.mark.parametrize(
    ("weight", "bias", "normalize", "message"),
    [
        (torch.zeros(3, 64), torch.zeros(2), "true", "no matrix"),
        (torch.zeros(3, 64, 1), torch.zeros(3), "true", "no matrix"),
        (torch.zeros(3, 64, dtype=torch.int64), torch.zeros(3), "true", "no matrix"),
        (torch.zeros(3, 64), torch.zeros(3), "7", "no matrix"),
        (torch.zeros(5, 64), torch.zeros(5), "true", "is for 5 classes"),
        (torch.zeros(3, 63), torch.zeros(3), "true", "for features of 63 numbers; those of .* have 64"),
    ],
)
def test_a_classifier_of_another_shape(
    folder: Path, weight: torch.Tensor, bias: torch.Tensor, normalize: str, message: str
) -> None:
    tensors = {"weight": weight, "bias": bias}
    save_file(tensors, folder / "classifier.safetensors", metadata={"normalize": normalize})
    change(folder)
    with pytest.raises(RunError, match=message):
        load_run(folder).predictor(golden_vlm("vit_b"))


def test_a_card_holds_any_name(tmp_path: Path) -> None:
    names = ["a | b", "two\nlines", "caf\udce9"]
    details = {"class_labels": names, "shots": None, "seed": 1, "recipe": {}, "data": {"n_train": 0}}
    torch.manual_seed(0)
    method = build_method("zero-shot", load_model("builtin"), ["a | b", "two lines", "cafe"], {})
    card = (
        save_run(tmp_path / "run", method, details={**details, "class_labels": names[:2] + ["c"]}) / "README.md"
    ).read_text()
    assert "| classes | a \\| b, two lines, cafe |" in card
    assert "shots" not in card and "nothing was learned from images" in card
