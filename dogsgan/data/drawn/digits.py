"""Drawn digits in MNIST's own four files, so that grey recipes can be tried where no data is at hand.

Each is written as a hand does it: strokes through a few points, bent, slanted, turned and of some thickness,
in one of the forms that people use. Then it is placed as MNIST's are (LeCun et al. 1998): 20 px at its longer
side, the centre of its ink in the middle of 28×28 px.
"""

import functools
import gzip
import struct
from pathlib import Path

import numpy as np

from dogsgan.data.drawn import refuse_request
from dogsgan.data.drawn.dogs import points, smooth
from dogsgan.files import atomic_path
from dogsgan.progress import progress_bar

SIDE_PX = 28
LONGER_SIDE_PX = 20.0
TEST_SHARE = 6  # as MNIST's: of 60,000 to train on, a sixth to test with
_STEPS = 4  # straight pieces between two points of a stroke
_BEND = 0.055  # how far a hand's bends move a point, as a share of the digit's height
_PIXELS = np.arange(SIDE_PX, dtype=np.float64)

# Strokes are parted by /; a point is x,y in hundredths, to the right and down. A stroke is smooth; one that
# begins where another ends makes a corner.
_FORMS = """
0: 55,0 18,17 5,50 17,85 50,100 83,85 95,50 84,16 50,0
0: 72,8 30,4 5,45 20,90 60,100 93,65 85,20 60,2
1: 50,0 51,50 50,100
1: 28,22 50,0 / 50,0 50,100
1: 28,22 50,0 / 50,0 50,100 / 22,100 78,100
2: 8,26 30,3 68,2 85,26 68,58 5,100 / 5,100 50,97 95,98
2: 10,20 40,0 80,14 74,48 38,86 10,97 8,80 32,77 62,94 97,95
3: 10,13 42,0 80,12 76,36 38,48 / 38,48 80,55 88,83 50,100 6,88
3: 10,3 82,3 / 82,3 42,42 / 42,42 80,52 85,82 50,100 8,90
4: 20,0 6,54 / 6,54 50,57 95,53 / 76,8 71,50 69,100
4: 62,0 2,66 / 2,66 98,66 / 62,0 62,100
4: 12,3 6,35 25,52 60,48 84,30 / 86,0 82,50 74,100
5: 85,2 26,3 / 26,3 19,42 / 19,42 55,36 88,58 78,90 42,100 6,89
5: 30,2 24,40 60,42 82,68 62,96 12,97 / 30,3 60,4 92,0
6: 72,0 30,27 8,66 25,95 60,99 84,77 66,55 34,58 12,76
6: 30,0 12,50 20,90 55,100 80,78 60,57 20,68
7: 5,5 50,6 92,3 / 92,3 60,48 42,100
7: 6,16 10,4 50,5 90,3 / 90,3 62,50 45,100
7: 5,5 92,3 / 92,3 60,48 42,100 / 32,52 84,48
8: 82,16 50,0 20,17 36,41 70,58 84,80 50,100 14,81 34,58 68,39 80,14
8: 50,46 20,28 36,3 68,3 80,26 50,46 14,70 26,96 70,98 86,72 48,46
9: 84,20 60,2 22,8 12,34 40,50 74,38 86,14 / 86,14 82,55 74,100
9: 82,22 56,2 18,12 14,38 44,50 76,34 84,14 / 84,14 86,62 62,96 22,96
"""
FORMS = [
    [line[3:] for line in _FORMS.strip().splitlines() if line.startswith(f"{digit}:")] for digit in range(10)
]
"""The forms of each digit, 0 to 9."""


def draw_digits(out: Path, *, images: int, seed: int = 0) -> Path:
    """Draw `images` digits to train on and a sixth of that to test with, and write MNIST's four files.

    The same `images` and `seed` give the same bytes.

    Raises:
        DogsganError: `images` is not from 10 to a million, `out` is no empty folder, or it cannot be written.
    """
    out = Path(out)
    refuse_request(images, "digits", least=10, folder=out)
    with atomic_path(out) as partial:
        partial.mkdir()
        for split, count in (("train", images), ("t10k", images // TEST_SHARE)):
            pictures, labels = _draw_split(split, count, seed)
            (partial / f"{split}-images-idx3-ubyte.gz").write_bytes(_packed_idx(pictures))
            (partial / f"{split}-labels-idx1-ubyte.gz").write_bytes(_packed_idx(labels))
    return out


def _draw_split(split: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw N×28×28 pictures of as many of each digit as can be, in any order, and their N labels."""
    rng = np.random.default_rng((seed, *split.encode()))
    labels = rng.permutation(np.arange(count) % len(FORMS)).astype(np.uint8)
    drawn = [draw_digit(int(label), rng) for label in progress_bar(labels, description=f"draw {split}")]
    return np.stack(drawn), labels


def draw_digit(digit: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one digit as a hand once writes it: 28×28 uint8, white on black."""
    forms = FORMS[digit]
    thickness_px = rng.uniform(1.4, 3.4)
    written = _by_hand(_bars(forms[rng.integers(len(forms))]), rng)
    return _ink(_placed(written, LONGER_SIDE_PX - thickness_px), thickness_px, edge_px=rng.uniform(0.9, 1.5))


@functools.cache
def _bars(form: str) -> np.ndarray:
    """Return the straight pieces that a form's strokes consist of, as N×2×2: start and end, x and y."""
    curves = [smooth(points(stroke), steps=_STEPS) for stroke in form.split("/")]
    return np.concatenate([np.stack([curve[:-1], curve[1:]], axis=1) for curve in curves])


def _by_hand(bars: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bend, slant and turn what is written, and make it narrower or wider."""
    waves = rng.normal(0, 3.0, (2, 2))  # radians across a digit: one bend or less
    bent = bars + _BEND * np.sin(bars @ waves + rng.uniform(0, 2 * np.pi, 2))
    slant, turn, width = rng.normal(-0.12, 0.18), rng.normal(0, 0.1), rng.uniform(0.55, 0.95)
    shear = np.array([[width, 0], [slant, 1]])  # rows: where x goes, where y goes
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return bent @ shear @ rotation


def _placed(bars: np.ndarray, longer_side_px: float) -> np.ndarray:
    """Scale what is written to a length, and put the middle of its ink in the middle of the picture."""
    scaled = bars * (longer_side_px / np.ptp(bars, axis=(0, 1)).max())
    lengths = np.linalg.norm(scaled[:, 1] - scaled[:, 0], axis=1)
    middle = np.average(scaled.mean(axis=1), axis=0, weights=lengths)
    return scaled - middle + (SIDE_PX - 1) / 2


def _ink(bars: np.ndarray, thickness_px: float, *, edge_px: float) -> np.ndarray:
    """Draw bars with round ends, N×2×2 in px, by each pixel's distance to the nearest; the edge is soft."""
    start, along = bars[:, 0], bars[:, 1] - bars[:, 0]
    pixels = np.stack(np.meshgrid(_PIXELS, _PIXELS), axis=-1)[:, :, None]  # 28×28×1×2
    away = pixels - start
    share = ((away * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)).clip(0, 1)  # 28×28×N
    distance = np.linalg.norm(away - share[..., None] * along, axis=-1).min(axis=2)
    ink = np.clip((thickness_px / 2 - distance) / edge_px + 0.5, 0, 1)
    return np.rint(255 * ink).astype(np.uint8)


def _packed_idx(values: np.ndarray) -> bytes:
    """Return uint8 values as a gzipped idx file, without the date that gzip would note."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 0x08, values.ndim, *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)
