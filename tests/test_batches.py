"""Every picture once a pass, in a new order, from any saved place."""

import numpy as np
import torch
from PIL import Image

from dogsgan.training.batches import Batches


def batches(*, count: int = 10, batch_size: int = 4, flip: bool = False, held_out: float = 0.0) -> Batches:
    pictures = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    return Batches(
        pictures,
        np.arange(count),
        batch_size=batch_size,
        flip=flip,
        device=torch.device("cpu"),
        random=torch.Generator().manual_seed(1),
        seed=2,
        held_out=held_out,
    )


def test_a_pass_shows_every_picture_once_and_batches_span_passes():
    stream = batches()
    seen = torch.cat([stream.next()[1] for _ in range(5)]).tolist()  # 20 = two passes
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_a_set_smaller_than_a_batch_still_fills_it():
    labels = batches(count=3, batch_size=8).next()[1]
    assert len(labels) == 8
    assert set(labels.tolist()) == {0, 1, 2}


def test_pictures_keep_their_labels_and_range():
    pictures, labels = batches().next()
    assert pictures.shape == (4, 3, 2, 2)
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(pictures[:, 0, 0, 0], labels / 127.5 - 1)


def test_grey_is_pillow_s():
    colours = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    stream = Batches(
        colours,
        np.arange(6),
        channels=1,
        batch_size=6,
        flip=False,
        device=torch.device("cpu"),
        random=torch.Generator(),
        seed=0,
    )
    pictures, labels = stream.next()
    expected = np.stack([np.asarray(Image.fromarray(colours[i]).convert("L")) for i in labels])
    found = ((pictures[:, 0] + 1) * 127.5).numpy()
    assert np.abs(found - expected).max() <= 1.01  # Pillow's weights are rounded to 16 bits


def test_a_saved_place_is_returned_to():
    stream, twin = batches(flip=True), batches(flip=True)
    for _ in range(4):
        stream.next()
    twin.load_state_dict(stream.state_dict())
    twin.random.set_state(stream.random.get_state())
    for _ in range(6):
        ours, theirs = stream.next(), twin.next()
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_held_out_pictures_are_never_trained_on():
    stream = batches(count=10, held_out=0.3)
    held_out = set(stream.held_out(99)[1].tolist())
    assert len(held_out) == 3
    seen = torch.cat([stream.next()[1] for _ in range(7)]).tolist()  # 28 = four passes of seven
    assert sorted(seen) == sorted(4 * list(set(range(10)) - held_out))
    assert set(stream.trained_on(99)[1].tolist()) == set(seen)
    pictures, labels = stream.held_out(2)
    torch.testing.assert_close(pictures[:, 0, 0, 0], labels / 127.5 - 1)


def test_a_small_share_holds_out_at_least_one_and_no_share_none():
    assert len(batches(count=10, held_out=0.01).held_out(99)[1]) == 1
    assert not batches(count=10).holds_out
    assert not batches(count=1, held_out=0.5).holds_out  # there has to be something to train on
