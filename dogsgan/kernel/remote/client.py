"""A conversation with Kaggle through its official client, which asks, sends and understands.

Around the client stands what it lacks: time limits and patience (`transport.py`), one line for every failure
(`failures.py`), silence about secrets (`credentials.py`).
"""

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError, printable
from dogsgan.kernel.remote.answers import STATUSES, OutputFile, Quota, SavedKernel, Submission
from dogsgan.kernel.remote.credentials import HOW_TO_SET, credential_sources, find_secrets
from dogsgan.kernel.remote.metadata import KernelRef
from dogsgan.kernel.remote.official import official_api, require_client
from dogsgan.progress import say


class Kaggle:
    """Asks Kaggle. Every method raises `DogsganError` where the answer is no, or no answer comes."""

    def __init__(self, adapter: Any) -> None:
        """Use the official client with `adapter` as its transport; nobody is logged in yet."""
        self._adapter = adapter
        self._api = official_api(adapter)
        self._secrets = find_secrets(self._config_dir, {})
        self.username = ""

    @classmethod
    def connect(cls) -> "Kaggle":
        """Log in with the credentials that the environment or the files of the official client hold.

        Raises:
            DogsganError: no client is installed, there are no credentials, or none is accepted.
        """
        require_client()
        from dogsgan.kernel.remote.transport import PatientAdapter

        kaggle = cls(PatientAdapter())
        kaggle._log_in()
        return kaggle

    @property
    def _config_dir(self) -> Path:
        return Path(self._api.config_dir)

    def _log_in(self) -> None:
        api = self._api
        sources = credential_sources(self._config_dir)
        if not sources:
            raise DogsganError(f"no Kaggle credentials were found: {HOW_TO_SET}")
        try:
            self._ask(lambda: _without_exit(api.authenticate), "log in", HOW_TO_SET)
        except _GaveUpError as error:
            raise DogsganError(
                f"Kaggle accepts none of the credentials found ({', '.join(sources)}): {HOW_TO_SET}"
            ) from error
        self._secrets = find_secrets(self._config_dir, api.config_values)
        self.username = str(api.config_values.get("username") or "")

    def redact(self, text: str) -> str:
        """Return `text` without the secrets that are known here."""
        return self._secrets.redact(text)

    def _line(self, text: str | None) -> str:
        """Return Kaggle's words as one line that is safe to show."""
        return printable(self.redact(" ".join((text or "").split())))

    def quota(self) -> Quota | None:
        """Return the GPU time that is left; None where Kaggle does not tell."""
        answer = self._ask(self._api.quota_view, "tell the GPU quota", "look at your settings page")
        gpu = answer.gpu_quota
        if gpu is None:
            return None
        renewed = answer.quota_refresh_time
        return Quota(
            _hours(gpu.time_used),
            _hours(gpu.total_time_allowed),
            renewed.strftime("%A %d %B, %H:%M UTC") if renewed else "",
        )

    def save_kernel(self, folder: Path, ref: KernelRef) -> SavedKernel:
        """Save the kernel of `folder` as a new version, which Kaggle then runs."""
        answer = self._ask(
            lambda: self._api.kernels_push(str(folder)),
            f"push {ref}",
            "check that `id` in kernel-metadata.json begins with your own user name, and that no other "
            "kernel of yours has its title",
            changes=f"look at {ref.url}",
        )
        left_out = {
            "tag": answer.invalid_tags,
            "dataset": answer.invalid_dataset_sources,
            "competition": answer.invalid_competition_sources,
            "kernel": answer.invalid_kernel_sources,
            "model": answer.invalid_model_sources,
        }
        return SavedKernel(
            ref=self._line(answer.ref),
            url=self._line(answer.url),
            version=answer.version_number or None,
            error=self._line(answer.error),
            left_out={kind: tuple(names) for kind, names in left_out.items() if names},
        )

    def newest_version(self, ref: KernelRef) -> int | None:
        """Return the number of the newest version; None where Kaggle does not tell."""
        request = _kernels().ApiGetKernelRequest()
        request.user_name, request.kernel_slug = ref.owner, ref.slug
        answer = self._call(lambda kaggle: kaggle.kernels.kernels_api_client.get_kernel(request), "show", ref)
        return answer.metadata.current_version_number or None if answer.metadata else None

    def status(self, ref: KernelRef) -> tuple[str, str]:
        """Return how the newest run stands (a value of `STATUSES`), and Kaggle's reason if it failed."""
        answer = self._ask(
            lambda: self._api.kernels_status(str(ref)), f"tell the status of {ref}", _no_such_kernel(ref)
        )
        return STATUSES[answer.status.name], self._line(answer.failure_message)

    def log(self, ref: KernelRef) -> str:
        """Return the stored log of the newest run, as Kaggle keeps it; empty while there is none."""
        text = self._ask(
            lambda: self._api.kernels_logs(str(ref)), f"show the log of {ref}", _no_such_kernel(ref)
        )
        return self.redact(text)

    def log_stream(self, ref: KernelRef) -> Iterator[str]:
        """Yield what the newest run printed from its beginning on, in pieces, for as long as it runs."""
        events = self._api.kernels_logs_stream(str(ref))
        while True:
            event = self._ask(lambda: next(events, None), f"stream the log of {ref}", _no_such_kernel(ref))
            if event is None:
                return
            yield self.redact(str(event.get("data") or ""))

    def output_files(self, ref: KernelRef) -> list[OutputFile]:
        """Return the files that the newest run left."""
        files: list[OutputFile] = []
        token = ""
        while True:
            request = _kernels().ApiListKernelSessionOutputRequest()
            request.user_name, request.kernel_slug, request.page_size = ref.owner, ref.slug, 100
            request.page_token = token
            answer = self._call(_listing(request), "list the output of", ref)
            files += [OutputFile(file.file_name, file.url) for file in answer.files or []]
            if not answer.next_page_token or answer.next_page_token == token:
                return files
            token = answer.next_page_token

    def download(self, file: OutputFile, path: Path) -> None:
        """Fetch a file of the output to `path`. Its address holds a signature, so no text ever quotes it."""
        import requests

        def fetch() -> None:
            with requests.Session() as session:  # the address is signed: credentials have no place there
                session.mount("http://", self._adapter)
                session.mount("https://", self._adapter)
                whole = {"Accept-Encoding": "identity"}  # else the length that is announced is another
                with session.get(file.url, stream=True, headers=whole) as response:
                    response.raise_for_status()
                    self._api.download_file(response, str(path), None, quiet=True, max_retries=3)

        self._ask(fetch, f"hand out {file.name}", "run the command again for a fresh address", quoting=False)

    def submit(self, ref: KernelRef, version: int, *, file: str, competition: str, message: str) -> int:
        """Submit a file of a kernel's output; return the submission's number, 0 where Kaggle gives none."""
        answer = self._ask(
            lambda: self._api.competition_submit_code(
                file, message, competition, str(ref), version, quiet=True
            ),
            f"submit {file} of {ref} version {version} to {competition}",
            "check the competition's name, and that this version ran to its end and shows the file among its "
            f"output at {ref.url}",
            competition=competition,
            changes=f"look at https://www.kaggle.com/competitions/{competition}/submissions",
        )
        return int(answer.ref or 0)

    def submissions(self, competition: str) -> list[Submission]:
        """Return the account's newest submissions to a competition, newest first."""
        answer = self._ask(
            lambda: self._api.competition_submissions(competition),
            f"list your submissions to {competition}",
            "check the competition's name",
            competition=competition,
        )
        return [
            Submission(
                ref=item.ref,
                status=item.status.name.lower(),
                public_score=item.public_score or "",
                private_score=item.private_score or "",
                error=self._line(item.error_description),
                message=item.description or "",
                date=item.date,
            )
            for item in answer or []
        ]

    def _call(self, call: Callable[[Any], Any], doing: str, ref: KernelRef) -> Any:
        """Make a call that the client's own methods lack, through the client's connection."""

        def connected() -> Any:
            with self._api.build_kaggle_client() as kaggle:
                return call(kaggle)

        return self._ask(connected, f"{doing} {ref}", _no_such_kernel(ref))

    def _ask(
        self,
        call: Callable[[], Any],
        doing: str,
        hint: str,
        *,
        competition: str = "",
        changes: str = "",
        quoting: bool = True,
    ) -> Any:
        """Run a call of the client with its stdout held back and everything that it raises explained.

        Where an error's own text might hold a secret (`quoting` False, or one found in it), it is not even
        kept as the cause, which `--debug` would print.
        """
        from dogsgan.kernel.remote.failures import Errand, explained
        from dogsgan.kernel.remote.transport import NotSentError

        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                answer = call()
        except (NotSentError, _GaveUpError, DogsganError):
            raise
        except (Exception, SystemExit) as error:
            line = explained(error, Errand(doing, hint, competition, changes), self._secrets)
            shown = _whole_text(error)
            raise line from (error if quoting and self.redact(shown) == shown else None)
        for note in filter(str.strip, said.getvalue().splitlines()):
            say(f"the kaggle client: {self._line(note)}")
        return answer


class _GaveUpError(Exception):
    """The client called `exit` because no credentials were accepted."""


def _without_exit(call: Callable[[], None]) -> None:
    try:
        call()
    except SystemExit as error:
        raise _GaveUpError from error


def _hours(time: timedelta | None) -> float:
    return 0.0 if time is None else time.total_seconds() / 3600


def _listing(request: Any) -> Callable[[Any], Any]:
    return lambda kaggle: kaggle.kernels.kernels_api_client.list_kernel_session_output(request)


def _kernels() -> Any:
    return importlib.import_module("kagglesdk.kernels.types.kernels_api_service")


def _no_such_kernel(ref: KernelRef) -> str:
    return (
        f"check that {ref} is the name in the address of the kernel's page (or a folder that is there), that "
        "it has been pushed, and that the credentials are those of its owner"
    )


def _whole_text(error: BaseException | None) -> str:
    """Return the texts of an error and of everything behind it, as a traceback would show them."""
    texts: list[str] = []
    while error is not None and len(texts) < 20:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    return " ".join(texts)
