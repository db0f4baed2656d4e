"""Ways to copy a training picture, for `bench_audit.py`.

Each takes a picture, H×W×3 uint8, and a random generator, and returns a picture of the same size.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

Attack = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def exact(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change nothing."""
    return picture


def flip(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mirror left and right."""
    return picture[:, ::-1]


def head_over(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mirror top and bottom."""
    return picture[::-1]


def jpeg(quality: int) -> Attack:
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


def blur(sigma: float) -> Attack:
    """Blur by a Gaussian of sigma px."""
    return lambda picture, random: np.asarray(
        Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma))
    )


def noise(sigma: float) -> Attack:
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


def crop(area: float) -> Attack:
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


def shift(pixels: int) -> Attack:
    """Move in one of four directions; what appears is wrapped around, the edge repeated, or black."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        side = len(picture)
        right, down = [(pixels, 0), (-pixels, 0), (0, pixels), (pixels, -pixels)][random.integers(4)]
        mode = ("wrap", "edge", "constant")[random.integers(3)]
        padded = np.pad(picture, ((pixels, pixels), (pixels, pixels), (0, 0)), mode=mode)
        top, left = pixels - down, pixels - right
        return padded[top : top + side, left : left + side]

    return attack


def turn(degrees: float) -> Attack:
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


def cover(pixels: int) -> Attack:
    """Lay a plain or noisy square over it, anywhere."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        covered = picture.copy()
        x, y = random.integers(0, len(picture) - pixels + 1, 2)
        plain = random.random() < 0.7
        patch = random.integers(0, 256, (1, 1, 3) if plain else (pixels, pixels, 3))
        covered[y : y + pixels, x : x + pixels] = patch
        return covered

    return attack


def chain(*attacks: Attack) -> Attack:
    """Do one after the other."""

    def attack(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        for one in attacks:
            picture = one(np.ascontiguousarray(picture), random)
        return picture

    return attack


def blend(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Mix two pictures, `share` of the first."""
    return _rounded(share * first.astype(np.float64) + (1 - share) * second)


PROMISED: dict[str, tuple[Attack, float]] = {
    "exact": (exact, 98),
    "flip": (flip, 98),
    "JPEG, quality 40": (jpeg(40), 98),
    "scaled to half and back": (half_and_back, 98),
    "blur, σ = 1 px": (blur(1.0), 98),
    "noise, σ = 8": (noise(8), 98),
    "brightness ± 25%": (brightness, 98),
    "contrast ± 25%": (contrast, 98),
    "hue ± 30°": (hue, 98),
    "crop of 85% of the area": (crop(0.85), 95),
    "crop of 70% of the area": (crop(0.70), 95),
    "shift by 6 px": (shift(6), 95),
    "turn by ± 8°": (turn(8), 95),
    "16 px square covered": (cover(16), 95),
    "crop + flip + contrast": (chain(crop(0.78), flip, contrast), 95),
}
"""What an audit has to find, with the percentage of it that it has to find at least."""
BLENDS: dict[str, tuple[float, float]] = {"blend 70/30": (0.7, 85), "blend 50/50": (0.5, 60)}
"""Share of the first picture, and the percentage to find."""
OTHERS: dict[str, Attack] = {
    "shift + blur": chain(shift(6), blur(1.0)),
    "turn + flip": chain(turn(8), flip),
    "crop + noise": chain(crop(0.85), noise(8)),
    "crop + turn": chain(crop(0.85), turn(8)),
    "crop + JPEG": chain(crop(0.70), jpeg(40)),
    "turn + hue + cover": chain(turn(8), hue, cover(16)),
    "grey + flip + JPEG": chain(grey, flip, jpeg(40)),
    "shrink + brightness": chain(shrink, brightness),
    "shift + flip + noise + gamma": chain(shift(4), flip, noise(8), gamma),
    "crop of 50% of the area": crop(0.5),
    "turn by ± 15°": turn(15),
    "stretched": stretch,
    "on a plain ground at 80%": shrink,
    "head over": head_over,
    "grey": grey,
    "gamma 0.6 or 1.7": gamma,
    "six levels a colour": posterized,
    "negative": negative,
    "32 px square covered": cover(32),
    "blur, σ = 2 px": blur(2.0),
    "noise, σ = 20": noise(20),
    "JPEG, quality 10": jpeg(10),
}
"""What nothing was tuned on."""
RESIZED: dict[str, Attack] = {
    "scaled up by half and back": half_up_and_back,
    "scaled to three quarters and back": three_quarters_and_back,
}
"""Scaled without any other loss."""
KINDS: dict[str, tuple[str, str]] = {
    "exact": ("exact", ""),
    "flip": ("flip", ""),
    "JPEG, quality 40": ("JPEG", ""),
    "scaled to half and back": ("blurred", ""),
    "scaled up by half and back": ("", "near-exact + blurred"),
    "scaled to three quarters and back": ("", "near-exact + blurred"),
    "blur, σ = 1 px": ("blurred", ""),
    "noise, σ = 8": ("noise", ""),
    "brightness ± 25%": ("recoloured", ""),
    "contrast ± 25%": ("recoloured", ""),
    "hue ± 30°": ("recoloured", ""),
    "crop of 85% of the area": ("crop", ""),
    "crop of 70% of the area": ("crop", ""),
    "shift by 6 px": ("shift", "covered"),
    "turn by ± 8°": ("turned", "covered"),
    "16 px square covered": ("covered", ""),
    "crop + flip + contrast": ("crop + flip + recoloured", ""),
    "blend 70/30": ("blend", ""),
    "blend 50/50": ("blend", ""),
    "shift + blur": ("shift + blurred", "covered"),
    "turn + flip": ("turned + flip", "covered"),
    "crop + noise": ("crop + noise", ""),
    "crop + turn": ("crop + turned", "covered"),
    "crop + JPEG": ("crop + JPEG", "blurred"),
    "turn + hue + cover": ("turned + recoloured + covered", ""),
    "grey + flip + JPEG": ("recoloured + flip + JPEG", ""),
    "shrink + brightness": ("shrunk + recoloured", "covered"),
    "shift + flip + noise + gamma": ("shift + flip + noise + recoloured", "covered"),
    "crop of 50% of the area": ("crop", ""),
    "turn by ± 15°": ("turned", "covered"),
    "stretched": ("stretched", "crop"),
    "on a plain ground at 80%": ("shrunk", "covered"),
    "head over": ("turned 180° + flip", ""),
    "grey": ("recoloured", ""),
    "gamma 0.6 or 1.7": ("recoloured", ""),
    "32 px square covered": ("covered", ""),
    "blur, σ = 2 px": ("blurred", ""),
    "noise, σ = 20": ("noise", ""),
    "JPEG, quality 10": ("JPEG", "blurred"),
}
"""What the kind has to name, and what it may name beside, as that is true: a turn bares the corners."""
GEOMETRY = frozenset(("crop", "shrunk", "shift", "stretched", "turned"))
"""Parts of a kind that another form of the same training picture changes."""


def named_right(attack: str, kind: str, *, same_form: bool) -> bool:
    """Whether a kind says what was done; `same_form`: whether it is told of the very view that was copied."""
    needed, allowed = (set(filter(None, part.split(" + "))) for part in KINDS[attack])
    steps = set(kind.partition(" of ")[0].split(" + "))
    if not same_form:
        needed, allowed = needed - GEOMETRY - {"exact"}, allowed | GEOMETRY | {"near-exact"}
    return needed <= steps and steps - needed <= allowed


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).round().astype(np.uint8)
