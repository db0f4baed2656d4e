"""Parts of a supervised run in a test's own process, where it can patch what they do."""

import json

import pytest

from dogsgan.errors import DogsganError
from dogsgan.supervise import worker
from dogsgan.supervise.children import ERROR, Ended
from dogsgan.supervise.session import Session


@pytest.fixture
def in_process_fixture(monkeypatch):
    """Run every part here; return the names of those that were run. Torch takes seconds in a process."""
    parts = []

    def run(self, part, request, *, stop_at, gpus=None, forward_signals=False, beside=None):
        parts.append(part)
        try:
            answer = worker.part_named(part)(json.loads(json.dumps(request)))
        except DogsganError as error:
            return Ended("failed", 2, ({ERROR: str(error)},), (), 0.0)
        return Ended("done", 0, (json.loads(json.dumps(answer)),), (), 0.0, 0.0)

    monkeypatch.setattr(Session, "run", run)
    monkeypatch.setattr(worker, "answer", lambda value: None)
    monkeypatch.setattr(worker, "ready", lambda: None)
    return parts
