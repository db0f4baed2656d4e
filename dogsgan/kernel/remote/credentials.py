"""Which Kaggle credentials there are, and keeping them out of everything that is printed or written."""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

WHERE_TO_GET = "https://www.kaggle.com/settings/api"
HOW_TO_SET = (
    f"make a token at {WHERE_TO_GET}, then set KAGGLE_API_TOKEN to it or save it as ~/.kaggle/access_token"
)
_TOKEN_FILES = ("access_token", "access_token.txt")
_SECRET_NAMES = ("token", "key", "api_token", "access_token", "refresh_token", "password")
_SHORTEST = 4  # a shorter "secret" would black out ordinary words


class Secrets:
    """The strings that nobody may see: `redact` takes them out of a text."""

    def __init__(self, values: Iterable[str]) -> None:
        kept = {value for value in values if len(value) >= _SHORTEST}
        self._longest_first = sorted(kept, key=len, reverse=True)

    def redact(self, text: str) -> str:
        """Return `text` with every secret replaced by stars."""
        for secret in self._longest_first:
            text = text.replace(secret, "***")
        return text


def find_secrets(config_dir: Path, configured: Mapping[str, object]) -> Secrets:
    """Collect the secrets of the environment, of the credential files and of the client's own settings."""
    stored = [dict(configured), *(_fields_of(path) for path in _json_files(config_dir))]
    stored.append({name.removeprefix("KAGGLE_").lower(): value for name, value in os.environ.items()})
    values = [str(fields[name]) for fields in stored for name in _SECRET_NAMES if fields.get(name)]
    values += [_text_of(Path(value)) for value in values]  # KAGGLE_API_TOKEN may name a file
    values += [_text_of(_home() / name) for name in _TOKEN_FILES]
    for fields in stored:
        if fields.get("username") and fields.get("key"):
            pair = f"{fields['username']}:{fields['key']}"
            values.append(base64.b64encode(pair.encode()).decode())
    return Secrets(values)


def credential_sources(config_dir: Path) -> list[str]:
    """Return the places that hold credentials, good or not, in the order in which the client tries them."""
    sources = ["KAGGLE_API_TOKEN"] if os.environ.get("KAGGLE_API_TOKEN") else []
    sources += [f"~/.kaggle/{name}" for name in _TOKEN_FILES if _text_of(_home() / name)]
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        sources.append("KAGGLE_USERNAME and KAGGLE_KEY")
    return sources + [str(path) for path in _json_files(config_dir) if path.is_file()]


def _home() -> Path:
    return Path(os.path.expanduser("~/.kaggle"))  # noqa: PTH111 (users without a home)


def _json_files(config_dir: Path) -> list[Path]:
    return [config_dir / "kaggle.json", _home() / "credentials.json"]


def _fields_of(path: Path) -> dict[str, object]:
    try:
        fields = json.loads(_text_of(path))
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _text_of(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
