"""A conversation with Kaggle through its official client, which logs in, asks and tries again.

Around it: one line for every failure (`errors.py`), and silence about secrets.
"""

import base64
import contextlib
import importlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from dogsgan.errors import DogsganError, printable
from dogsgan.kernel.kaggle.errors import HOW_TO_SET, INSTALL, Errand, explained
from dogsgan.kernel.kaggle.metadata import KernelRef
from dogsgan.progress import say

STATUSES = {
    "NEW_SCRIPT": "queued",
    "QUEUED": "queued",
    "RUNNING": "running",
    "COMPLETE": "complete",
    "ERROR": "failed",
    "CANCEL_REQUESTED": "cancelling",
    "CANCEL_ACKNOWLEDGED": "cancelled",
}
"""Kaggle's names for the state of a run, and ours."""
_SECRETS = ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "token", "key")
_TOKEN_FILES = ("access_token", "access_token.txt", "credentials.json")
_SHORTEST = 4  # a shorter "secret" would black out ordinary words


class Quota(NamedTuple):
    """The week's GPU time of an account."""

    used_h: float
    allowed_h: float
    renewed: str
    """When the next week begins; empty where Kaggle does not say."""

    @property
    def left_h(self) -> float:
        """Hours that may still be used."""
        return max(0.0, self.allowed_h - self.used_h)


class OutputFile(NamedTuple):
    """A file of a run's output and the address, valid for a while, to fetch it from."""

    name: str
    url: str


@dataclass(frozen=True)
class Submission:
    """A submission as the competition lists it. Scores are empty until there are any."""

    ref: int
    status: str
    """pending, complete or error."""
    public_score: str
    private_score: str
    error: str
    message: str = ""
    """What it was submitted with."""
    date: datetime | None = None
    """When it was submitted; None where Kaggle does not say."""


class Kaggle:
    """Asks Kaggle. Every method raises `DogsganError` where Kaggle refuses or gives no answer."""

    def __init__(self) -> None:
        self._api = require_client().KaggleApi()
        # Verbose, it prints every header, the credentials among them.
        self._api.config_values = {}
        self._api.args = [argument for argument in self._api.args if argument not in ("-v", "--verbose")]
        self._secrets = _known_secrets(self._api)
        self.username = ""

    @classmethod
    def connect(cls) -> "Kaggle":
        """Log in with the credentials that the environment or the files of the official client hold.

        Raises:
            DogsganError: no client is installed, there are no credentials, or none is accepted.
        """
        kaggle = cls()
        try:
            kaggle.ask(kaggle._api.authenticate, Errand("log in", HOW_TO_SET), exits=True)
        except SystemExit as error:
            found = "Kaggle accepts none of the credentials that were found"
            missing = "no Kaggle credentials were found"
            raise DogsganError(f"{found if kaggle._secrets else missing}: {HOW_TO_SET}") from error
        kaggle._secrets = _known_secrets(kaggle._api)
        kaggle.username = str(kaggle._api.config_values.get("username") or "")
        return kaggle

    def redact(self, text: str) -> str:
        """Return `text` without the secrets that are known here."""
        return redacted(text, self._secrets)

    def line(self, text: str | None) -> str:
        """Return Kaggle's words as one line that is safe to show."""
        return printable(self.redact(" ".join((text or "").split())))

    def quota(self) -> Quota | None:
        """Return the GPU time that is left; None where Kaggle does not tell."""
        answer = self.ask(self._api.quota_view, Errand("tell the GPU quota", "look at your settings page"))
        gpu, renewed = answer.gpu_quota, answer.quota_refresh_time
        if gpu is None:
            return None
        when = renewed.strftime("%A %d %B, %H:%M UTC") if renewed else ""
        return Quota(_hours(gpu.time_used), _hours(gpu.total_time_allowed), when)

    def save_kernel(self, folder: Path, ref: KernelRef) -> Any:
        """Save the kernel of `folder` as a new version, which Kaggle then runs; return its answer."""
        hint = (
            "check that `id` in kernel-metadata.json begins with your own user name, and that no other "
            "kernel of yours has its title"
        )
        errand = Errand(f"push {ref}", hint, changes=f"look at {ref.url}")
        return self.ask(lambda: self._api.kernels_push(str(folder)), errand)

    def newest_version(self, ref: KernelRef) -> int | None:
        """Return the number of the newest version; None where Kaggle does not tell."""
        request = _sdk().ApiGetKernelRequest()
        request.user_name, request.kernel_slug = ref.owner, ref.slug
        answer = self._call(lambda kernels: kernels.get_kernel(request), _about("show", ref))
        return answer.metadata.current_version_number or None if answer.metadata else None

    def status(self, ref: KernelRef) -> tuple[str, str]:
        """Return how the newest run stands (a value of `STATUSES`), and Kaggle's reason if it failed."""

        def status() -> tuple[str, str]:
            answer = self._api.kernels_status(str(ref))
            return STATUSES[answer.status.name], self.line(answer.failure_message)

        found: tuple[str, str] = self.ask(status, _about("tell the status of", ref))
        return found

    def log(self, ref: KernelRef) -> str:
        """Return the stored log of the newest run, as Kaggle keeps it; empty while there is none."""
        text = self.ask(lambda: self._api.kernels_logs(str(ref)), _about("show the log of", ref))
        return self.redact(text)

    def log_stream(self, ref: KernelRef) -> Iterator[str]:
        """Yield what the newest run printed from its beginning on, in pieces, for as long as it runs."""
        events = self._api.kernels_logs_stream(str(ref))
        while (event := self.ask(lambda: next(events, None), _about("stream the log of", ref))) is not None:
            yield self.redact(str(event.get("data") or ""))

    def output_files(self, ref: KernelRef) -> list[OutputFile]:
        """Return the files that the newest run left."""
        files: list[OutputFile] = []
        request = _sdk().ApiListKernelSessionOutputRequest()
        request.user_name, request.kernel_slug, request.page_size = ref.owner, ref.slug, 100
        while True:
            answer = self._call(
                lambda kernels: kernels.list_kernel_session_output(request), _about("list the output of", ref)
            )
            files += [OutputFile(file.file_name, file.url) for file in answer.files or []]
            if answer.next_page_token in ("", None, request.page_token):
                return files
            request.page_token = answer.next_page_token

    def download(self, file: OutputFile, path: Path) -> None:
        """Fetch a file of the output to `path`. No text quotes its address, which holds a signature."""
        import requests

        def fetch() -> None:
            whole = {"Accept-Encoding": "identity"}  # else the client compares packed with unpacked lengths
            with requests.get(file.url, stream=True, headers=whole, timeout=60) as response:
                response.raise_for_status()
                self._api.download_file(response, str(path), None, quiet=True, max_retries=3)

        errand = Errand(f"hand out {file.name}", "run the command again for a fresh address")
        self.ask(fetch, errand, quoting=False)

    def submit(self, ref: KernelRef, version: int, *, file: str, competition: str, message: str) -> int:
        """Submit a file of a kernel's output; return the submission's number, 0 where Kaggle gives none."""
        errand = Errand(
            f"submit {file} of {ref} version {version} to {competition}",
            "check the competition's name, and that this version ran to its end and shows the file among its "
            f"output at {ref.url}",
            competition=competition,
            changes=f"look at https://www.kaggle.com/competitions/{competition}/submissions",
        )
        submitted = self.ask(
            lambda: self._api.competition_submit_code(
                file, message, competition, str(ref), version, quiet=True
            ),
            errand,
        )
        return int(submitted.ref or 0)

    def submissions(self, competition: str) -> list[Submission]:
        """Return the account's newest submissions to a competition, newest first."""
        errand = Errand(
            f"list your submissions to {competition}", "check the competition's name", competition=competition
        )
        answer = self.ask(lambda: self._api.competition_submissions(competition), errand)
        return [
            Submission(
                ref=item.ref,
                status=item.status.name.lower(),
                public_score=item.public_score or "",
                private_score=item.private_score or "",
                error=self.line(item.error_description),
                message=item.description or "",
                date=item.date,
            )
            for item in answer or []
        ]

    def _call(self, call: Callable[[Any], Any], errand: Errand) -> Any:
        """Make a call that the client's own methods lack, through the client's connection."""

        def connected() -> Any:
            with self._api.build_kaggle_client() as kaggle:
                return call(kaggle.kernels.kernels_api_client)

        return self.ask(connected, errand)

    def ask(
        self, call: Callable[[], Any], errand: Errand, *, quoting: bool = True, exits: bool = False
    ) -> Any:
        """Run a call of the client with its stdout held back and everything that it raises explained.

        Where an error's own text might hold a secret (`quoting` False, or one found in it), it is not even
        kept as the cause, which `--debug` would print. `exits`: whether `SystemExit` is raised as it is.
        """
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                answer = call()
        except DogsganError:
            raise
        except (Exception, SystemExit) as error:
            if exits and isinstance(error, SystemExit):
                raise
            line = explained(error, errand, self.redact, quoting=quoting)
            shown = _whole_text(error)
            raise line from (error if quoting and self.redact(shown) == shown else None)
        for note in filter(str.strip, said.getvalue().splitlines()):
            say(f"the kaggle client: {self.line(note)}")
        return answer


def require_client() -> Any:
    """Import the official client, whose own attempt to log in as it is imported stays silent.

    Raises:
        DogsganError: it is not installed, or cannot make its folder for settings.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module("kaggle.api.kaggle_api_extended")
    except ImportError as error:
        raise DogsganError(
            f"the official kaggle client is not installed or not complete ({error}): {INSTALL}"
        ) from error
    except OSError as error:
        raise DogsganError(
            f"the kaggle client cannot make its settings folder ({error.strerror or error}): set "
            "KAGGLE_CONFIG_DIR to a folder that you may write to"
        ) from error


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every secret replaced by stars."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may begin with another
        text = text.replace(secret, "***")
    return text


def _known_secrets(api: Any) -> set[str]:
    """Return the secrets of the environment, of the credential files and of the client's own settings."""
    home = os.path.expanduser("~/.kaggle")  # noqa: PTH111 (users without a home)
    files = [Path(home, name) for name in _TOKEN_FILES] + [Path(api.config_dir) / "kaggle.json"]
    if named := os.environ.get("KAGGLE_API_TOKEN"):  # which may be a file's name
        files.append(Path(named))
    texts = [_text_of(path) for path in files]
    settings = {**os.environ, **{str(name): value for name, value in api.config_values.items()}}
    found = {str(settings[name]) for name in _SECRETS if settings.get(name)}
    for text in texts:
        with contextlib.suppress(ValueError, AttributeError):
            found |= {value for value in json.loads(text).values() if isinstance(value, str)}
            continue
        found.add(text)
    user = str(settings.get("username") or settings.get("KAGGLE_USERNAME") or "")
    pairs = {base64.b64encode(f"{user}:{secret}".encode()).decode() for secret in found if secret}
    return {value for value in found | pairs if len(value) >= _SHORTEST and value != user}


def _text_of(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _hours(time: timedelta | None) -> float:
    return 0.0 if time is None else time.total_seconds() / 3600


def _sdk() -> Any:
    return importlib.import_module("kagglesdk.kernels.types.kernels_api_service")


def _about(doing: str, ref: KernelRef) -> Errand:
    return Errand(
        f"{doing} {ref}",
        f"check that {ref} is the name in the address of the kernel's page (or a folder that is there), that "
        "it has been pushed, and that the credentials are those of its owner",
    )


def _whole_text(error: BaseException | None) -> str:
    """Return the texts of an error and of everything behind it, as a traceback would show them."""
    texts: list[str] = []
    while error is not None and len(texts) < 20:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    return " ".join(texts)
