"""The recipe of a run: what is cropped, what is built, how it is trained. Plain values, checked when created.

A recipe is saved as `recipe.json` in every run and inside every generator file, so that either can be used
alone.
"""

import dataclasses
import sys
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Self

from dogsgan.crops import Policy, parse_policy
from dogsgan.errors import DogsganError

ARCHITECTURES = ("sagan", "dcgan", "dcgan-5x5")
"""Names of the families of networks that `dogsgan.models` builds."""


def _check(condition: bool, section: object, field_name: str, remedy: str) -> None:
    if not condition:
        value = getattr(section, field_name)
        raise DogsganError(
            f"recipe: {_section_name(type(section))}.{field_name} = {value!r} makes no sense: {remedy}"
        )


def _section_name(section: type) -> str:
    return section.__name__.removesuffix("Recipe").lower()


@dataclass(frozen=True)
class DataRecipe:
    """What becomes of the source's pictures."""

    size_px: int = 64
    """Side of the square crops and of the generated pictures."""
    channels: int = 3
    """3 for colour, 1 for grey."""
    policy: str = "square"
    """Crop policy, or a weighted mixture such as `whole:0.5,context:0.5` (`dogsgan.crops`)."""
    boxes: str = "all"
    """With several boxes in a picture: `all` of them, or the `largest`."""
    min_box_px: int = 0
    """Boxes whose shorter side is below this are left out."""

    def __post_init__(self) -> None:
        _check(8 <= self.size_px <= 1024, self, "size_px", "take 8 to 1024 pixels")
        _check(self.channels in (1, 3), self, "channels", "take 1 (grey) or 3 (colour)")
        _check(self.boxes in ("all", "largest"), self, "boxes", "take all or largest")
        _check(self.min_box_px >= 0, self, "min_box_px", "take 0 or more pixels")
        try:
            parse_policy(self.policy)
        except DogsganError as error:
            raise DogsganError(f"recipe: data.policy: {error}") from error

    @property
    def crop_policy(self) -> Policy:
        """The crop policy, parsed."""
        return parse_policy(self.policy)


@dataclass(frozen=True)
class ModelRecipe:
    """What generator and discriminator are made of."""

    architecture: str = "sagan"
    """Which family builds both networks (`dogsgan.models`): `sagan` (residual), `dcgan` or `dcgan-5x5`."""
    z_dim: int = 128
    """Length of the noise vector."""
    noise: str = "normal"
    """What z is drawn from: `normal`, N(0, 1), or `uniform`, from −1 to 1."""
    generator_width: int = 64
    """Channels of the generator's last map; more the smaller a map is, 16 times that at 4×4 for 64 px."""
    discriminator_width: int = 64
    """Channels of the discriminator's first map."""
    conditional: bool = True
    """Class-conditional batch norm and projection; needs a labelled set."""
    generator_attention_px: tuple[int, ...] = (32,)
    """Map sizes with self-attention in the generator; empty for none."""
    discriminator_attention_px: tuple[int, ...] = (32,)
    """Map sizes with self-attention in the discriminator; empty for none."""
    generator_spectral_norm: bool = True
    """Spectral norm on every convolution and linear layer of the generator."""
    discriminator_spectral_norm: bool = True
    """Spectral norm on every convolution, linear layer and embedding of the discriminator."""
    generator_upsampling: str = "nearest"
    """How a block of `sagan` doubles its map: `nearest`, or `smooth`, by the kernel 1 3 3 1 each way."""
    generator_batch_norm: bool = True
    """Batch norm before each activation of the generator; classes reach it through that."""
    discriminator_identity_skip: bool = True
    """The skip of a block that changes neither size nor channels is the identity, not a 1×1 convolution."""
    discriminator_batch_norm: bool = False
    """Batch norm before each activation of the discriminator, of real and generated pictures each."""
    generator_slope: float = 0.0
    """Slope of the generator's activations below 0: 0 is ReLU."""
    discriminator_slope: float = 0.0
    """Slope of the discriminator's activations below 0: 0 is ReLU, 0.2 the usual LeakyReLU."""
    discriminator_dropout: float = 0.0
    """Share of the discriminator's activations that are set to 0 in training."""

    def __post_init__(self) -> None:
        known = ", ".join(ARCHITECTURES)
        _check(self.architecture in ARCHITECTURES, self, "architecture", f"take one of {known}")
        _check(1 <= self.z_dim <= 8192, self, "z_dim", "take 1 to 8192")
        for name in ("generator_width", "discriminator_width"):
            _check(1 <= getattr(self, name) <= 1024, self, name, "take 1 to 1024 channels")
        upsampling = self.generator_upsampling
        _check(upsampling in ("nearest", "smooth"), self, "generator_upsampling", "take nearest or smooth")
        _check(
            upsampling == "nearest" or self.architecture == "sagan",
            self,
            "generator_upsampling",
            "smooth is for architecture sagan",
        )
        _check(self.noise in ("normal", "uniform"), self, "noise", "take normal or uniform")
        for name in ("generator_slope", "discriminator_slope"):
            _check(0 <= getattr(self, name) < 1, self, name, "take 0 (ReLU) to below 1")
        _check(0 <= self.discriminator_dropout < 1, self, "discriminator_dropout", "take 0 to below 1")
        _check(
            self.generator_batch_norm or not self.conditional,
            self,
            "generator_batch_norm",
            "classes reach the generator through batch norm, so model.conditional=true needs it",
        )

    def check_truncation(self, truncation: float) -> None:
        """Refuse a truncation of bounded noise, or outside 0.05..1 (below, nearly every draw is repeated).

        Raises:
            DogsganError: naming the range, or the noise.
        """
        if not 0.05 <= truncation <= 1:
            raise DogsganError(
                f"truncation {truncation:g} makes no sense: take a value from 0.05 to 1 (1 is none)"
            )
        if truncation < 1 and self.noise != "normal":
            raise DogsganError(
                f"truncation {truncation:g} is for normal noise, and this recipe's is {self.noise}: take 1"
            )


@dataclass(frozen=True)
class TrainingRecipe:
    """How the two networks are trained. Intervals and half-lives are in real images seen."""

    loss: str = "hinge"
    """`hinge` or `bce` (`dogsgan.training.losses`)."""
    label_smoothing: float = 0.0
    """BCE only: the discriminator's target for real pictures is 1 minus this (one-sided)."""
    label_noise: float = 0.0
    """BCE only: the share of pictures whose target the discriminator is told the wrong way round."""
    gradient_penalty: float = 0.0
    """Weight of (‖∇D‖ − 1)² between real and generated pictures; 0 for none."""
    generator_lr: float = 1e-4
    discriminator_lr: float = 4e-4
    beta1: float = 0.0
    """Adam's β1."""
    beta2: float = 0.9
    """Adam's β2: 0.9 in the SAGAN paper, 0.999 in its code."""
    batch_size: int = 32
    discriminator_steps: int = 1
    """Discriminator steps per generator step, each on its own real batch."""
    ema_halflife_images: int = 100_000
    """Half-life of the generator's moving average."""
    further_halflives_images: tuple[int, ...] = ()
    """Half-lives of further averages; the best of all is chosen when training ends (`training.averages`)."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images seen so far."""
    flip: bool = True
    """Mirror half of the real pictures."""
    shared_fakes: bool = False
    """The generator's step judges the pictures that the discriminator's step was shown: one forward less."""
    lecam: float = 0.0
    """Weight of the LeCam regularisation of the discriminator's logits; 0 for none."""
    diffaugment: str = ""
    """Differentiable augmentation of real and generated pictures: any of `color,translation,cutout`."""
    diffaugment_ramp_images: int = 0
    """The share of augmented pictures rises from 0 to 1 over this many images; 0 augments all at once."""
    diffaugment_overfitting: float = 0.0
    """The share of augmented pictures follows the discriminator's overfitting to this target; 0 for not."""
    held_out: float = 0.0
    """The share of the pictures that is not trained on, to measure the discriminator's overfitting."""
    lr_decay: float = 0.0
    """Both learning rates fall linearly over the last share of the planned length; 0 for constant rates."""
    planned_images: int = 0
    """The planned length; 0 takes it from the budget and the speed of the first minutes, once."""
    precision: str = "auto"
    """`float32`, `bfloat16`, `float16` (with a loss scaler), or what the device is best at."""
    compile: bool = False
    """Run both networks through `torch.compile`, on a GPU with CUDA graphs; without where that fails."""
    seed: int = 0
    tick_images: int = 10_000
    """A line in the log and a grid of samples this often."""
    checkpoint_images: int = 50_000
    """A checkpoint this often: what a kill can lose at most."""
    keep_checkpoints: int = 2
    """How many checkpoints stay on disk."""
    max_rollbacks: int = 3
    """After this many returns from a diverged state the run ends with the last good generator."""

    def __post_init__(self) -> None:
        _check(self.loss in ("hinge", "bce"), self, "loss", "take hinge or bce")
        for name in ("label_smoothing", "label_noise"):
            _check(0 <= getattr(self, name) < 0.5, self, name, "take 0 to below 0.5")
            _check(getattr(self, name) == 0 or self.loss == "bce", self, name, "it goes with loss bce only")
        _check(self.gradient_penalty >= 0, self, "gradient_penalty", "take 0 or more")
        _check(
            not (self.compile and self.gradient_penalty),
            self,
            "compile",
            "torch.compile has no second derivative, which a gradient penalty needs",
        )
        for name in ("lecam", "diffaugment_ramp_images", "planned_images"):
            _check(getattr(self, name) >= 0, self, name, "take 0 or more")
        _check(0 <= self.held_out <= 0.5, self, "held_out", "take a share from 0 to 0.5")
        for name in ("lr_decay", "diffaugment_overfitting"):
            _check(0 <= getattr(self, name) <= 1, self, name, "take a share from 0 to 1")
        for name in ("diffaugment_ramp_images", "diffaugment_overfitting"):
            _check(not getattr(self, name) or bool(self.diffaugment), self, name, "it goes with diffaugment")
        _check(
            not (self.diffaugment_ramp_images and self.diffaugment_overfitting),
            self,
            "diffaugment_ramp_images",
            "take a ramp or the overfitting, not both",
        )
        _check(
            not self.diffaugment_overfitting or self.held_out > 0,
            self,
            "diffaugment_overfitting",
            "overfitting is measured on pictures that are held out, so set held_out",
        )
        for name in ("generator_lr", "discriminator_lr"):
            _check(0 < getattr(self, name) < 1, self, name, "take a rate between 0 and 1")
        for name in ("beta1", "beta2"):
            _check(0 <= getattr(self, name) < 1, self, name, "take 0 to below 1")
        _check(self.batch_size >= 2, self, "batch_size", "batch norm needs 2 or more")
        for name in ("discriminator_steps", "tick_images", "checkpoint_images", "keep_checkpoints"):
            _check(getattr(self, name) >= 1, self, name, "take 1 or more")
        _check(
            self.ema_halflife_images >= 0, self, "ema_halflife_images", "take 0 (no average) or more images"
        )
        _check(
            all(halflife >= 0 for halflife in self.further_halflives_images)
            and len({*self.further_halflives_images, self.ema_halflife_images})
            == 1 + len(self.further_halflives_images),
            self,
            "further_halflives_images",
            "take 0 or more images, each once and other than ema_halflife_images",
        )
        _check(0 < self.ema_rampup <= 1, self, "ema_rampup", "take a share above 0, up to 1")
        _check(
            self.precision in ("auto", "float32", "bfloat16", "float16"),
            self,
            "precision",
            "take auto, float32, bfloat16 or float16",
        )
        _check(self.max_rollbacks >= 0, self, "max_rollbacks", "take 0 or more")
        _check(0 <= self.seed < 2**63, self, "seed", "take 0 to 2⁶³ − 1")
        known = {"", "color", "translation", "cutout"}
        _check(
            set(self.diffaugment.split(",")) <= known,
            self,
            "diffaugment",
            "take any of color,translation,cutout",
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a run but its data and its length."""

    name: str = "custom"
    data: DataRecipe = field(default_factory=DataRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as nested plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Build a recipe from nested plain values.

        Raises:
            DogsganError: an unknown, missing-section or wrongly typed value, named.
        """
        return _build(cls, _with_old_behaviour(value), "recipe")

    def with_overrides(self, overrides: list[str]) -> "Recipe":
        """Return the recipe with `section.field=value` settings replaced.

        Raises:
            DogsganError: a setting that does not parse, or names no field.
        """
        sections: dict[str, dict[str, Any]] = {}
        for override in overrides:
            name, equals, text = override.partition("=")
            section_name, dot, field_name = name.strip().partition(".")
            known = {s.name: s.type for s in dataclasses.fields(self) if dataclasses.is_dataclass(s.type)}
            if not (equals and dot) or section_name not in known:
                raise DogsganError(
                    f"--set {override!r}: write SECTION.FIELD=VALUE with a section of {', '.join(known)}"
                )
            section_type = typing.cast(type, known[section_name])
            sections.setdefault(section_name, {})[field_name] = _parse(section_type, field_name, text.strip())
        changed = {
            name: dataclasses.replace(getattr(self, name), **values) for name, values in sections.items()
        }
        return dataclasses.replace(self, **changed)

    def as_old_as(self, saved: "Recipe") -> "Recipe":
        """Return the recipe with the old behaviour of a saved one, where newer recipes behave otherwise."""
        recipe = self
        for name, old in _OLD_BEHAVIOUR.items():
            kept = {key: getattr(getattr(saved, name), key) for key in old}
            section = dataclasses.replace(getattr(recipe, name), **kept)
            recipe = dataclasses.replace(recipe, **{name: section})
        return recipe

    def differences(self, other: "Recipe") -> list[str]:
        """Return `section.field: ours -> theirs` for every value in which two recipes differ.

        Names are of no account, nor is old behaviour that a run keeps (`as_old_as`).
        """
        found = []
        for section in ("data", "model", "training"):
            ours, theirs = getattr(self, section), getattr(other, section)
            for item in dataclasses.fields(ours):
                a, b = getattr(ours, item.name), getattr(theirs, item.name)
                if a != b and item.name not in _OLD_BEHAVIOUR.get(section, {}):
                    found.append(f"{section}.{item.name}: {a} -> {b}")
        return found


_OLD_BEHAVIOUR = {"model": {"discriminator_identity_skip": False}}
"""What a saved recipe means that is older than one of its fields, where that is not the field's default."""


def _with_old_behaviour(value: Any) -> Any:
    """Return a saved recipe with the fields that it is too old to have."""
    if not isinstance(value, dict):
        return value
    filled = {
        name: {**old, **value[name]}
        for name, old in _OLD_BEHAVIOUR.items()
        if isinstance(value.get(name), dict)
    }
    return {**value, **filled}


def _field_type(section: type, name: str) -> Any:
    hints = typing.get_type_hints(section)
    if name not in hints:
        raise DogsganError(
            f"recipe: {_section_name(section)} has no field {name!r}; it has {', '.join(sorted(hints))}"
        )
    return hints[name]


def _parse(section: type, name: str, text: str) -> Any:
    """Read a setting from the command line as the type of its field."""
    wanted = _field_type(section, name)
    try:
        if wanted is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if isinstance(wanted, types.GenericAlias):
            return tuple(int(part) for part in text.strip("()[] ").split(",") if part.strip())
        value = wanted(text)
    except (KeyError, ValueError) as error:
        kind = "true or false" if wanted is bool else getattr(wanted, "__name__", "list of numbers")
        raise DogsganError(f"--set {_section_name(section)}.{name}={text}: {text!r} is no {kind}") from error
    return _typed(value, wanted, f"{_section_name(section)}.{name}")


def _build(cls: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise DogsganError(f"{where}: expected an object with fields, found {type(value).__name__}")
    built = {}
    for name, item in value.items():
        wanted = _field_type(cls, name)
        if dataclasses.is_dataclass(wanted):
            built[name] = _build(typing.cast(type, wanted), item, f"{where}.{name}")
        else:
            built[name] = _typed(item, wanted, f"{where}.{name}")
    return cls(**built)


def _typed(value: Any, wanted: Any, where: str) -> Any:
    """Return `value` if it is of the field's type; lists become tuples, whole numbers floats where asked."""
    if isinstance(wanted, types.GenericAlias):
        if isinstance(value, list | tuple) and all(type(item) is int for item in value):
            return tuple(value)
    elif wanted is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:
        return float(value)
    elif wanted is not float and type(value) is wanted:
        return value
    raise DogsganError(f"recipe: {where} = {value!r} is not of type {getattr(wanted, '__name__', wanted)}")
