"""Downloading a published checkpoint: from a server on this machine that can cut off, lie and go away."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from coopt.errors import ModelError
from coopt.models import list_models, load_model, openai_weights
from coopt.models.openai_weights import PUBLISHED, Published, cached_path, fetch_published
from tests.models.test_models_openai import state_dict
from tests.serving import CONTENT, Server, serving

NAME = "ViT-B/32"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    with serving() as served:
        monkeypatch.setenv("COOPT_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(openai_weights, "ADDRESS", f"http://127.0.0.1:{served.server_port}")
        publish(served, CONTENT, monkeypatch)
        yield served


def publish(server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files = {"ViT-B-32.pt": content}
    checked = Published(hashlib.sha256(content).hexdigest(), "ViT-B-32.pt", 32, 32, 1)
    monkeypatch.setitem(PUBLISHED, NAME, checked)


def test_a_checkpoint_is_downloaded_once(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.save({key: value.half() for key, value in state_dict("vit_a").items()}, tmp_path / "x.pt")
    publish(server, (tmp_path / "x.pt").read_bytes(), monkeypatch)
    vlm = load_model(NAME, offline=False)
    assert vlm.revision == PUBLISHED[NAME].sha256 and vlm.source == "openai"
    assert server.requests == [("GET", f"/{PUBLISHED[NAME].sha256}/ViT-B-32.pt", None)]
    # The second time needs no network, and neither do two names side by side.
    assert load_model(NAME, offline=True).fingerprint == vlm.fingerprint
    assert len(server.requests) == 1
    assert {model.name: model for model in list_models()}[NAME].on_this_machine
    assert cached_path(NAME) == tmp_path / "cache" / "openai" / "ViT-B-32.pt"


def test_a_download_that_was_cut_off_goes_on(server: Server) -> None:
    server.cuts = [100_000, 0]
    with pytest.raises(ModelError, match=r"closed after 100,000 of 256,000 bytes.*goes on from there"):
        fetch_published(NAME, offline=False)
    assert not cached_path(NAME).exists()
    path, _ = fetch_published(NAME, offline=False)
    assert path.read_bytes() == CONTENT
    assert [asked for _, _, asked in server.requests] == [None, "bytes=100000-", "bytes=100000-"]
    assert not path.with_name("ViT-B-32.pt.part").exists()


def test_the_caller_is_told_of_the_bytes(server: Server, capfd: pytest.CaptureFixture) -> None:
    told: list[tuple[int, int]] = []
    with pytest.raises(ModelError, match="ViT-B-32.pt"):  # what arrives is no checkpoint
        load_model(NAME, offline=False, progress=lambda *bytes: told.append(bytes))
    assert told[-1] == (256_000, 256_000)
    assert capfd.readouterr() == ("", "")


def test_a_download_that_only_lacked_its_check_is_taken(server: Server) -> None:
    part = cached_path(NAME).with_name("ViT-B-32.pt.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch_published(NAME, offline=False)[0].read_bytes() == CONTENT


def test_another_content_is_removed_and_never_used(server: Server) -> None:
    server.files["ViT-B-32.pt"] = b"x" + CONTENT[1:]
    with pytest.raises(ModelError, match=f"not the published {PUBLISHED[NAME].sha256}; the file was removed"):
        load_model(NAME, offline=False)
    assert [path.name for path in cached_path(NAME).parent.iterdir()] == ["ViT-B-32.pt.lock"]


def test_a_damaged_file_in_the_cache_is_put_aside(server: Server) -> None:
    path, _ = fetch_published(NAME, offline=False)
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"does not have the published checksum.*moved to .*\.damaged'"):
        load_model(NAME, offline=True)
    assert path.with_name("ViT-B-32.pt.damaged").read_bytes() == b"damaged" and not path.exists()
    path.write_bytes(b"damaged again")
    assert fetch_published(NAME, offline=False)[0].read_bytes() == CONTENT


def test_no_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"offline mode is on.*'builtin'"):
        load_model(NAME)  # HF_HUB_OFFLINE is set in tests
    assert server.requests == []
    monkeypatch.setattr(openai_weights, "ADDRESS", "http://127.0.0.1:9")  # the port that discards: nobody listens
    with pytest.raises(ModelError, match=r"http://127.0.0.1:9/.* could not be reached .*refused.*'builtin'"):
        load_model(NAME, offline=False)


def test_published_addresses() -> None:
    assert len(PUBLISHED) == 9
    for name, published in PUBLISHED.items():
        assert len(published.sha256) == 64 and int(published.sha256, 16)
        assert published.url == f"{openai_weights.ADDRESS}/{published.sha256}/{published.file_name}"
        assert published.file_name == name.replace("/", "-").replace("@", "-") + ".pt"
