"""The official client against Kaggle on the loopback: login, refusals, secrets, dry runs."""

import base64
import json
import os
import subprocess
import sys

import kaggle_server
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaggle_server import KERNEL, KEY, TOKEN, Reply, environment, refusal, running_server

from dogsgan.errors import DogsganError
from dogsgan.kernel.folder import parse_ref
from dogsgan.kernel.kaggle.client import STATUSES, Kaggle, redacted
from dogsgan.kernel.kaggle.push import plan_push, push

kaggle = kaggle_server.kaggle_fixture
folder = kaggle_server.folder_fixture
run = kaggle_server.run_fixture
REF = parse_ref(KERNEL)


def test_logs_in_with_a_token(kaggle):
    assert Kaggle.connect().username == "ann"
    assert [call for call, _, _ in kaggle.requests] == ["IntrospectToken"]


def test_logs_in_with_a_token_file_and_sends_it_along(kaggle, monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (tmp_path / "home" / ".kaggle").mkdir()
    (tmp_path / "home" / ".kaggle" / "access_token").write_text(TOKEN + "\n")
    assert Kaggle.connect().status(REF) == ("complete", "")
    assert kaggle.requests[-1][2] == f"Bearer {TOKEN}"


def test_missing_credentials_are_one_line_that_says_where_to_get_them(
    kaggle, monkeypatch, run, folder, capsys
):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert run("push", folder) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: no Kaggle credentials were found")
    assert "https://www.kaggle.com/settings/api" in line
    assert kaggle.requests == []


def test_a_token_that_is_not_accepted_is_told_from_none(kaggle, monkeypatch, run, folder, capsys):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_expired_long_ago")
    assert run("push", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "accepts none of the credentials that were found" in line


def test_an_api_key_serves_as_well_and_the_client_s_own_words_stay_off_stdout(
    kaggle, monkeypatch, tmp_path, run, capsys
):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    path = tmp_path / "home/kaggle/kaggle.json"
    path.write_text(json.dumps({"username": "ann", "key": KEY}))
    path.chmod(0o644)
    assert run("status", KERNEL, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == "complete"
    assert "the kaggle client: Warning: Your Kaggle API key is readable by other users" in captured.err


def test_a_wrong_api_key_is_refused_in_one_line(kaggle, monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (tmp_path / "home/kaggle/kaggle.json").write_text('{"username": "ann", "key": "0123456789abcdef"}')
    with pytest.raises(DogsganError, match="does not accept the credentials"):
        Kaggle.connect().status(REF)


def test_every_state_that_the_client_knows_has_a_name():
    enums = pytest.importorskip("kagglesdk.kernels.types.kernels_enums")
    assert {state.name for state in enums.KernelWorkerStatus} == STATUSES.keys()


@pytest.mark.parametrize("missing", ["kaggle", "requests", "kagglesdk"])
def test_without_the_client_the_extra_is_named(missing, folder):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from pathlib import Path\n"
        "from dogsgan.kernel.kaggle.push import push\n"
        "from dogsgan.errors import DogsganError\n"
        f"try: push(Path({str(folder)!r}))\n"
        "except DogsganError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'dogsgan[kaggle]'" in done.stdout
    assert len(done.stdout.splitlines()) == 1


REFUSALS = [
    (refusal(401, "Unauthenticated"), "does not accept the credentials", 1),
    (refusal(403, "Permission 'kernels.get' was denied"), "the name in the address of the kernel's page", 1),
    (refusal(404, "Not found"), "404: Not found", 1),
    (refusal(400, "Bad\nRequest"), "400: Bad Request", 1),
    (Reply({"code": 403, "message": "no"}), "403: no", 1),
    (Reply("<html>Sign in</html>", content_type="text/html"), "is not JSON", 1),
    (Reply("{broken"), "is not JSON", 1),
    (Reply({"status": "ON_FIRE"}), "update it with pip", 1),
    (Reply("7"), "update it with pip", 1),
    (refusal(429, "Too many requests"), "wants fewer requests", 1),
    (Reply("<html>", 502, content_type="text/html"), "in trouble", 1),
    (refusal(503, "Unavailable"), "in trouble .*503: Unavailable", 1),
    (refusal(429, "Too many requests", **{"Retry-After": "3600"}), "wants fewer requests", 1),
    (Reply({}, cut_after=0, headers={"Content-Length": "400"}), "cannot reach Kaggle", 1),
]


@pytest.mark.parametrize(("reply", "message", "calls"), REFUSALS)
def test_every_refusal_is_one_line(kaggle, reply, message, calls):
    session = Kaggle.connect()
    kaggle.replies["GetKernelSessionStatus"] = [reply] * calls
    with pytest.raises(DogsganError, match=message) as raised:
        session.status(REF)
    assert "\n" not in str(raised.value)
    assert len(kaggle.called("GetKernelSessionStatus")) == calls


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_push_is_never_repeated(kaggle, folder, status):
    kaggle.replies["SaveKernel"] = [refusal(status, "no")]
    with pytest.raises(DogsganError, match=r"run(ning)? the command again"):
        push(folder)
    assert len(kaggle.called("SaveKernel")) == 1


def test_a_push_that_breaks_off_may_have_arrived(kaggle, folder):
    kaggle.replies["SaveKernel"] = [Reply({}, cut_after=0, headers={"Content-Length": "400"})]
    with pytest.raises(DogsganError, match=r"may have arrived all the same, look at https://www\.kaggle"):
        push(folder)
    assert len(kaggle.called("SaveKernel")) == 1


def test_no_network_is_one_line(kaggle, monkeypatch, run, folder, capsys):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert run("push", folder) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "error: cannot reach Kaggle to log in: check the network, then run the command again"


def test_an_unwritable_settings_folder_is_one_line(tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    code = (
        "from pathlib import Path\n"
        "from dogsgan.kernel.kaggle.push import push\n"
        "from dogsgan.errors import DogsganError\n"
        f"try: push(Path({str(folder)!r}))\n"
        "except DogsganError as error: print(error)"
    )
    variables = {**os.environ, "KAGGLE_CONFIG_DIR": str(tmp_path / "file" / "kaggle")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables
    )
    assert "set KAGGLE_CONFIG_DIR to a folder" in done.stdout


# Secrets.


@pytest.mark.parametrize("fault", ["none", "echoed", "refused", "not json", "unknown"])
def test_no_secret_is_printed_or_written_even_with_debug_and_the_client_s_verbose_mode(
    fault, tmp_path, folder
):
    home = tmp_path / "home"
    home.mkdir()
    with running_server() as server:
        server.files = {"images.zip": b"no zip"}
        server.log = kaggle_server.log_of(f"the token is {TOKEN}\n")
        server.failure_message = TOKEN
        echoed = refusal(400, f"you sent Authorization: Bearer {TOKEN}")
        faults = {"echoed": echoed, "refused": refusal(401, TOKEN), "not json": Reply(f"<p>{TOKEN}")}
        faults["unknown"] = Reply({"status": TOKEN})
        if fault in faults:
            server.replies["GetKernelSessionStatus"] = [faults[fault]]
        done = subprocess.run(
            [sys.executable, "-m", "dogsgan", "kernel", "output", str(folder), "--out", "out", "--debug"],
            env={**environment(server, home), "VERBOSE": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert server.called("GetKernelSessionStatus"), done.stderr
    assert done.returncode == 1, done.stderr
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "dogs-sagan" in written
    for text in (done.stdout, done.stderr, written):
        assert TOKEN not in text
    assert "---Request---" not in done.stdout + done.stderr  # the client's verbose mode shows every header
    assert ("Traceback" in done.stderr) == (fault != "none")


def test_an_api_key_is_kept_secret_in_every_form(kaggle, monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (tmp_path / "home/kaggle/kaggle.json").write_text(json.dumps({"username": "ann", "key": KEY}))
    basic = base64.b64encode(f"ann:{KEY}".encode()).decode()
    redacted = Kaggle.connect().redact(f"{KEY} Basic {basic} ann")
    assert redacted == "*** Basic *** ann"


secret = st.text("abcXYZ019_-", min_size=4, max_size=8)


@given(st.lists(secret, max_size=4), st.text("abcXYZ019_- ", max_size=60), st.data())
def test_redaction_leaves_no_secret(secrets, text, data):
    if secrets:
        text += data.draw(st.sampled_from(secrets))
    shown = redacted(text, secrets)
    assert not any(value in shown for value in secrets)


def test_a_secret_that_begins_with_another_is_redacted_whole():
    assert redacted("abcdefgh", ["abcd", "abcdefgh"]) == "***"


# Dry runs.


def test_a_dry_run_shows_what_a_push_sends(kaggle, folder):
    plan = plan_push(folder)
    assert kaggle.requests == []
    push(folder)
    assert [name for name, _ in plan.calls] == ["quota_view", "kernels_push"]
    planned, (sent,) = dict(plan.calls)["kernels_push"], kaggle.called("SaveKernel")
    assert (planned["text"], planned["id"]) == (sent["text"], sent["slug"])
    assert planned["competition_sources"] == sent["competitionDataSources"]


@pytest.mark.parametrize("command", ["push", "status", "output --out out", "submit --message hello"])
def test_a_dry_run_needs_no_credentials_and_sends_nothing(command, kaggle, monkeypatch, run, folder, capsys):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    name, *options = command.split()
    assert run(name, folder, *options, "--dry-run", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["requests"][-1]["call"]
    assert captured.err.startswith("nothing was sent")
    assert "1,500 bytes, sha256" in captured.err or name != "push"
    assert kaggle.requests == []
    assert not (folder.parent / "out").exists()


def test_a_dry_run_with_credentials_shows_none(kaggle, run, folder, capsys):
    assert run("submit", folder, "--message", "hello", "--dry-run", "--json") == 0
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    assert kaggle.requests == []


def test_importing_the_client_prints_nothing(tmp_path):
    code = "from dogsgan.kernel.kaggle.client import require_client; require_client()"
    with running_server() as server:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(server, tmp_path), capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_commands_are_declared_without_the_client():
    code = (
        "import sys, argparse; from dogsgan.commands.kernel_remote import add_remote_commands\n"
        "add_remote_commands(argparse.ArgumentParser().add_subparsers())\n"
        "print(sorted({'kaggle', 'requests', 'torch', 'numpy', 'tqdm'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
