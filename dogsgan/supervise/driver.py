"""Training and sampling of one job in child processes, so that a valid zip comes whatever happens to them."""

import time
from typing import Any

from dogsgan.supervise.attempts import USER_ERROR_STATUS, Job, Training
from dogsgan.supervise.children import Ended
from dogsgan.supervise.safety import SafetyZip
from dogsgan.supervise.session import Session


class Driver:
    """The stages of one job. `sampled` is what the sampler said of the zip; empty where there is none."""

    def __init__(self, session: Session, job: Job, *, gpus: list[int] | None = None) -> None:
        """Train on the GPUs of these numbers; on none if the list is empty; on the job's device if None."""
        self.session, self.job = session, job
        self.training = Training(session, job, gpus=gpus)
        self.safety = SafetyZip(session, self._request_if_trained)
        self.sampled: dict[str, Any] = {}

    def train(self) -> None:
        """Train until the time is up, whatever happens."""
        with self.safety:
            self.training.run()

    def sample(self) -> Ended:
        """Write the zip from the last good generator: where it was trained, else on the CPU.

        Where that fails the zip of halfway counts, if there is one. Return how the last sampler ended.
        """
        session, clock, gpus = self.session, self.session.clock, self.training.gpus
        if gpus is None or (gpus and time.monotonic() < clock.first_try_stops_at()):
            device = self.job.device if gpus is None else "auto"
            ended = self._sample_on(gpus and gpus[:1], device, stop_at=clock.first_try_stops_at())
            is_user_error = gpus is None and ended.status == USER_ERROR_STATUS
            if self.sampled or is_user_error:
                return ended
            where = "the GPU" if gpus else device
            session.note(f"sampling on {where} failed ({ended.reason()}): the CPU samples")
        stop_at = clock.ends_at if self.safety.report and clock.is_hard else clock.last_call_at
        ended = self._sample_on([], "cpu", stop_at=stop_at)
        if not self.sampled:
            session.note(f"sampling on the CPU failed: {ended.reason()}")
            self.sampled = self.safety.report
            if self.sampled:
                session.note("images.zip is the one that was written for safety, halfway through training")
        return ended

    def _sample_on(self, gpus: list[int] | None, device: str, *, stop_at: float) -> Ended:
        ended = self.session.run("sample", {**self._request(), "device": device}, stop_at=stop_at, gpus=gpus)
        self.sampled = ended.answer or {}
        return ended

    def _request_if_trained(self) -> dict[str, Any]:
        return self._request() if self.training.reached() > 0 else {}

    def _request(self) -> dict[str, Any]:
        job = self.job
        return {
            "generators": [str(path) for path in self.training.generators()],
            "recipe": self.training.recipe.to_json(),
            "class_count": job.class_count,
            "out": str(job.zip_path),
            "grid": str(job.zip_path.with_name("samples.png")) if job.is_checked else None,
            "count": job.count,
            "seed": job.seed,
            "truncation": job.truncation,
        }
