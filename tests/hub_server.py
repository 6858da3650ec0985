"""A server on loopback that speaks as much of the Hugging Face Hub as fetching a file of a repository needs."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote


@dataclass
class Repository:
    """Its files by commit (40 hexadecimal digits), and the branches and tags that name commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], *references: str) -> str:
        """Add a commit that holds ``files`` and let ``references`` name it; returns its hash."""
        name = hashlib.sha1(repr((sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[name] = files
        self.references |= dict.fromkeys(references, name)
        return name


class HubServer(ThreadingHTTPServer):
    """``GET`` and ``HEAD`` of ``/org/name/resolve/revision/file``, and the Hub's errors; a context manager.

    ``repositories`` go by ``org/name``. Those in ``gated`` are refused, and the files in ``cut_short`` end before their
    announced length. ``requests`` collects what was asked for, as "METHOD path".
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.gated: set[str] = set()
        self.cut_short: set[str] = set()
        self.down = False  # answer everything with 503
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening: from here on a connection is refused."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def answer(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.down:
            return self.refuse(503, "Unavailable")
        parts = self.path.partition("?")[0].strip("/").split("/")
        if len(parts) < 5 or parts[2] != "resolve":
            return self.refuse(404, "NotFound")
        name, revision, filename = "/".join(parts[:2]), unquote(parts[3]), unquote("/".join(parts[4:]))
        if name in self.server.gated:
            return self.refuse(403, "GatedRepo")
        repository = self.server.repositories.get(name)
        if repository is None:
            return self.refuse(401, "RepoNotFound")  # as the Hub answers who is not logged in
        commit = repository.references.get(revision, revision)
        if commit not in repository.commits:
            return self.refuse(404, "RevisionNotFound")
        content = repository.commits[commit].get(filename)
        if content is None:
            return self.refuse(404, "EntryNotFound", commit)
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if filename in self.server.cut_short else content)
        return None

    def refuse(self, status: int, code: str, commit: str | None = None) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()
