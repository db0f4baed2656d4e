"""The official client, imported without its side effects and given a transport of ours.

On being imported it logs in, prints advice if that fails, and makes a folder; on a refused login it calls
`exit`. So it is imported late, without a network and with its stdout held back.
"""

import contextlib
import importlib
import io
import unittest.mock
from typing import Any

from dogsgan.errors import DogsganError

INSTALL = "pip install 'dogsgan[kaggle]'"


def official_api(adapter: Any) -> Any:
    """Return the official client's `KaggleApi` that sends through `adapter`, never in its verbose mode.

    Verbose, it prints every header, the credentials among them.
    """
    require_client()
    api = importlib.import_module("kaggle.api.kaggle_api_extended").KaggleApi()
    api.args = [argument for argument in api.args if argument not in ("-v", "--verbose")]
    api.already_printed_version_warning = True
    build = api.build_kaggle_client

    def build_with_adapter() -> Any:
        client = build()
        http = client.http_client()
        http._init_session()
        for scheme in ("http://", "https://"):
            http._session.mount(scheme, adapter)
        return client

    api.build_kaggle_client = build_with_adapter
    return api


def require_client() -> None:
    """Import the client, which would log in at once and print advice if that fails: neither happens here.

    Raises:
        DogsganError: it is not installed, or cannot make its folder for settings.
    """
    try:
        requests = importlib.import_module("requests")
        offline = unittest.mock.patch.object(
            requests.Session, "send", side_effect=requests.ConnectionError("not yet")
        )
        with offline, contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("kaggle.api.kaggle_api_extended")
    except ImportError as error:
        raise DogsganError(
            f"the official kaggle client is not installed or not complete ({error}): {INSTALL}"
        ) from error
    except OSError as error:
        raise DogsganError(
            f"the kaggle client cannot make its settings folder ({error.strerror or error}): set "
            "KAGGLE_CONFIG_DIR to a folder that you may write to"
        ) from error
