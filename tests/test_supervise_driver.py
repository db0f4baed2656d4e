"""A zip comes whatever happens to trainers and samplers: from the CPU, or from halfway."""

import time

import pytest
from tiny import RECIPE

from dogsgan.supervise.children import ERROR, Ended
from dogsgan.supervise.driver import Driver, Job
from dogsgan.supervise.session import Clock, Session, Terminal


class Script(Session):
    """A session whose samplers end as a list says."""

    def __init__(self, acts, *, is_hard):
        super().__init__(Clock(time.monotonic(), 600.0, is_hard=is_hard), Terminal())
        self.acts, self.asked = list(acts), []

    def run(self, part, request, *, stop_at, gpus=None):
        self.asked.append((part, request["device"], gpus))
        act = self.acts.pop(0)
        if act == "works":
            return Ended("done", 0, ({"images_seen": 8},), (), 1.0)
        if act == "mistake":
            return Ended("failed", 2, ({ERROR: "the disk is full: free some space"},), (), 1.0)
        return Ended(act, -9, (), (), 1.0)


@pytest.fixture
def sample(tmp_path):
    def sample(*acts, gpus=None, safe=False):
        session = Script(acts, is_hard=gpus is not None)
        job = Job(RECIPE, tmp_path, run=tmp_path / "run", zip_path=tmp_path / "images.zip", device="cuda")
        driver = Driver(session, job, gpus=gpus)
        driver.safety.report = {"images_seen": 4} if safe else {}
        return driver, session, driver.sample()

    return sample


@pytest.mark.parametrize("failure", ["failed", "stalled", "overran"])
@pytest.mark.parametrize("gpus", [None, [0, 1]])
def test_where_a_gpu_is_lost_the_cpu_samples(sample, failure, gpus):
    driver, session, _ = sample(failure, "works", gpus=gpus)
    first = ("sample", "cuda", None) if gpus is None else ("sample", "auto", [0])
    assert session.asked == [first, ("sample", "cpu", [])]
    assert driver.sampled == {"images_seen": 8}
    assert "the CPU samples" in session.events[0]


def test_the_zip_of_halfway_counts_where_sampling_fails_everywhere(sample):
    driver, session, _ = sample("stalled", "failed", safe=True)
    assert driver.sampled == {"images_seen": 4}
    assert "written for safety" in session.events[-1]
    driver, _, ended = sample("stalled", "failed")
    assert driver.sampled == {}
    assert "SIGKILL" in ended.reason()


def test_what_trying_again_does_not_mend_is_a_user_s_to_know_at_once(sample):
    driver, session, ended = sample("mistake", gpus=None)
    assert len(session.asked) == 1
    assert ended.reason() == "the disk is full: free some space"
    assert driver.sampled == {}


def test_a_kernel_tries_on_whatever_it_was(sample):
    driver, session, _ = sample("mistake", "works", gpus=[0])
    assert driver.sampled == {"images_seen": 8}
    assert len(session.asked) == 2
