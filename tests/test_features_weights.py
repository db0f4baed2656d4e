"""Finding, reading and fetching weights; the server is on the loopback and misbehaves on demand."""

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from dogsgan.cli import main
from dogsgan.errors import DogsganError
from dogsgan.features import weights
from dogsgan.features.weights import download, fetch_weights, find_weights, read_weights, release_of
from dogsgan.scoring import open_network

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; cuts an answer off after `cut_after` bytes, `cuts` times."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.cuts = 0
        self.cut_after = 1_000_000
        self.errors: list[int] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.paths.append(self.path)
        if server.errors:
            self.send_error(server.errors.pop(0))
            return
        body = server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            body = body[: server.cut_after]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server: Server, target: Path, sha256: str = SHA256) -> Path:
    return download(server.url, target, sha256=sha256, show_progress=False, pause_s=0.0)


def test_fetches_into_the_cache_and_only_once(server: Server, tmp_path: Path) -> None:
    first = fetch_weights("public", cache_dir=tmp_path, url=server.url, sha256=SHA256)
    assert first == tmp_path / "weights" / "pt_inception-2015-12-05-6726825d.pth"
    assert first.read_bytes() == CONTENT
    assert fetch_weights("public", cache_dir=tmp_path, url=server.url, sha256=SHA256) == first
    assert len(server.paths) == 1
    assert [file.name for file in first.parent.iterdir()] == [first.name]


def test_an_interrupted_download_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.cuts = 1
    assert fetch(server, tmp_path / "file").read_bytes() == CONTENT
    assert len(server.paths) == 2


def test_a_download_that_is_always_cut_is_one_line_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.cuts = 100
    with pytest.raises(DogsganError, match="sent a file that is cut short or another one"):
        fetch(server, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    assert len(server.paths) == 2


def test_a_wrong_hash_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match='expected "00000000'):
        fetch(server, tmp_path / "file", sha256="00000000")
    assert list(tmp_path.iterdir()) == []


def test_a_server_in_passing_trouble_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.errors = [503, 500]
    assert fetch(server, tmp_path / "file").read_bytes() == CONTENT


def test_a_missing_file_is_one_line(server: Server, tmp_path: Path) -> None:
    server.errors = [404]
    with pytest.raises(DogsganError, match="answers 404 Not Found"):
        fetch(server, tmp_path / "file")
    assert len(server.paths) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/hosts", "should start with https"),
        ("http://127.0.0.1:9/nothing", "keeps failing"),
        ("http://no-such-host.invalid/file", "cannot reach"),
    ],
)
def test_unusable_addresses(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match=message):
        download(url, tmp_path / "file", sha256="0", show_progress=False, pause_s=0.0)


def test_weights_are_found_in_the_cache_then_in_kaggle_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = weights.RELEASED["public"]
    attached = tmp_path / "input" / "my-weights" / released.file_name
    attached.parent.mkdir(parents=True)
    attached.write_bytes(b"not it")
    monkeypatch.setattr(weights, "KAGGLE_INPUT", tmp_path / "input")
    with pytest.raises(DogsganError, match="it is damaged"):
        find_weights("public", cache_dir=tmp_path / "cache")
    monkeypatch.setitem(
        weights.RELEASED,
        "public",
        weights.Release(released.file_name, "", hashlib.sha256(b"not it").hexdigest()),
    )
    assert find_weights("public", cache_dir=tmp_path / "cache") == attached
    cached = tmp_path / "cache" / "weights" / released.file_name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"not it")
    assert find_weights("public", cache_dir=tmp_path / "cache") == cached


def test_missing_weights_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "KAGGLE_INPUT", tmp_path)
    with pytest.raises(DogsganError, match="run dogsgan weights private"):
        find_weights("private", cache_dir=tmp_path)
    with pytest.raises(DogsganError, match="no weights file at"):
        find_weights("private", weights=tmp_path / "none.pth")
    with pytest.raises(DogsganError, match="choose from public, private or timm:NAME"):
        fetch_weights("stand-in", cache_dir=tmp_path)


def test_timms_own_weights_are_fetched_recorded_and_found(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Hugging Face's address, which is the loopback here."""
    monkeypatch.setenv("HF_ENDPOINT", server.url.removesuffix("/weights.pth"))
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path))
    state = timm.create_model("test_resnet").state_dict()
    save_file(state, tmp_path / "state.safetensors")
    server.content = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(DogsganError, match="run dogsgan weights timm:test_resnet where"):
        open_network("timm:test_resnet:px=64", device="cpu")
    assert main(["weights", "timm:test_resnet"]) == 0
    file = tmp_path / "weights" / "timm-test_resnet.r160_in1k.safetensors"
    assert server.paths == ["/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"]
    assert json.loads((file.parent / f"{file.name}.json").read_text()) == {
        "url": server.url.replace("/weights.pth", server.paths[0]),
        "sha256": hashlib.sha256(server.content).hexdigest(),
        "bytes": len(server.content),
    }
    assert fetch_weights("timm:test_resnet") == file
    assert len(server.paths) == 1
    network = open_network("timm:test_resnet:px=64", device="cpu")
    assert network.classifier is not None
    assert torch.equal(network.classifier.weight, state["fc.weight"])
    file.write_bytes(server.content + b"x")
    with pytest.raises(DogsganError, match="it is damaged; remove it, then run dogsgan weights timm:test"):
        open_network("timm:test_resnet", device="cpu")


def test_a_hash_in_timms_address_must_be_the_files(server: Server, tmp_path: Path) -> None:
    release = release_of("timm:resnet18")
    assert release.url.startswith("https://github.com/huggingface/pytorch-image-models/releases/")
    assert release.sha256 == "d63eafa0"
    with pytest.raises(DogsganError, match='expected "d63eafa0'):
        fetch_weights("timm:resnet18", cache_dir=tmp_path, url=server.url)
    assert not list(tmp_path.rglob("*.json"))
    with pytest.raises(DogsganError, match="no network called 'resnet0'"):
        fetch_weights("timm:resnet0", cache_dir=tmp_path)


def test_reads_both_formats(tmp_path: Path) -> None:
    state = {"a": torch.arange(3.0)}
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        assert torch.equal(read_weights(tmp_path / name)["a"], state["a"])


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def test_no_code_in_a_weights_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Hostile()}, tmp_path / "hostile.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("hostile.pth", "text.pth", "empty.pth", "text.safetensors", "list.pth"):
        with pytest.raises(DogsganError, match=name):
            read_weights(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


def test_a_download_that_cannot_be_kept_names_the_setting_that_moves_it(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(DogsganError, match="set DOGSGAN_CACHE"):
        download(server.url, tmp_path / "cache/file", sha256="0", show_progress=False, pause_s=0.0)
