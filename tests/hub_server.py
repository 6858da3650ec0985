"""A server on loopback that speaks as much of the Hugging Face Hub as fetching and committing files needs."""

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote


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
    """``GET`` and ``HEAD`` of ``/org/name/resolve/revision/file``, commits, and the Hub's errors; a context manager.

    ``repositories`` go by ``org/name``. Those in ``gated`` are refused, and the files in ``cut_short`` end before their
    announced length. ``requests`` collects what was asked for, as "METHOD path", and ``tokens`` who asked. Who may
    write has the token ``writer``; his own repositories are ``me/name``. Files of weights go to storage first (LFS),
    all others are in the commit.
    """

    writer = "hf_writer"

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.gated: set[str] = set()
        self.cut_short: set[str] = set()
        self.down = False  # answer everything with 503
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.stored: dict[str, bytes] = {}  # by SHA-256
        self.private: set[str] = set()
        self.messages: list[str] = []  # of commits
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

    def do_POST(self) -> None:
        self.write()

    def do_PUT(self) -> None:
        self.write()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def noted(self) -> bool:
        """Note the request; False, and refused, while the server is down."""
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.tokens.append(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if self.server.down:
            self.refuse(503, "Unavailable")
        return not self.server.down

    def answer(self) -> None:
        if not self.noted():
            return None
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

    def write(self) -> None:
        """Repositories made, files stored and committed."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.noted():
            return None
        path, _, query = self.path.partition("?")
        parts = path.strip("/").split("/")
        if self.command == "PUT":
            self.server.stored[parts[-1]] = content
            return self.give({})
        if self.server.tokens[-1] != self.server.writer:
            return self.refuse(401, "RepoNotFound")
        if path == "/api/validate-yaml":
            return self.give({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(content))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.give_storage(json.loads(content))
        name, action, revision = "/".join(parts[2:4]), parts[4], unquote("/".join(parts[5:]))
        repository = self.server.repositories[name]
        if revision not in repository.references:
            return self.refuse(404, "RevisionNotFound")
        if action == "preupload":
            files = [file["path"] for file in json.loads(content)["files"]]
            modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in files}
            return self.give(
                {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]}
            )
        return self.commit(name, repository, revision, content, "create_pr" in parse_qs(query))

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        if name.startswith("other/"):
            return self.refuse(403, "Forbidden")
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.server.private.add(name)
        there = name in self.server.repositories
        if not there:
            self.server.repositories[name] = Repository()
            self.server.repositories[name].commit({}, "main")
        return self.give({"url": f"{self.server.url}/{name}"}, 409 if there else 200)

    def give_storage(self, wanted: dict[str, Any]) -> None:
        objects = [
            each | {"actions": {"upload": {"href": f"{self.server.url}/storage/{each['oid']}"}}}
            for each in wanted["objects"]
        ]
        self.give({"transfer": "basic", "objects": objects})

    def commit(self, name: str, repository: Repository, revision: str, content: bytes, request: bool) -> None:
        lines = [json.loads(line) for line in content.splitlines()]
        files = dict(repository.commits[repository.references[revision]])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.server.stored[value["oid"]]
        reference = "refs/pr/1" if request else revision
        commit = repository.commit(files, reference)
        url = f"{self.server.url}/{name}"
        self.give(
            {
                "commitUrl": f"{url}/commit/{commit}",
                "commitOid": commit,
                "pullRequestUrl": f"{url}/discussions/1" if request else None,
            }
        )

    def give(self, answer: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, code: str, commit: str | None = None) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()
