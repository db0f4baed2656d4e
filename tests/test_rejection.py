"""Rejection by the discriminator: calibrated logits, the share that is rejected, classes kept."""

import numpy as np
import pytest
from scipy import stats
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.models import rejection
from dogsgan.models.rejection import Rejection, acceptance, calibrate, shift_for
from dogsgan.models.sampling import Sampler
from dogsgan.training.deadline import Deadline
from dogsgan.training.loop import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rejection")
    train(RECIPE, crop_set(folder / "set"), folder / "run", images=16, deadline=Deadline(None))
    return folder


@pytest.fixture
def sampler(run):
    return Sampler.open(run / "run", device="cpu")


def test_calibration_finds_the_density_ratio():
    random = np.random.default_rng(0)
    # Of N(1, 1) against N(-1, 1) the log density ratio at x is 2x; the logits are x/4 + 3.
    real, fake = random.normal(1, 1, 20_000) / 4 + 3, random.normal(-1, 1, 20_000) / 4 + 3
    slope, intercept = calibrate(real, fake)
    assert slope == pytest.approx(8, rel=0.05)
    assert intercept == pytest.approx(-24, rel=0.05)


def test_without_overlap_the_calibration_stays_finite():
    slope, intercept = calibrate(np.linspace(5, 6, 50), np.linspace(-6, -5, 50))
    assert np.isfinite([slope, intercept]).all()


def test_rejection_without_a_shift_turns_one_distribution_into_the_other():
    random = np.random.default_rng(0)
    x = random.normal(0, 1, 400_000)
    ratio = stats.norm.logpdf(x, 0.5, 0.5) - stats.norm.logpdf(x)
    kept = x[random.random(len(x)) < acceptance(ratio, float(ratio.max()), shift=0.0)]
    assert kept.mean() == pytest.approx(0.5, abs=0.01)
    assert kept.std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_that_was_asked_for_is_rejected(share):
    logits = np.random.default_rng(0).normal(0, 2, 5000)
    shift = shift_for(logits, float(logits.max()), share=share)
    assert 1 - acceptance(logits, float(logits.max()), shift=shift).mean() == pytest.approx(share, abs=1e-6)


def test_pictures_with_higher_logits_remain_and_every_place_keeps_its_class(run, sampler):
    chosen = Rejection.of_run(run / "run", sampler, CropSet.open(run / "set"), share=0.8)

    def logits(batches):
        pictures, labels = map(np.concatenate, zip(*batches, strict=True))
        assert labels.tolist() == [index % 3 for index in range(100)]
        scaled = rejection.torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        return rejection._logits(chosen.discriminator, scaled, rejection.torch.from_numpy(labels))

    assert logits(chosen.batches(100)).mean() > logits(sampler.batches(100)).mean()


def test_same_seed_same_bytes(run, sampler):
    chosen = Rejection.of_run(run / "run", sampler, CropSet.open(run / "set"), share=0.5)
    once, again, other = (next(chosen.batches(8, seed=seed)).pictures for seed in (0, 0, 1))
    assert (once == again).all()
    assert (once != other).any()


def test_a_picture_that_is_never_accepted_comes_all_the_same(run, sampler, monkeypatch):
    monkeypatch.setattr(rejection, "MOST_TRIES", 3)
    chosen = Rejection.of_run(run / "run", sampler, CropSet.open(run / "set"), share=0.5)
    monkeypatch.setattr(rejection, "acceptance", lambda calibrated, *_, **__: np.zeros(len(calibrated)))
    assert next(chosen.batches(5)).pictures.shape == (5, 32, 32, 3)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.0, float("nan")])
def test_a_senseless_share_is_refused(run, sampler, share):
    with pytest.raises(DogsganError, match="rejected share"):
        Rejection.of_run(run / "run", sampler, CropSet.open(run / "set"), share=share)


def test_the_command_needs_the_run_and_its_crops(run, tmp_path, capsys, monkeypatch):
    arguments = ["generate", str(run / "run"), "--out", str(tmp_path / "a.zip"), "--count", "6"]
    assert main([*arguments, "--rejection", "0.5"]) == 2
    assert "--data" in capsys.readouterr().err
    assert main([*arguments, "--rejection", "0.5", "--data", str(run / "set")]) == 0
    alone = [*arguments, "--rejection", "0.5", "--data", str(run / "set")]
    alone[1] = str(run / "run" / "generator.safetensors")
    assert main(alone) == 2
    assert "name the run's folder" in capsys.readouterr().err
