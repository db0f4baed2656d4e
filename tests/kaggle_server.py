"""Kaggle on the loopback: answers the official client as Kaggle does, and misbehaves on demand.

The client talks to http://localhost when KAGGLE_API_ENVIRONMENT is LOCALHOST. The server is the HTTP proxy of
the test's environment, so that the client runs unchanged against any free port.
"""

import base64
import gzip
import http.server
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dogsgan import cli
from dogsgan.kernel.kaggle.client import require_client

TOKEN = "KGAT_0123456789abcdef0123456789abcdef"
USER = "ann"
KEY = "fedcba9876543210fedcba9876543210"
ACCEPTED = (f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode())
KERNEL = "ann/dogs-sagan"


@dataclass
class Reply:
    """An answer: JSON unless `content_type` says otherwise, cut off after `cut_after` bytes."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut_after: int | None = None
    delay_s: float = 0.0

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def refusal(status: int, message: str, **headers: str) -> Reply:
    """What Kaggle sends with an error status."""
    return Reply({"code": status, "message": message}, status, headers)


def log_of(*pieces: str) -> str:
    """A stored log, as Kaggle keeps it."""
    return json.dumps([{"stream_name": "stdout", "time": i, "data": piece} for i, piece in enumerate(pieces)])


class KaggleServer(http.server.ThreadingHTTPServer):
    """One account with one kernel; `replies` holds answers that come first, by the call's name, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, Any], str]] = []
        """Name of each call, its body, its Authorization header."""
        self.replies: dict[str, list[Reply]] = {}
        self.version = 3
        self.statuses = ["COMPLETE"]
        """What is answered in turn; the last one for ever."""
        self.failure_message = ""
        self.log = log_of("hello\n", "a zip of 10,000 pictures\n")
        self.stream: list[str] = []
        """What the live stream sends; empty for the stored log."""
        self.files: dict[str, bytes] = {}
        self.page_size = 2
        self.gpu_used_s, self.gpu_allowed_s = 3600, 30 * 3600
        self.invalid: dict[str, list[str]] = {}
        self.submissions: list[dict[str, Any]] = []
        self.pending = 1
        """How often a new submission is listed before it has a score."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def called(self, name: str) -> list[dict[str, Any]]:
        """The bodies of all calls of that name."""
        return [body for call, body, _ in self.requests if call == name]

    def answer(self, name: str, body: dict[str, Any], authorization: str) -> Reply:
        self.requests.append((name, body, authorization))
        if self.replies.get(name):
            return self.replies[name].pop(0)
        if name.startswith("file:"):
            content = self.files.get(name.removeprefix("file:"))
            return Reply("gone", 404) if content is None else Reply(content, content_type="image/any")
        if name != "IntrospectToken" and authorization not in ACCEPTED:
            return refusal(401, "Unauthenticated")
        asked = (body.get("userName", USER), body.get("kernelSlug", "dogs-sagan"))
        if "/".join(asked) != KERNEL:
            return refusal(403, "Permission 'kernels.get' was denied")
        return getattr(self, name)(body)

    def IntrospectToken(self, body: dict[str, Any]) -> Reply:
        active = body.get("token") == TOKEN
        return Reply({"active": active, "username": USER if active else ""})

    def GetAcceleratorQuotaStatistics(self, body: dict[str, Any]) -> Reply:
        gpu = {"timeUsed": f"{self.gpu_used_s}s", "totalTimeAllowed": f"{self.gpu_allowed_s}s"}
        return Reply({"quotaRefreshTime": "2026-11-28T00:00:00Z", "gpuQuota": gpu})

    def SaveKernel(self, body: dict[str, Any]) -> Reply:
        self.version += 1
        ref = f"/code/{body['slug']}"
        url = f"https://www.kaggle.com{ref}"
        return Reply({"ref": ref, "url": url, "versionNumber": self.version, **self.invalid})

    def GetKernel(self, body: dict[str, Any]) -> Reply:
        metadata = {"ref": KERNEL, "title": "Dogs SAGAN", "currentVersionNumber": self.version}
        return Reply({"metadata": metadata, "blob": {"source": "print()", "slug": "dogs-sagan"}})

    def GetKernelSessionStatus(self, body: dict[str, Any]) -> Reply:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return Reply({"status": status, "failureMessage": self.failure_message})

    def ListKernelSessionOutput(self, body: dict[str, Any]) -> Reply:
        start = int(body.get("pageToken") or 0)
        names = list(self.files)
        page = names[start : start + self.page_size]
        more = start + self.page_size < len(names)
        files = [{"fileName": name, "url": f"{self.url}/signed/{name}?Signature=s3cr3t"} for name in page]
        answer = {
            "files": files,
            "log": self.log,
            "nextPageToken": str(start + self.page_size) if more else "",
        }
        return Reply(answer)

    def stream_of_log(self, body: dict[str, Any]) -> Reply:
        if not self.stream:
            return Reply(self.log, content_type="text/plain")
        events = [f"data: {json.dumps({'data': piece})}\n\n" for piece in self.stream]
        return Reply("".join(events) + "data: END_OF_LOG\n\n", content_type="text/event-stream")

    def CreateCodeSubmission(self, body: dict[str, Any]) -> Reply:
        if body["kernelVersion"] > self.version:
            return refusal(404, "Could not find provided notebook")
        new = {"ref": 70 + len(self.submissions), "description": body.get("submissionDescription")}
        self.submissions.insert(0, {**new, "status": "PENDING", "publicScore": "", "privateScore": ""})
        return Reply({"message": "Successfully submitted to Generative Dog Images", "ref": new["ref"]})

    def ListSubmissions(self, body: dict[str, Any]) -> Reply:
        listed = [dict(submission) for submission in self.submissions]
        if self.pending:
            self.pending -= 1
        else:
            for submission in self.submissions:
                submission.update(status="COMPLETE", publicScore="61.5", privateScore="120.25")
            listed = self.submissions
        return Reply({"submissions": listed})


class Handler(http.server.BaseHTTPRequestHandler):
    server: KaggleServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self.reply(urlsplit(self.path).path.rpartition("/")[2], body)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if "/signed/" in path:
            self.reply(f"file:{path.partition('/signed/')[2]}", {})
        else:
            owner, slug = path.split("/")[-2:]
            self.reply("stream_of_log", {"userName": owner, "kernelSlug": slug})

    def reply(self, name: str, body: dict[str, Any]) -> None:
        reply = self.server.answer(name, body, self.headers.get("Authorization", ""))
        if reply.delay_s:  # a test may have its own `sleep`
            time.sleep(reply.delay_s)
        content = reply.content()
        self.send_response(reply.status)
        if name.startswith("file:") and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content)
            reply.headers["Content-Encoding"] = "gzip"
        headers = {"Content-Type": reply.content_type, "Content-Length": str(len(content)), **reply.headers}
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content[: reply.cut_after])
        self.close_connection = reply.cut_after is not None or self.close_connection

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def running_server() -> Iterator[KaggleServer]:
    with KaggleServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def environment(server: KaggleServer, home: Path, *, token: str | None = TOKEN) -> dict[str, str]:
    """What a process needs to take `server` for Kaggle."""
    variables = {name: value for name, value in os.environ.items() if not _is_in_the_way(name)}
    variables |= {
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home / "kaggle"),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "http_proxy": server.url,
        "no_proxy": "127.0.0.1",
    }
    return variables if token is None else {**variables, "KAGGLE_API_TOKEN": token}


def _is_in_the_way(name: str) -> bool:
    return name.startswith("KAGGLE_") or name.lower().endswith("_proxy")


@pytest.fixture
def kaggle_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A server that this process takes for Kaggle, with good credentials and no pauses."""
    home = tmp_path / "home"
    (home / "kaggle").mkdir(parents=True)
    with running_server() as server:
        for name in list(os.environ):
            if _is_in_the_way(name):
                monkeypatch.delenv(name)
        for name, value in environment(server, home).items():
            monkeypatch.setenv(name, value)
        require_client()
        server.requests.clear()  # its own login, as it is imported
        from kaggle.api.kaggle_api_extended import KaggleApi

        from dogsgan.kernel.kaggle import output, push

        monkeypatch.setattr(KaggleApi, "args", ["--local"])  # what the client reads on its first import
        monkeypatch.setattr(KaggleApi, "config_dir", str(home / "kaggle"))
        monkeypatch.setattr(KaggleApi, "config", str(home / "kaggle" / "kaggle.json"))
        monkeypatch.setattr(push, "POLL_S", 0.01)
        monkeypatch.setattr(output, "POLL_S", 0.01)
        yield server


@pytest.fixture
def folder_fixture(tmp_path: Path) -> Path:
    """A built kernel: its metadata and one code file."""
    return built_kernel(tmp_path / "kernel")


def built_kernel(folder: Path, **changed: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text("print('hello')\n" * 100)
    fields = {
        "id": KERNEL,
        "title": "Dogs SAGAN",
        "code_file": "main.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": False,
        "machine_shape": "NvidiaTeslaT4",
        "competition_sources": ["generative-dog-images"],
    }
    (folder / "kernel-metadata.json").write_text(json.dumps({**fields, **changed}))
    return folder


@pytest.fixture
def run_fixture() -> Callable[..., int]:
    """Run one of the commands as `dogsgan kernel …` does; return its exit status."""

    def run(*arguments: object) -> int:
        return cli.main(["kernel", *map(str, arguments)])

    return run
