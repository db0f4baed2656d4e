"""The images that a GPU would see a second and in nine hours: a range, counted, by published peak rates."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dogsgan.config import Recipe
from dogsgan.kernel.folder import LONGEST_BUDGET_S

if TYPE_CHECKING:
    from dogsgan.training.cost import StepCost


class Range(NamedTuple):
    """The least and the most to expect."""

    low: float
    high: float


class Card(NamedTuple):
    """A GPU's peak rates in its data sheet: dense matrix products with tensor cores, and memory."""

    float16: float
    bfloat16: float
    float32: float  # as TF32 where there is one
    bytes_per_second: float


CARDS = {  # by NVIDIA's data sheets "… Tensor Core GPU"; those of L4 and H100 name twice these, with sparsity
    "T4": Card(65e12, 8.1e12, 8.1e12, 300e9),  # 951643 (2019); no bfloat16; the board's brief says 320 GB/s
    "L4": Card(121e12, 121e12, 60e12, 300e9),  # 2023
    "A100": Card(312e12, 312e12, 156e12, 1_555e9),  # 1758950 (2021), 40 GB; with 80 GB 1,935 or 2,039 GB/s
    "H100": Card(989e12, 989e12, 494e12, 3_350e9),  # 2023, SXM
}
COMPUTED, MOVED = Range(0.15, 0.4), Range(0.5, 0.8)
"""Shares of the peaks that are reached. NVIDIA's own ResNet-50 (24.6 GFLOP an image in training) reaches 19%
on an A100 (2,470 images/s) and 24% on a V100 (1,200), and 15% on a T4 in inference (1,198): README of
DeepLearningExamples, ResNet50 v1.5 for PyTorch. Convolutions here are wider. Those of the bandwidth are
estimates."""
OPERATIONS_PER_SECOND = Range(70e3, 200e3)
"""That the host starts: an estimate, 14 to 5 µs each."""
EXCHANGED_PER_SECOND = Range(5e9, 11e9)
"""Bytes between two T4 over PCIe 3.0 ×16, whose peak is 15.8 GB/s: an estimate."""


@dataclass(frozen=True)
class Prediction:
    """What a recipe takes of a GPU, and the images that each would see."""

    recipe: str
    images: Range  # by two T4 in nine hours
    images_per_second: Range  # by two T4
    one_card: dict[str, Range]  # images a second by one of each
    flops_per_image: float
    moved_bytes_per_image: float
    gpu_memory_bytes: int  # on one card
    reserve_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return the prediction with its assumptions."""
        from dogsgan.training.cost import ALLOWANCE_BYTES  # only here: torch takes seconds

        cards = ", ".join(f"{name} {low:.0f} to {high:.0f}" for name, (low, high) in self.one_card.items())
        return (
            f"{self.recipe} takes {self.gpu_memory_bytes / 1e9:.1f} GB on one GPU, with "
            f"{ALLOWANCE_BYTES / 1e9:.1f} GB for what cannot be counted\n"
            f"nine hours on two T4 would see {self.images.low / 1e6:.1f} to "
            f"{self.images.high / 1e6:.1f} million images ({self.images_per_second.low:.0f} to "
            f"{self.images_per_second.high:.0f} a second); one card, a second: {cards}. Counted, not "
            f"measured: {self.flops_per_image / 1e9:.2f} GFLOP and {self.moved_bytes_per_image / 1e6:.0f} MB "
            f"an image at {COMPUTED.low:.0%} to {COMPUTED.high:.0%} and {MOVED.low:.0%} to {MOVED.high:.0%} "
            f"of the data sheets' peaks; {self.reserve_s / 60:.0f} min go to all else"
        )


def predict(recipe: Recipe, *, reserve_s: float) -> Prediction:
    """Count a step and divide by what each card does. `reserve_s` of a kernel are not training."""
    from dogsgan.training.cost import step_cost  # only here: torch takes seconds

    training = recipe.training
    precision = training.precision.replace("auto", "float16")
    half = replace(recipe, training=replace(training, batch_size=max(2, training.batch_size // 2)))
    whole, share = step_cost(recipe), step_cost(half)
    rates = images_per_second(CARDS["T4"], share, precision=precision, cards=2)
    return Prediction(
        recipe=recipe.name,
        images=Range(*(max(0, round(rate * (LONGEST_BUDGET_S - reserve_s))) for rate in rates)),
        images_per_second=rates,
        one_card={name: images_per_second(card, whole, precision=precision) for name, card in CARDS.items()},
        flops_per_image=whole.flops / whole.images,
        moved_bytes_per_image=whole.moved_bytes / whole.images,
        gpu_memory_bytes=whole.peak_bytes,
        reserve_s=reserve_s,
    )


def images_per_second(card: Card, cost: "StepCost", *, precision: str, cards: int = 1) -> Range:
    """Return the real images that `cards` see a second; the cost is that of each one's step."""
    exchanged = cost.gradient_bytes * (cards > 1)
    slowest, fastest = (
        max(
            cost.flops / getattr(card, precision) / computed
            + cost.moved_bytes / card.bytes_per_second / moved,
            cost.operations / started,
        )
        for computed, moved, started in zip(COMPUTED, MOVED, OPERATIONS_PER_SECOND, strict=True)
    )
    slowest += exchanged / EXCHANGED_PER_SECOND.low
    fastest = max(fastest, exchanged / EXCHANGED_PER_SECOND.high)  # while the gradients are computed
    return Range(cards * cost.images / slowest, cards * cost.images / fastest)
