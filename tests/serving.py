"""A server on this machine that cuts off, lies and goes away."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 1000
COMMIT = "c" * 40


class Server(ThreadingHTTPServer):
    """Serves files by name, plainly and as the Hugging Face hub does; keeps what was asked for."""

    files: dict[str, bytes]
    cuts: list[int]
    """How many bytes to send before closing, one for each next request."""
    ranges = True
    shift = 0
    """How far from where it was asked to a resumed answer starts, as a broken site does."""
    sha256: str | None = None
    requests: list[tuple[str, str, str | None]]


class Handler(BaseHTTPRequestHandler):
    """Answers as far as `Server` lets it."""

    server: Server

    def do_HEAD(self) -> None:
        self.answer(send=False)

    def do_GET(self) -> None:
        self.answer(send=True)

    def answer(self, send: bool) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        requested = self.headers.get("Range") if self.server.ranges else None
        self.server.requests.append((self.command, self.path, requested))
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        start = int(re.match(r"bytes=(\d+)-", requested)[1]) if requested else 0
        if requested and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if requested else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if requested:
            start += self.server.shift
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{self.server.sha256 or hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if send:
            self.wfile.write(content[start:][: self.server.cuts.pop(0) if self.server.cuts else None])

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs for the length of a block."""
    served = Server(("127.0.0.1", 0), Handler)
    served.files, served.cuts, served.requests = {"set.tar": CONTENT}, [], []
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()
