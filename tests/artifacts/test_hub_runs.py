"""Runs on the hub: shared, fetched and used through a fake of the hub's API, which also fails in its ways."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from coopt import PromptClassifier, PromptRegressor
from coopt.artifacts import load_run, push_run, save_run
from coopt.errors import ConfigError, RunError
from coopt.methods import Method, build_method
from coopt.models import load_model
from tests.hub import TOKEN, Hub, hub_server

NAMES = ["tea", "barn owl", "red fox"]


def trained(seed: int = 1) -> Method:
    torch.manual_seed(seed)
    return build_method("coop", load_model("builtin"), NAMES, {"n_ctx": 3})


def saved(folder: Path, seed: int = 1) -> Path:
    figures = {
        "accuracy": 81.25,
        "accuracy_low": 70.5,
        "accuracy_high": 89.0,
        "macro_f1": 80.0,
        "calibration_error": 4.5,
    }
    details = {
        "class_labels": ["t", "b", "r"],
        "shots": 4,
        "seed": 1,
        "recipe": {},
        "data": {"source": "birds", "n_train": 12, "n_val": 0, "split": "coopt: stratified"},
    }
    records = [{"data": "test", "n_images": 60, **figures}]
    return save_run(folder, trained(seed), records=records, details=details)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    with hub_server(monkeypatch, tmp_path / "cache") as server:
        yield server


def test_shared_and_fetched(hub: Hub, tmp_path: Path) -> None:
    folder = saved(tmp_path / "runs" / "birds")
    (folder / "notes.txt").write_text("mine")
    address = push_run(folder, "me/birds", token=TOKEN)
    (number,) = {hub.branches["me/birds"]["main"]}
    assert address.endswith(f"/me/birds/commit/{number}")
    shared = hub.repositories["me/birds"][number]
    assert sorted(shared) == sorted([".gitattributes", *(f.name for f in folder.iterdir() if f.name != "notes.txt")])
    run = load_run("me/birds")
    assert torch.equal(run.tensors["ctx"], trained().ctx)
    assert run.folder.name == number and run.class_names == NAMES
    asked = len(hub.asked)
    assert load_run("hf:me/birds").config == run.config
    assert not any("resolve" in line for line in hub.asked[asked:])  # from the cache


def test_the_card(hub: Hub, tmp_path: Path) -> None:
    push_run(saved(tmp_path / "birds"), "me/birds", token=TOKEN)
    from huggingface_hub import ModelCard

    card = ModelCard((load_run("me/birds").folder / "README.md").read_text())
    assert card.data.library_name == "coopt" and card.data.tags[0] == "coopt" and card.data.base_model is None
    results = [(result.dataset_name, result.metric_type, result.metric_value) for result in card.data.eval_results]
    assert results == [("test", "accuracy", 81.25), ("test", "macro_f1", 80.0), ("test", "calibration_error", 4.5)]
    for part in (
        "| licence of the base model | mit |",
        "| data | birds, 12 training images, split by coopt: stratified |",
        "81.2% (95% interval 70.5% to 89.0%)",
        "## Words",
        "coopt predict me/birds IMAGES",
        'PromptClassifier.from_pretrained("me/birds")',
    ):
        assert part in card.content, part


def test_a_revision(hub: Hub, tmp_path: Path) -> None:
    first = hub.commit_folder("me/birds", saved(tmp_path / "one"))
    hub.commit_folder("me/birds", saved(tmp_path / "two", seed=2))
    hub.commit_folder("me/birds", saved(tmp_path / "three", seed=3), "tuned")
    for revision, seed in ((None, 2), ("main", 2), (first, 1), ("tuned", 3)):
        assert torch.equal(load_run("me/birds", revision=revision).tensors["ctx"], trained(seed).ctx)
    with pytest.raises(RunError, match="the run 'me/birds' has no revision 'v9'"):
        load_run("me/birds", revision="v9")
    with pytest.raises(RunError, match="revision is 'v9', for a run on the hub .OWNER/NAME., not with a folder"):
        load_run(tmp_path / "one", revision="v9")


def test_a_local_folder_is_never_looked_for_on_the_hub(hub: Hub, tmp_path: Path) -> None:
    saved(tmp_path / "me" / "birds")
    hub.commit_folder("me/birds", saved(tmp_path / "other", seed=2))
    assert torch.equal(load_run("me/birds").tensors["ctx"], trained().ctx)
    for place in ("me/brids", "./me/brids", tmp_path / "none", "a/b/c", "birds", "runs/none"):
        with pytest.raises(RunError, match="There is no run folder"):
            load_run(place)
    assert hub.asked == []
    assert torch.equal(load_run("hf:me/birds").tensors["ctx"], trained(2).ctx)


def test_offline_takes_the_cache_and_asks_nothing(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit_folder("me/birds", saved(tmp_path / "one"))
    load_run("me/birds")
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_run("me/birds").class_names == NAMES
    with pytest.raises(RunError, match="the run 'me/fish' is not in this machine's .* offline mode is on"):
        load_run("me/fish")
    with pytest.raises(RunError, match="Offline mode is on .HF_HUB_OFFLINE.; sharing a run needs the network"):
        push_run(tmp_path / "one", "me/birds")
    assert hub.asked == []


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_hub_that_refuses_a_fetch(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.commit_folder("me/birds", saved(tmp_path / "one"))
    hub.refuse = {"/api/models": status}
    messages = {
        401: "asks for a login for 'me/birds', or refuses yours: .*401.*Log in with `hf auth login`, or check HF_TOKEN",
        403: "could not be reached|403",
        404: "could not be reached|there is no run",
        500: "the run 'me/birds' is not in this machine's Hugging Face cache, and the Hugging Face hub .* could not be",
    }
    with pytest.raises(RunError, match=messages[status]):
        load_run("me/birds")
    hub.refuse = {}
    load_run("me/birds")
    hub.refuse = {"/api/models": status}
    assert load_run("me/birds").class_names == NAMES  # the cache has it, whatever the hub says


def test_a_private_run_needs_a_login(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit_folder("me/birds", saved(tmp_path / "one"))
    hub.private.add("me/birds")
    with pytest.raises(RunError, match="or it is private: log in with `hf auth login`"):
        load_run("me/birds")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert load_run("me/birds").class_names == NAMES


def test_a_fetch_that_stops_in_the_middle(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit_folder("me/birds", saved(tmp_path / "one"))
    hub.cut = {"adapter_model.safetensors": 100}
    with pytest.raises(RunError, match="the run 'me/birds' is not in this machine's Hugging Face cache, and the .*hub"):
        load_run("me/birds")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RunError, match="offline mode is on|is not a complete run"):
        load_run("me/birds")  # half a run is no run
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    hub.cut = {}
    assert torch.equal(load_run("me/birds").tensors["ctx"], trained().ctx)


def test_what_is_no_run(hub: Hub) -> None:
    hub.commit("me/model", {"README.md": b"# a model", "config.json": b"{}"})
    with pytest.raises(RunError, match="me/model on the hub is not a complete run: adapter_config.json, adapter_model"):
        load_run("me/model")


@pytest.mark.parametrize(("refuse", "message"), [
    ({"repos/create": 401}, "did not take the run as 'me/birds': .*Log in with `hf auth login`"),
    ({"repos/create": 403}, "choose a name under your own account"),
    ({"/preupload/": 404}, "Check the name and, if you gave one, that the branch exists"),
    ({"/commit/": 500}, "nothing of the run was shared"),
])  # fmt: skip
def test_a_hub_that_refuses_a_run(hub: Hub, tmp_path: Path, refuse: dict, message: str) -> None:
    hub.refuse = refuse
    with pytest.raises(RunError, match=message):
        push_run(saved(tmp_path / "one"), "me/birds", token=TOKEN)
    assert all(list(files) == [".gitattributes"] for commits in hub.repositories.values() for files in commits.values())


def test_without_a_login_nothing_is_shared(hub: Hub, tmp_path: Path) -> None:
    folder = saved(tmp_path / "one")
    with pytest.raises(RunError, match="did not take the run .*Log in with `hf auth login`, or give a token"):
        push_run(folder, "me/birds")
    with pytest.raises(ConfigError, match="repo_id is 'birds'; give OWNER/NAME"):
        push_run(folder, "birds", token=TOKEN)
    with pytest.raises(RunError, match="There is no run folder"):
        push_run(tmp_path / "none", "me/birds", token=TOKEN)
    assert hub.repositories == {}


def test_paths_of_this_machine_are_not_shared(hub: Hub, tmp_path: Path) -> None:
    from tests.goldens.golden import golden_vlm

    vlm = golden_vlm("vit_b")
    secret = tmp_path / "secret" / "model.safetensors"
    secret.parent.mkdir()
    secret.touch()
    name, vlm.name = vlm.name, str(secret)
    try:
        folder = save_run(tmp_path / "run", build_method("coop", vlm, NAMES, {}), details={"class_labels": NAMES})
    finally:
        vlm.name = name
    with pytest.warns(UserWarning, match="which only this machine has; the shared run names it 'model.safetensors'"):
        push_run(folder, "me/birds", token=TOKEN)
    run = load_run("me/birds")
    assert run.config["base_model_name_or_path"] == "model.safetensors"
    assert "secret" not in "".join(f.read_text(errors="ignore") for f in run.folder.iterdir())
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(secret)


def test_the_address_of_a_hub_in_the_environment(hub: Hub, tmp_path: Path) -> None:
    """As a user names a mirror: HF_ENDPOINT, read when the process starts."""
    hub.commit_folder("me/birds", saved(tmp_path / "one"))
    here = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
    }
    code = "from coopt.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "words", "me/birds", "--json"],
        env={**os.environ, **here},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])["words"]) == 3
    assert any(line.endswith("adapter_model.safetensors") for line in hub.asked)


@pytest.mark.parametrize("kind", [PromptClassifier, PromptRegressor])
def test_the_names_of_other_libraries(hub: Hub, tmp_path: Path, kind: type) -> None:
    is_classifier = kind is PromptClassifier
    options = {} if is_classifier else {"method": "ordinalclip"}
    images = [Image.new("RGB", (20, 20), (40 * i, 0, 0)) for i in range(6)]
    learned = kind(model="builtin", shots=2, epochs=1, **options).fit(
        images, (["tea", "owl", "fox"] if is_classifier else [1, 2, 3]) * 2
    )
    learned.save_pretrained("one", push_to_hub=True, repo_id="me/one", token=TOKEN)
    again = kind.from_pretrained("me/one", revision="main")
    assert again.predict(images).tolist() == learned.predict(images).tolist()
    again.push_to_hub("me/two", token=TOKEN)
    assert kind.from_pretrained("me/two").predict(images).tolist() == learned.predict(images).tolist()
    with pytest.raises(ConfigError, match="repo_id is ''; give OWNER/NAME"):
        learned.save_pretrained("three", push_to_hub=True)
