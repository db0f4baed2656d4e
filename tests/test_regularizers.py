"""Each regulariser is its formula, and goes on where a checkpoint left it."""

import pytest
import torch

from dogsgan.training.distributed import ProcessGroup
from dogsgan.training.losses import LECAM_HALFLIFE_IMAGES, Judged, LeCam

CPU = torch.device("cpu")


def lecam(*, weight=1.0, batch_size=4):
    return LeCam(weight, batch_size=batch_size, device=CPU, group=ProcessGroup(CPU))


def judged(real, fake):
    nothing = torch.empty(0)
    return Judged(nothing, nothing, None, torch.tensor(real), torch.tensor(fake))


def test_lecam_pulls_logits_to_the_other_side_s_average():
    penalty = lecam(weight=0.3)
    penalty.anchors, penalty.images_seen = torch.tensor([2.0, -1.0]), 10**9
    penalty.batch_size = 0  # a batch that moves no average
    value = penalty(judged([1.0, 3.0], [0.0, -2.0]))
    to_fake = ((1 + 1) ** 2 + (3 + 1) ** 2) / 2
    to_real = ((0 - 2) ** 2 + (-2 - 2) ** 2) / 2
    assert value.item() == pytest.approx(0.3 * (to_fake + to_real))


def test_lecam_s_gradient_reaches_both_sides_and_not_the_averages():
    real, fake = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([-1.0, -2.0], requires_grad=True)
    penalty = lecam()
    nothing = torch.empty(0)
    penalty(Judged(nothing, nothing, None, real, fake)).backward()
    real_anchor, fake_anchor = penalty.anchors.tolist()
    assert not penalty.anchors.requires_grad
    torch.testing.assert_close(real.grad, real.detach() - fake_anchor)
    torch.testing.assert_close(fake.grad, fake.detach() - real_anchor)


@pytest.mark.parametrize("batch_size", [4, 64])
def test_lecam_s_averages_forget_by_images(batch_size):
    penalty = lecam(batch_size=batch_size)
    penalty.anchors, penalty.images_seen = torch.tensor([1.0, 1.0]), 10 * LECAM_HALFLIFE_IMAGES
    for _ in range(round(LECAM_HALFLIFE_IMAGES / batch_size)):
        penalty(judged([0.0], [0.0]))
    assert penalty.anchors.tolist() == pytest.approx([0.5, 0.5], rel=0.01)


def test_lecam_goes_on_where_it_stood():
    first, resumed = lecam(), lecam()
    first(judged([1.0], [-1.0]))
    resumed.load_state_dict(first.state_dict())
    assert first(judged([2.0], [0.5])).item() == resumed(judged([2.0], [0.5])).item()
    assert torch.equal(first.anchors, resumed.anchors)
