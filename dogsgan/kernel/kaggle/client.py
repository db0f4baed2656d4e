"""Kaggle's official client, with one line for every failure and silence about secrets."""

import base64
import contextlib
import hashlib
import importlib
import io
import json
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, cast

from dogsgan.errors import DogsganError, printable
from dogsgan.kernel.folder import KernelRef
from dogsgan.progress import say

INSTALL = "pip install 'dogsgan[kaggle]'"
HOW_TO_SET = (
    "make a token at https://www.kaggle.com/settings/api, then set KAGGLE_API_TOKEN to it or save it as "
    "~/.kaggle/access_token"
)
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
_LONGEST_SHOWN = 200  # of a text in a plan; a longer one is shown by its length and hash


class TemporaryError(DogsganError):
    """The request was right, and may work later."""


@dataclass(frozen=True)
class Action:
    """What is asked of Kaggle, for the text of a refusal."""

    doing: str  # fits behind "Kaggle will not": `push ann/dogs`
    hint: str  # what to look at where Kaggle knows no such thing or forbids it
    competition: str = ""  # whose rules may be in the way
    changes: str = ""  # for what must not happen twice: how to find out whether it did

    @property
    def again(self) -> str:
        """What to do once the trouble has passed."""
        if not self.changes:
            return ", then run the command again"
        return f", and, as it may have arrived all the same, {self.changes} before running the command again"


class Plan(NamedTuple):
    """Calls of the client that a command would make, each with what it sends, and what the answers decide."""

    calls: list[tuple[str, dict[str, Any]]]
    then: str

    def to_json(self) -> dict[str, Any]:
        """Return the calls, whole, as JSON values."""
        requests = [{"call": name, "body": body} for name, body in self.calls]
        return {"dry_run": True, "requests": requests, "then": self.then}

    def summary(self) -> str:
        """Return the calls for people, long texts shortened."""
        lines = ["nothing was sent; after the login, this would be:"]
        for name, body in self.calls:
            lines += [f"  {name}", *(f"    {key}: {_shown(value)}" for key, value in body.items())]
        return "\n".join([*lines, f"  then: {self.then}"])


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        content = value.encode()
        return f"<{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}>"
    return json.dumps(value, ensure_ascii=False)


class Kaggle:
    """Asks Kaggle through the client's `api`; see `ask`."""

    def __init__(self) -> None:
        self.api = require_client().KaggleApi()
        # Verbose, it prints every header, the credentials among them.
        self.api.config_values = {}
        self.api.args = [argument for argument in self.api.args if argument not in ("-v", "--verbose")]
        self._secrets = _known_secrets(self.api)

    @classmethod
    def connect(cls) -> "Kaggle":
        """Log in with the credentials that the environment or the files of the official client hold.

        Raises:
            DogsganError: no client is installed, there are no credentials, or none is accepted.
        """
        kaggle = cls()

        def log_in() -> None:
            try:
                kaggle.api.authenticate()
            except SystemExit as error:
                found = "Kaggle accepts none of the credentials that were found"
                missing = "no Kaggle credentials were found"
                raise DogsganError(f"{found if kaggle._secrets else missing}: {HOW_TO_SET}") from error

        kaggle.ask(log_in, Action("log in", HOW_TO_SET))
        kaggle._secrets = _known_secrets(kaggle.api)
        return kaggle

    @property
    def username(self) -> str:
        """Whose credentials these are; empty where the client does not know."""
        return str(self.api.config_values.get("username") or "")

    def redact(self, text: str) -> str:
        """Return `text` without the secrets that are known here."""
        return redacted(text, self._secrets)

    def line(self, text: str | None) -> str:
        """Return Kaggle's words as one line that is safe to show."""
        return printable(self.redact(" ".join((text or "").split())))

    def newest_version(self, ref: KernelRef) -> int | None:
        """Return the number of the newest version; None where Kaggle does not tell."""
        request = _sdk().ApiGetKernelRequest()
        request.user_name, request.kernel_slug = ref.owner, ref.slug
        answer = self._call(lambda kernels: kernels.get_kernel(request), _about("show", ref))
        return answer.metadata.current_version_number or None if answer.metadata else None

    def status(self, ref: KernelRef) -> tuple[str, str]:
        """Return how the newest run stands (a value of `STATUSES`), and Kaggle's reason if it failed."""

        def status() -> tuple[str, str]:
            answer = self.api.kernels_status(str(ref))
            return STATUSES[answer.status.name], self.line(answer.failure_message)

        return cast("tuple[str, str]", self.ask(status, _about("tell the status of", ref)))

    def log(self, ref: KernelRef) -> str:
        """Return the stored log of the newest run, as Kaggle keeps it; empty while there is none."""
        return self.redact(self.ask(lambda: self.api.kernels_logs(str(ref)), _about("show the log of", ref)))

    def log_stream(self, ref: KernelRef) -> Iterator[str]:
        """Yield what the newest run printed from its beginning on, in pieces, for as long as it runs."""
        events = self.api.kernels_logs_stream(str(ref))
        while (event := self.ask(lambda: next(events, None), _about("stream the log of", ref))) is not None:
            yield self.redact(str(event.get("data") or ""))

    def output_files(self, ref: KernelRef) -> dict[str, str]:
        """Return the files that the newest run left: their names and addresses, valid for a while."""
        files: dict[str, str] = {}
        request = _sdk().ApiListKernelSessionOutputRequest()
        request.user_name, request.kernel_slug, request.page_size = ref.owner, ref.slug, 100
        while True:
            answer = self._call(
                lambda kernels: kernels.list_kernel_session_output(request), _about("list the output of", ref)
            )
            files |= {file.file_name: file.url for file in answer.files or []}
            if answer.next_page_token in ("", None, request.page_token):
                return files
            request.page_token = answer.next_page_token

    def download(self, name: str, url: str, path: Path) -> None:
        """Fetch a file of the output to `path`. No text quotes its address, which holds a signature."""
        import requests

        def fetch() -> None:
            whole = {"Accept-Encoding": "identity"}  # else the client compares packed with unpacked lengths
            with requests.get(url, stream=True, headers=whole, timeout=60) as response:
                response.raise_for_status()
                self.api.download_file(response, str(path), None, quiet=True, max_retries=3)

        action = Action(f"hand out {name}", "run the command again for a fresh address")
        self.ask(fetch, action, quoting=False)

    def _call(self, call: Callable[[Any], Any], action: Action) -> Any:
        """Make a call that the client's own methods lack, through the client's connection."""

        def connected() -> Any:
            with self.api.build_kaggle_client() as kaggle:
                return call(kaggle.kernels.kernels_api_client)

        return self.ask(connected, action)

    def ask(self, call: Callable[[], Any], action: Action, *, quoting: bool = True) -> Any:
        """Run a call of the client with its stdout held back; return its answer.

        `quoting` says whether an error's own text may be shown. Where it holds a secret the error is not even
        kept as the cause, which `--debug` would print.

        Raises:
            DogsganError: Kaggle refuses, or gives no answer.
        """
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                answer = call()
        except DogsganError:
            raise
        except (Exception, SystemExit) as error:
            shown = "".join(traceback.format_exception(error))
            is_safe = quoting and self.redact(shown) == shown
            raise explained(error, action, self.redact, quoting=quoting) from (error if is_safe else None)
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
    settings = {**os.environ, **api.config_values}
    found = {str(settings[name]) for name in _SECRETS if settings.get(name)}
    user = str(settings.get("username") or settings.get("KAGGLE_USERNAME") or "")
    home = os.path.expanduser("~/.kaggle")  # noqa: PTH111 (users without a home)
    files = [*(Path(home, name) for name in _TOKEN_FILES), Path(api.config_dir, "kaggle.json")]
    for path in [*files, Path(settings.get("KAGGLE_API_TOKEN") or home)]:  # which may be a file's name
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text().strip()
            try:
                found |= {value for value in json.loads(text).values() if isinstance(value, str)}
            except (ValueError, AttributeError):  # a bare token
                found.add(text)
    found |= {base64.b64encode(f"{user}:{secret}".encode()).decode() for secret in found if secret}
    return {value for value in found if len(value) >= _SHORTEST and value != user}


def _sdk() -> Any:
    return importlib.import_module("kagglesdk.kernels.types.kernels_api_service")


def _about(doing: str, ref: KernelRef) -> Action:
    return Action(
        f"{doing} {ref}",
        f"check that {ref} is the name in the address of the kernel's page (or a folder that is there), that "
        "it has been pushed, and that the credentials are those of its owner",
    )


def explained(
    error: BaseException, action: Action, redact: Callable[[str], str], *, quoting: bool = True
) -> DogsganError:
    """Return what a person can do about anything that the official client raised on an action."""
    import requests  # comes with the client, which may not be installed

    doing = action.doing
    if refusal := _refusal(error):
        status, message = refusal
        return _of_status(status, redact(message), action)
    if isinstance(error, requests.exceptions.InvalidJSONError | json.JSONDecodeError):
        return TemporaryError(
            f"what Kaggle answered when asked to {doing} is not JSON, so something else may have answered (a "
            f"proxy, a login page, a maintenance page): check the network{action.again}"
        )
    if isinstance(error, requests.Timeout | TimeoutError):
        return TemporaryError(f"Kaggle took too long to {doing}: check the network{action.again}")
    broken = requests.ConnectionError | requests.exceptions.ChunkedEncodingError | ConnectionError
    if isinstance(error, broken):
        return TemporaryError(f"cannot reach Kaggle to {doing}: check the network{action.again}")
    if isinstance(error, OSError) and error.strerror:  # of this machine: what requests raises has none
        return DogsganError(
            f"the kaggle client was asked to {doing} and cannot read or write a file here "
            f"({error.strerror}): free some space, or check the permissions, then run the command again"
        )
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    text = redact(first) if quoting else "see its log"
    if isinstance(error, ValueError | SystemExit):  # the client's own refusals
        return DogsganError(f"the kaggle client will not {doing}: {text}")
    return DogsganError(
        f"the kaggle client does not understand what Kaggle answered when asked to {doing} "
        f"({type(error).__name__}: {text}): update it with pip install --upgrade kaggle"
    )


def _of_status(status: int, message: str, action: Action) -> DogsganError:
    doing, answer, lowered = action.doing, f"{status}: {message}" if message else str(status), message.lower()
    if status == HTTPStatus.UNAUTHORIZED:
        return DogsganError(f"Kaggle does not accept the credentials (asked to {doing}): {HOW_TO_SET}")
    if action.competition and ("rules" in lowered or "competitions.participate" in lowered):
        return rules_error(action.competition)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TemporaryError(
            f"Kaggle wants fewer requests (asked to {doing}; {answer}): wait some minutes, then run the "
            "command again"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TemporaryError(f"Kaggle is in trouble (asked to {doing}; {answer}): wait{action.again}")
    return DogsganError(f"Kaggle will not {doing} ({answer}): {action.hint}")


def rules_error(competition: str) -> DogsganError:
    """Return the error of rules that were not accepted."""
    return DogsganError(
        f"the rules of the competition {competition} are not accepted, or there is no such competition: "
        f"accept them at https://www.kaggle.com/competitions/{competition}/rules, then run the command again"
    )


def _refusal(error: BaseException) -> tuple[int, str] | None:
    """Return the status and the words of a refusal, which may be the cause of the client's `ValueError`."""
    import requests

    found = (error.__cause__ or error.__context__) if type(error) is ValueError else error
    if not isinstance(found, requests.HTTPError) or found.response is None:
        return None
    status, message = int(found.response.status_code), ""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        answer = found.response.json()
        message = answer["message"] if isinstance(answer.get("message"), str) else ""
        if status < HTTPStatus.BAD_REQUEST:  # the JSON of a 200 may hold the real status
            status = int(answer["code"])
    return status, message
