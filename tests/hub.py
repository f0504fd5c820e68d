"""A server on this machine that speaks as much of the Hugging Face hub's API as sharing and fetching a run needs."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_right"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with commits by id and branches; `refuse` and `cut` make it fail."""

    repositories: dict[str, dict[str, dict[str, bytes]]]
    """Name to commit to file to content."""
    branches: dict[str, dict[str, str]]
    refuse: dict[str, int]
    """A part of a path to the status that it is answered with."""
    cut: dict[str, int]
    """A file to the bytes that are sent of it before the connection is closed."""
    asked: list[str]
    private: set[str]
    """Repositories that ask for the token."""

    def commit(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch."""
        commits, branches = self.repositories.setdefault(name, {}), self.branches.setdefault(name, {})
        before = commits.get(branches.get(branch, ""), {})
        number = hashlib.sha1(f"{name} {branch} {len(commits)}".encode()).hexdigest()
        commits[number] = {**before, **files}
        branches[branch] = number
        return number

    def commit_folder(self, name: str, folder: Path, branch: str = "main") -> str:
        """Add the files of a folder."""
        return self.commit(name, {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}, branch)


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, body: bytes) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        for part, status in self.server.refuse.items():
            if part in path:
                return self.error(status, "")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        found = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+?)(?:/(revision|tree|preupload|commit)/(.+))?", path)
        if found:
            return self.api(found[1], found[2] or "revision", found[3] or "main", body)
        found = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path)
        if found:
            return self.file(*found.groups())
        return self.error(404, "")

    def api(self, name: str, what: str, revision: str, body: bytes) -> None:
        files = self.files(name, revision)
        if files is None:
            return None
        number, content = files
        if what == "revision":
            siblings = [{"rfilename": file} for file in content]
            return self.json(
                {"id": name, "modelId": name, "sha": number, "siblings": siblings, "private": False, "tags": []}
            )
        if what == "tree":
            entries = [
                {"type": "file", "path": file, "size": len(value), "oid": hashlib.sha1(value).hexdigest()}
                for file, value in content.items()
            ]
            return self.json(entries)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.error(401, "")
        if what == "preupload":
            asked = json.loads(body)["files"]
            return self.json(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
            )
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        new = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        number = self.server.commit(name, new, revision)
        address = f"http://127.0.0.1:{self.server.server_port}/{name}/commit/{number}"
        return self.json({"success": True, "commitOid": number, "commitUrl": address, "hookOutput": ""})

    def files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit and its files; None where an error was answered."""
        known = name in self.server.repositories
        if not known or (name in self.server.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            return self.error(401, "RepoNotFound")
        number = self.server.branches[name].get(revision, revision)
        if number not in self.server.repositories[name]:
            return self.error(404, "RevisionNotFound")
        return number, self.server.repositories[name][number]

    def create(self, asked: dict[str, Any]) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.error(401, "")
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repositories:
            return self.error(409, "")
        self.server.commit(name, {".gitattributes": b""})
        return self.json({"url": f"http://127.0.0.1:{self.server.server_port}/{name}"})

    def file(self, name: str, revision: str, file: str) -> None:
        files = self.files(name, revision)
        if files is None:
            return None
        number, content = files
        if file not in content:
            return self.error(404, "EntryNotFound")
        value = content[file]
        self.send_response(200)
        self.send_header("Content-Length", str(len(value)))
        self.send_header("ETag", f'"{hashlib.sha1(value).hexdigest()}"')
        self.send_header("X-Repo-Commit", number)
        self.end_headers()
        if self.command == "GET":
            cut = self.server.cut.get(file)
            self.wfile.write(value[:cut])
            if cut is not None:
                self.close_connection = True
                self.connection.close()
        return None

    def json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def error(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def hub_server(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """A hub that the client talks to, with an empty cache and no login."""
    server = Hub(("127.0.0.1", 0), Handler)
    server.repositories, server.branches, server.refuse, server.cut = {}, {}, {}, {}
    server.asked, server.private = [], set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for name, value in {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(cache),
        "HF_TOKEN_PATH": str(cache / "no-token"),
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between its attempts
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
