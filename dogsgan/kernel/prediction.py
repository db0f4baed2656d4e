"""Rough prediction of the images that nine hours on two T4 would see, by a rehearsal's measured speed."""

from dataclasses import asdict, dataclass
from typing import Any

from dogsgan.config import Recipe

T4_MATRIX_FLOPS = 25e12  # float16 with tensor cores, sustained; the data sheet's peak is 65e12
T4_COUNT, PARALLEL_EFFICIENCY = 2, 0.9
KERNEL_S = 9 * 3600.0
MATRIX_SIDE = 1024
TIMED_S = 1.0


@dataclass(frozen=True)
class Prediction:
    """Images that two T4 would see in nine hours, and every number that it was made from."""

    images: int
    images_per_second: float
    recipe: str  # that would be trained there
    flops_per_image: float
    measured_recipe: str
    measured_images_per_second: float
    measured_flops_per_image: float
    efficiency: float  # of the measured training, against this machine's matrix product
    reserve_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return the prediction with its assumptions."""
        return (
            f"nine hours on two T4 would see about {self.images / 1e6:.1f} million images "
            f"({self.images_per_second:.0f} a second) of {self.recipe}. Rough; it assumes: the efficiency "
            f"measured here, {self.efficiency:.1%} of this machine's own matrix product ("
            f"{self.measured_recipe}, {self.measured_images_per_second:.1f} images/s, "
            f"{self.measured_flops_per_image / 1e9:.2f} GFLOP an image), holds there; a T4 sustains "
            f"{T4_MATRIX_FLOPS / 1e12:.0f} TFLOP/s in float16; two do {T4_COUNT * PARALLEL_EFFICIENCY:.1f} "
            f"times one; {self.flops_per_image / 1e9:.2f} GFLOP an image; "
            f"{self.reserve_s / 60:.0f} min go to all else"
        )


def predict(recipe: Recipe, *, measured: Recipe, images_per_second: float, reserve_s: float) -> Prediction:
    """Scale a measured speed to two T4 by the arithmetic that an image takes.

    `measured` is the recipe that ran at `images_per_second` here. `reserve_s` of a kernel are not training.
    """
    needed, done = flops_per_image(recipe), flops_per_image(measured)
    efficiency = images_per_second * done / matrix_flops()
    rate = efficiency * T4_MATRIX_FLOPS * T4_COUNT * PARALLEL_EFFICIENCY / needed
    return Prediction(
        images=round(rate * (KERNEL_S - reserve_s)),
        images_per_second=rate,
        recipe=recipe.name,
        flops_per_image=needed,
        measured_recipe=measured.name,
        measured_images_per_second=images_per_second,
        measured_flops_per_image=done,
        efficiency=efficiency,
        reserve_s=reserve_s,
    )


def flops_per_image(recipe: Recipe, *, class_count: int = 120) -> float:
    """Count what one real image costs: a step of each network, forward and backward, by torch's counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from dogsgan.models import build_networks

    batch, classes = 2, class_count if recipe.model.conditional else 0
    with torch.device("meta"):  # shapes only
        generator, discriminator = build_networks(recipe, class_count=classes)
        z = torch.randn(batch, recipe.model.z_dim)
        labels = torch.zeros(batch, dtype=torch.int64)
        with FlopCounterMode(display=False) as discriminator_counter:
            with torch.no_grad():
                fake = generator(z, labels)
            both = torch.cat([fake, fake])
            discriminator(both, torch.cat([labels, labels]), parts=2).sum().backward()
        discriminator.requires_grad_(False)
        with FlopCounterMode(display=False) as generator_counter:
            discriminator(generator(z, labels), labels).sum().backward()
    steps = recipe.training.discriminator_steps
    per_image = discriminator_counter.get_total_flops() + generator_counter.get_total_flops() / steps
    return per_image / batch


def matrix_flops() -> float:
    """Measure this machine's float32 matrix product, in operations a second."""
    import torch
    from torch.utils.benchmark import Timer

    a = torch.randn(MATRIX_SIDE, MATRIX_SIDE, device="cuda" if torch.cuda.is_available() else "cpu")
    timer = Timer("a @ a", globals={"a": a}, num_threads=torch.get_num_threads())
    return float(2 * MATRIX_SIDE**3 / min(timer.blocked_autorange(min_run_time=TIMED_S).times))
