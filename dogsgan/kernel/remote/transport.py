"""How the official client's requests travel: with time limits, again in passing trouble, or only noted.

The client sets no time limit on any request and gives up at the first 503. It sends everything through
`requests`, whose sessions take another adapter; these are those adapters.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from dogsgan.progress import say

CONNECT_S, READ_S = 10.0, 60.0
WAITS_S = (2.0, 5.0, 15.0)
"""Pauses before a request is sent again."""
LONGEST_WAIT_S = 60.0
"""How long a server may ask to be left alone before that counts as a refusal."""
PASSING = (429, 500, 502, 503, 504)
NOTHING_DONE = (429, 503)
"""Answers that say that the request was not acted upon."""
CHANGING = ("SaveKernel", "CreateCodeSubmission")
"""Calls that make something new each time they arrive."""


@dataclass(frozen=True)
class Request:
    """What goes to Kaggle, less the headers, which hold the credentials."""

    method: str
    url: str
    body: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"method": self.method, "url": self.url, "body": dict(self.body)}


class NotSentError(Exception):
    """Carries a request that was only noted."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.url)
        self.request = request


class PatientAdapter(HTTPAdapter):
    """Sends with time limits; sends again where the trouble may pass and nothing can happen twice."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Return the first answer that will not get better, or the last."""
        limits = timeout or (CONNECT_S, READ_S)
        for wait_s in WAITS_S:
            try:
                response = super().send(request, stream, limits, verify, cert, proxies)
            except requests.ConnectionError as error:  # a connection that is not made in time is one, too
                if _changes(request) and not isinstance(error, requests.ConnectTimeout):
                    raise
                trouble = "cannot be reached"
            except requests.ReadTimeout:
                if _changes(request):
                    raise
                trouble = f"has not answered for {READ_S:g} s"
            else:
                wait_s = _retry_after_s(response, wait_s)
                if not _may_pass(request, response) or wait_s > LONGEST_WAIT_S:
                    return response
                trouble = f"answers {response.status_code}"
                response.close()
            say(f"Kaggle {trouble}: asking again in {wait_s:g} s")
            time.sleep(wait_s)
        return super().send(request, stream, limits, verify, cert, proxies)


class NotingAdapter(HTTPAdapter):
    """Sends nothing: raises `NotSentError` with what would have gone out."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Raise the request as it stands."""
        body = json.loads(request.body) if isinstance(request.body, str | bytes) else {}
        raise NotSentError(Request(request.method or "", request.url or "", body))


def _changes(request: requests.PreparedRequest) -> bool:
    return (request.url or "").rpartition("/")[2] in CHANGING


def _may_pass(request: requests.PreparedRequest, response: requests.Response) -> bool:
    return response.status_code in (NOTHING_DONE if _changes(request) else PASSING)


def _retry_after_s(response: requests.Response, default_s: float) -> float:
    """Return how long the server asks to wait; `default_s` where it says nothing, or names a date."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else default_s
