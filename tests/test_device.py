"""A device is used only after an operation ran on it."""

import pytest
import torch

from dogsgan import device as module
from dogsgan.device import pick_device, synchronize, works
from dogsgan.errors import DogsganError


@pytest.fixture
def broken_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that torch lists and whose every kernel fails, as one too old or too new for the build."""

    def no_kernel(*args: object, **kwargs: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", no_kernel)


def test_the_cpu_works() -> None:
    assert works(torch.device("cpu"))
    assert pick_device("cpu") == torch.device("cpu")
    synchronize(torch.device("cpu"))


def test_a_device_without_storage_does_not() -> None:
    assert not works(torch.device("meta"))


def test_wrong_numbers_are_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ones", lambda *size, **options: torch.full(size, torch.nan, **options))
    assert not works(torch.device("cpu"))


@pytest.mark.usefixtures("broken_gpu")
def test_a_gpu_that_is_listed_but_broken_is_passed_over_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert pick_device("auto") == torch.device("cpu")
    assert "cuda:0 is listed but no operation runs on it" in capsys.readouterr().err


@pytest.mark.usefixtures("broken_gpu")
def test_a_broken_gpu_that_was_asked_for_is_an_error() -> None:
    with pytest.raises(DogsganError, match="no operation runs on device 'cuda:0'"):
        pick_device("cuda:0")


def test_auto_takes_a_gpu_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(module, "works", lambda device: True)
    assert pick_device() == torch.device("cuda:0")


def test_mps_is_used_only_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(module, "works", lambda device: True)
    assert pick_device("auto") == torch.device("cpu")
    assert pick_device("mps") == torch.device("mps")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cpu:-1"])
def test_a_name_of_no_device_is_an_error(name: str) -> None:
    with pytest.raises(DogsganError, match="no such device"):
        pick_device(name)
