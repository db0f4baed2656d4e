"""Ways to copy a training picture, for `bench_audit.py`.

Each takes a picture, H×W×3 uint8, and a random generator, and returns a picture of the same size.
"""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def exact(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change nothing."""
    return picture


def flip(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mirror left and right."""
    return picture[:, ::-1]


def head_over(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mirror top and bottom."""
    return picture[::-1]


def jpeg(quality: int) -> Change:
    """Compress."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))

    return attack


def half_and_back(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Scale to half the size and back."""
    side = len(picture)
    small = Image.fromarray(picture).resize((side // 2, side // 2), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))


def half_up_and_back(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Scale up by half and back."""
    side = len(picture)
    large = Image.fromarray(picture).resize((side * 3 // 2, side * 3 // 2), Image.Resampling.BILINEAR)
    return np.asarray(large.resize((side, side), Image.Resampling.BILINEAR))


def three_quarters_and_back(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Scale to three quarters of the size and back."""
    side = len(picture)
    small = Image.fromarray(picture).resize((side * 3 // 4, side * 3 // 4), Image.Resampling.LANCZOS)
    return np.asarray(small.resize((side, side), Image.Resampling.LANCZOS))


def blur(sigma: float) -> Change:
    """Blur by a Gaussian of sigma px."""
    return lambda picture, random: np.asarray(
        Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma))
    )


def noise(sigma: float) -> Change:
    """Add Gaussian noise of sigma grey levels."""
    return lambda picture, random: _rounded(picture + random.normal(0, sigma, picture.shape))


def brightness(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Make 25% brighter or darker."""
    return _rounded(picture * random.choice([0.75, 1.25]))


def contrast(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Raise or lower the contrast by 25%."""
    mean = picture.mean()
    return _rounded((picture - mean) * random.choice([0.75, 1.25]) + mean)


def hue(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Turn the hue by 30 degrees either way."""
    hsv = np.array(Image.fromarray(picture).convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(int) + random.choice([-1, 1]) * round(256 * 30 / 360)) % 256
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))


def grey(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Take the colour away."""
    return np.repeat(np.asarray(Image.fromarray(picture).convert("L"))[..., None], 3, axis=2)


def gamma(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Bend the tones."""
    return _rounded(255 * (picture / 255) ** random.choice([0.6, 1.7]))


def posterized(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Leave six levels of each colour."""
    return _rounded(picture // 48 * 48 + 24.0)


def negative(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Invert."""
    return 255 - picture


def crop(area: float) -> Change:
    """Cut out a square of that share of the area, anywhere, and scale it up."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        side = len(picture)
        width = side * area**0.5
        left, top = random.uniform(0, side - width, 2)
        method = random.choice([Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
        box = (left, top, left + width, top + width)
        return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling(method), box=box))

    return attack


def stretch(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cut a tenth off the left and the right, and squash the rest to a square."""
    side = len(picture)
    return np.asarray(
        Image.fromarray(picture).resize(
            (side, side), Image.Resampling.BILINEAR, box=(0.1 * side, 0, 0.9 * side, side)
        )
    )


def shrink(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Scale to 80% and put it on a plain ground."""
    side = len(picture)
    inner = round(0.8 * side)
    ground = np.empty_like(picture)
    ground[:] = picture.mean(axis=(0, 1)).astype(np.uint8)
    start = (side - inner) // 2
    ground[start : start + inner, start : start + inner] = np.asarray(
        Image.fromarray(picture).resize((inner, inner), Image.Resampling.LANCZOS)
    )
    return ground


def shift(pixels: int) -> Change:
    """Move in one of four directions; what appears is wrapped around, the edge repeated, or black."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        side = len(picture)
        right, down = [(pixels, 0), (-pixels, 0), (0, pixels), (pixels, -pixels)][random.integers(4)]
        mode = ("wrap", "edge", "constant")[random.integers(3)]
        padded = np.pad(picture, ((pixels, pixels), (pixels, pixels), (0, 0)), mode=mode)
        top, left = pixels - down, pixels - right
        return padded[top : top + side, left : left + side]

    return attack


def turn(degrees: float) -> Change:
    """Turn either way; the corners are black or mirrored."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        angle = degrees * random.choice([-1, 1])
        if random.random() < 0.5:
            return np.asarray(Image.fromarray(picture).rotate(angle, Image.Resampling.BILINEAR))
        border = len(picture) // 4
        padded = np.pad(picture, ((border, border), (border, border), (0, 0)), mode="reflect")
        turned = np.asarray(Image.fromarray(padded).rotate(angle, Image.Resampling.BICUBIC))
        return turned[border:-border, border:-border]

    return attack


def cover(pixels: int) -> Change:
    """Lay a plain or noisy square over it, anywhere."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        covered = picture.copy()
        x, y = random.integers(0, len(picture) - pixels + 1, 2)
        plain = random.random() < 0.7
        patch = random.integers(0, 256, (1, 1, 3) if plain else (pixels, pixels, 3))
        covered[y : y + pixels, x : x + pixels] = patch
        return covered

    return attack


def chain(*changes: Change) -> Change:
    """Do one after the other."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        for one in changes:
            picture = one(np.ascontiguousarray(picture), random)
        return picture

    return attack


def blend(share: float) -> Change:
    """Mix two pictures, 2×H×W×3, `share` of the first."""
    return lambda pictures, random: _rounded(share * pictures[0] + (1 - share) * pictures[1])


class Attack(NamedTuple):
    """A way to copy, and what an audit has to say of it."""

    make: Change
    named: str | None = None
    """What the kind has to name; None where no kind does."""
    allowed: str = ""
    """What it may name beside, as that is true: a turn bares the corners."""
    promised: float | None = None
    """The percentage of copies that an audit has to find; None where nothing was tuned on it."""


ATTACKS = {
    "exact": Attack(exact, "exact", promised=98),
    "flip": Attack(flip, "flip", promised=98),
    "JPEG, quality 40": Attack(jpeg(40), "JPEG", promised=98),
    "scaled to half and back": Attack(half_and_back, "blurred", promised=98),
    "blur, σ = 1 px": Attack(blur(1.0), "blurred", promised=98),
    "noise, σ = 8": Attack(noise(8), "noise", promised=98),
    "brightness ± 25%": Attack(brightness, "recoloured", promised=98),
    "contrast ± 25%": Attack(contrast, "recoloured", promised=98),
    "hue ± 30°": Attack(hue, "recoloured", promised=98),
    "crop of 85% of the area": Attack(crop(0.85), "crop", promised=95),
    "crop of 70% of the area": Attack(crop(0.70), "crop", promised=95),
    "shift by 6 px": Attack(shift(6), "shift", "covered", promised=95),
    "turn by ± 8°": Attack(turn(8), "turned", "covered", promised=95),
    "16 px square covered": Attack(cover(16), "covered", promised=95),
    "crop + flip + contrast": Attack(
        chain(crop(0.78), flip, contrast), "crop + flip + recoloured", promised=95
    ),
    "shift + blur": Attack(chain(shift(6), blur(1.0)), "shift + blurred", "covered"),
    "turn + flip": Attack(chain(turn(8), flip), "turned + flip", "covered"),
    "crop + noise": Attack(chain(crop(0.85), noise(8)), "crop + noise"),
    "crop + turn": Attack(chain(crop(0.85), turn(8)), "crop + turned", "covered"),
    "crop + JPEG": Attack(chain(crop(0.70), jpeg(40)), "crop + JPEG", "blurred"),
    "turn + hue + cover": Attack(chain(turn(8), hue, cover(16)), "turned + recoloured + covered"),
    "grey + flip + JPEG": Attack(chain(grey, flip, jpeg(40)), "recoloured + flip + JPEG"),
    "shrink + brightness": Attack(chain(shrink, brightness), "shrunk + recoloured", "covered"),
    "shift + flip + noise + gamma": Attack(
        chain(shift(4), flip, noise(8), gamma), "shift + flip + noise + recoloured", "covered"
    ),
    "crop of 50% of the area": Attack(crop(0.5), "crop"),
    "turn by ± 15°": Attack(turn(15), "turned", "covered"),
    "stretched": Attack(stretch, "stretched", "crop"),
    "on a plain ground at 80%": Attack(shrink, "shrunk", "covered"),
    "head over": Attack(head_over, "turned 180° + flip"),
    "grey": Attack(grey, "recoloured"),
    "gamma 0.6 or 1.7": Attack(gamma, "recoloured"),
    "six levels a colour": Attack(posterized),
    "negative": Attack(negative),
    "32 px square covered": Attack(cover(32), "covered"),
    "blur, σ = 2 px": Attack(blur(2.0), "blurred"),
    "noise, σ = 20": Attack(noise(20), "noise"),
    "JPEG, quality 10": Attack(jpeg(10), "JPEG", "blurred"),
    "blend 70/30": Attack(blend(0.7), "blend", promised=85),
    "blend 50/50": Attack(blend(0.5), "blend", promised=60),
    "scaled up by half and back": Attack(half_up_and_back, "", "near-exact + blurred"),
    "scaled to three quarters and back": Attack(three_quarters_and_back, "", "near-exact + blurred"),
}
GEOMETRY = frozenset(("crop", "shrunk", "shift", "stretched", "turned"))
"""Parts of a kind that another form of the same training picture changes."""


def named_right(attack: str, kind: str, *, same_form: bool) -> bool:
    """Whether a kind says what was done; `same_form`: whether it is told of the very view that was copied."""
    needed, allowed = (set(filter(None, (part or "").split(" + "))) for part in ATTACKS[attack][1:3])
    steps = set(kind.partition(" of ")[0].split(" + "))
    if not same_form:
        needed, allowed = needed - GEOMETRY - {"exact"}, allowed | GEOMETRY | {"near-exact"}
    return needed <= steps and steps - needed <= allowed


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).round().astype(np.uint8)
