"""Run folders: what is in them, exact round trips, and every way in which one can be wrong."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from coopt.artifacts import load_run, save_run
from coopt.download import file_digest
from coopt.errors import RunError
from coopt.methods import METHODS, Examples, Method, Shots, build_method
from coopt.models import load_model
from tests.goldens.golden import golden_vlm

NAMES = ["tea", "barn owl", "red fox"]
DETAILS = {"class_labels": ["t", "b", "r"], "shots": 4, "seed": 1, "recipe": {}, "data": {}}


def features() -> Examples:
    return Examples(torch.randn(13, 64, generator=torch.Generator().manual_seed(3)), torch.arange(13) % 3)


def trained(key: str = "coop", **settings: object) -> Method:
    method = build_method(key, golden_vlm("vit_b"), NAMES, settings)
    method.prepare(Shots(features()))
    return method


@pytest.mark.parametrize("key", METHODS)
def test_every_method_round_trips_exactly(key: str, tmp_path: Path) -> None:
    method = trained(key)
    run = load_run(save_run(tmp_path / "run", method, details=DETAILS))
    files = {"adapter_config.json", "adapter_model.safetensors", "metrics.jsonl", "README.md"}
    is_matrix = method.predictor().linear is not None
    assert set(os.listdir(run.folder)) == files | ({"classifier.safetensors"} if is_matrix else set())
    vlm = golden_vlm("vit_b")
    pixels = torch.randn(13, 3, vlm.image_size, vlm.image_size, generator=torch.Generator().manual_seed(4))
    x = pixels if method.inputs.kind == "pixels" else features().images
    again = run.build(vlm)
    with torch.no_grad():
        assert torch.equal(again(x), method(x))
        assert (run.classifier is not None) == is_matrix
        if run.classifier is not None:
            assert torch.allclose(run.classifier(x), method(x), atol=1e-3)
    assert set(load_file(run.folder / "adapter_model.safetensors")) == set(method.state_dict())
    assert run.config["class_names"] == NAMES
    assert run.config["fingerprint"] == golden_vlm("vit_b").fingerprint


def test_records_and_card(tmp_path: Path) -> None:
    records = [{"epoch": 1, "loss": 0.5}]
    folder = save_run(tmp_path / "run", trained(), records=records, details=DETAILS)
    assert [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] == records
    card = (folder / "README.md").read_text()
    assert "classifier for 3 classes" in card
    assert f"{16 * 64:,} numbers were learned" in card


def test_new_class_names_for_a_shared_prompt_only(tmp_path: Path) -> None:
    vlm, names = golden_vlm("vit_b"), ["ship", "lamp"]
    method = trained(n_ctx=3)
    run = load_run(save_run(tmp_path / "shared", method, details=DETAILS))
    moved = run.build(vlm, names)
    fresh = build_method("coop", vlm, names, {"n_ctx": 3})
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(moved.class_features(), fresh.class_features())
    for number, own in enumerate((trained(n_ctx=3, class_specific=True), trained("linear-probe"))):
        bound = load_run(save_run(tmp_path / f"own{number}", own, details=DETAILS))
        with pytest.raises(RunError, match="own 3 classes .*cannot take other class names"):
            bound.build(vlm, names)


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    run = load_run(save_run(tmp_path / "run", trained(), details=DETAILS))
    with pytest.raises(RunError, match=f"fingerprint {golden_vlm('vit_b').fingerprint}; 'builtin' has"):
        run.build(load_model("builtin"))


def test_a_target_that_is_taken_is_refused_and_overwrite_replaces_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    save_run(folder, trained(n_ctx=2), details=DETAILS)
    with pytest.raises(RunError, match="already holds a run; .*overwrite=True"):
        save_run(folder, trained(n_ctx=5), details=DETAILS)
    assert load_run(folder).config["settings"]["n_ctx"] == 2
    save_run(folder, trained(n_ctx=5), details=DETAILS, overwrite=True)
    assert load_run(folder).tensors["ctx"].shape == (5, 64)
    assert os.listdir(tmp_path) == ["run"]
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="not empty and holds no run"):
            save_run(other, trained(), details=DETAILS, overwrite=overwrite)
    with pytest.raises(RunError, match="is a file"):
        save_run(other / "letter.txt", trained(), details=DETAILS)
    assert (other / "letter.txt").read_text() == "dear"


def test_a_kill_in_the_middle_of_a_replacement_is_mended(tmp_path: Path) -> None:
    folder, new, old = tmp_path / "run", tmp_path / ".run.new", tmp_path / ".run.old"
    save_run(folder, trained(n_ctx=2), details=DETAILS)
    folder.rename(old)  # killed between the two renames: the old one is aside, the new one complete
    save_run(new, trained(n_ctx=5), details=DETAILS)
    assert load_run(folder).config["settings"]["n_ctx"] == 5
    assert os.listdir(tmp_path) == ["run"]
    new.mkdir()
    (new / "adapter_model.safetensors").write_bytes(b"half")  # killed while the new one was written
    assert load_run(folder).config["settings"]["n_ctx"] == 5
    save_run(folder, trained(n_ctx=3), details=DETAILS, overwrite=True)
    assert load_run(folder).config["settings"]["n_ctx"] == 3
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_the_old_run_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    folder = tmp_path / "run"
    if overwrite:
        save_run(folder, trained(n_ctx=2), details=DETAILS)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coopt.artifacts.save.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        save_run(folder, trained(n_ctx=5), details=DETAILS, overwrite=overwrite)
    assert os.listdir(tmp_path) == (["run"] if overwrite else [])
    if overwrite:
        assert load_run(folder).config["settings"]["n_ctx"] == 2


def bind_again(folder: Path) -> None:
    """Make the files of a folder those of its configuration, as who forges a run would."""
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["files"] = {name: file_digest(folder / name) for name in config["files"] if (folder / name).is_file()}
    path.write_text(json.dumps(config))


def break_config(change: dict) -> object:
    def apply(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "adapter_model.safetensors").unlink(), r"adapter_model\.safetensors missing"),
        (lambda f: (f / "adapter_config.json").unlink(), r"adapter_config\.json missing"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "damaged or not a coopt run"),
        (lambda f: (f / "adapter_config.json").write_text('{"peft_type": "LORA"}'), "not a coopt run: KeyError"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), "tensors in .* are damaged"),
        (lambda f: (f / "classifier.safetensors").write_bytes(b"x"), "tensors in .* are damaged"),
        (break_config({"class_names": None}), "damaged: class_names must be a list"),
        (break_config({"fingerprint": 7}), "damaged: fingerprint must be a str"),
        (break_config({"method": ["coop"]}), "not a coopt run"),
        (break_config({"seed": "x"}), "seed must be a whole number, not 'x'"),
        (break_config({"class_names": ["a", "b", "c", "d"]}), "3 class_labels for 4 class_names"),
        (break_config({"class_names": list("abcd"), "class_labels": list("abcd")}), "is for 3 classes, .* names 4"),
        (break_config({"format": 9, "versions": {"coopt": "7.0"}}), r"run format 9, written by coopt 7\.0"),
        (break_config({"method": "maple9"}), "made by the method 'maple9', which coopt .* does not have"),
    ],
)
def test_a_damaged_run_says_what_is_wrong(tmp_path: Path, damage: object, message: str) -> None:
    folder = save_run(tmp_path / "run", trained(), details=DETAILS)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(RunError, match=message):
        load_run(folder)


def test_tensors_of_another_shape_and_a_missing_folder(tmp_path: Path) -> None:
    folder = save_run(tmp_path / "run", trained(n_ctx=4), details=DETAILS)
    save_file({"ctx": torch.zeros(3, 64)}, folder / "adapter_model.safetensors")
    with pytest.raises(
        RunError, match=r"adapter_model\.safetensors is not the file that adapter_config\.json was saved"
    ):
        load_run(folder)
    bind_again(folder)
    with pytest.raises(RunError, match=r"holds \{'ctx': \(3, 64\)\}; .* needs \{'ctx': \(4, 64\)\}"):
        load_run(folder).build(golden_vlm("vit_b"))
    with pytest.raises(RunError, match="There is no run folder .*nowhere"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "nowhere.partial").mkdir()
    with pytest.raises(RunError, match="unfinished: go on with `coopt fit ... --resume`"):
        load_run(tmp_path / "nowhere")
