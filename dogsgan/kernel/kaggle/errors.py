"""The failures of a conversation with Kaggle, each as one line that says what to do."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from dogsgan.errors import DogsganError

INSTALL = "pip install 'dogsgan[kaggle]'"
HOW_TO_SET = (
    "make a token at https://www.kaggle.com/settings/api, then set KAGGLE_API_TOKEN to it or save it as "
    "~/.kaggle/access_token"
)


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


def explained(
    error: BaseException, action: Action, redact: Callable[[str], str], *, quoting: bool = True
) -> DogsganError:
    """Return what a person can do about anything that the official client raised on an action."""
    import requests  # comes with the client, which may not be installed

    doing = action.doing
    refusal = _http_error_behind(error)
    if refusal is not None and refusal.response is not None:
        status, message = _answer_of(refusal.response)
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


def _http_error_behind(error: BaseException) -> Any:
    """Return the refusal itself where the client raised it, or a `ValueError` of its own in its place."""
    import requests

    found = (error.__cause__ or error.__context__) if type(error) is ValueError else error
    return found if isinstance(found, requests.HTTPError) else None


def _answer_of(response: Any) -> tuple[int, str]:
    """Return the status, which may stand in the JSON of a 200, and the server's words if it sent any."""
    status, message = int(response.status_code), ""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        answer = response.json()
        message = answer["message"] if isinstance(answer.get("message"), str) else ""
        if status < HTTPStatus.BAD_REQUEST:
            status = int(answer["code"])
    return status, message
