"""Sentences on the statistics of the whole set: what each value means for this submission."""

from math import prod

from dogsgan.metrics.data_copying import DataCopying
from dogsgan.number_text import percent

SIGNIFICANT = 0.01
"""A p-value below this counts as a finding."""
FEWEST_JUDGED = 100
"""Fewer generated or real pictures, and no sentence judges a figure."""
BLIND_NETWORK = "stand-in"
"""The network with random weights."""
CROWDED = 0.1
"""Coverage below this share of what is expected says that all generated pictures lie in one place."""
_MOST = 0.8
_FEW = 0.3
_SLIGHTLY = 0.55


def of_data_copying(outcome: DataCopying) -> str:
    """Say whether the generated pictures lie nearer to the training set than unseen real ones."""
    lie = (
        "generated pictures lie nearer to the training set than unseen real ones in "
        f"{_percent(outcome.nearer)} of comparisons, where 50% is expected without copying"
    )
    odds = f"p = {_p_value(outcome.p_value)}"
    if outcome.p_value < SIGNIFICANT and outcome.nearer < _SLIGHTLY:
        return (
            f"The set as a whole lies a little too near: {lie} ({odds}). A few copies cause this, "
            "and so do pictures that are all rather typical."
        )
    if outcome.p_value < SIGNIFICANT:
        return f"The set as a whole points to copying: {lie} ({odds})."
    rare = "a few copies among many would not show here"
    if outcome.p_value > 1 - SIGNIFICANT:
        return f"The set as a whole does not copy: {lie}, so they differ from the real ones; {rare}."
    return f"The set as a whole shows no copying: {lie} ({odds}); {rare}."


def of_authenticity(
    percent: float, *, low: float, high: float, expected: tuple[float, float, float] | None
) -> str:
    """Compare AuthPct, 0..100, with that of unseen real pictures, `expected`, with its interval."""
    sentence = (
        f"{_percent(percent / 100)} of the generated pictures are authentic, which means farther from "
        "their nearest training picture than that one is from its own nearest"
    )
    if expected is None:
        return f"{sentence}; there are too few pictures to say how many are expected."
    value, value_low, value_high = expected
    against = f"of unseen real pictures {_percent(value / 100)} are"
    if high < value_low:
        close = _percent(1 - percent / value)
        return f"{sentence}; {against}, as if {close} of the set were close to one training picture each."
    if low > value_high:
        return f"{sentence}; {against}, so nothing here points to copies."
    return f"{sentence}; {against}, so the set does not differ from pictures that copy nothing."


def of_precision(value: float, *, low: float, high: float) -> str:
    """Say how many generated pictures look real to the network."""
    sentence = f"{_percent(value)} of the generated pictures lie among real ones, as the network sees them"
    if low >= _MOST:
        return f"{sentence}: most could pass for real, as copies would too."
    if high < _FEW:
        return f"{sentence}: most look like nothing in the training set."
    return f"{sentence}: the others look like nothing in the training set."


def of_recall(value: float, *, low: float, high: float, coverage: float) -> str:
    """Say how much of the real pictures' variety is there; `coverage` tells variety from mere scatter."""
    sentence = f"{_percent(value)} of the real pictures lie among generated ones, as the network sees them"
    if high < _FEW:
        return f"{sentence}: most of the training set's variety is missing."
    if coverage < value / 2:
        return f"{sentence}: scattered pictures cause that, as few real ones have one near (coverage)."
    if low >= _MOST:
        return f"{sentence}: most of the training set's variety is there."
    return f"{sentence}: the variety of the others is missing."


def of_density(value: float, *, low: float, high: float) -> str:
    """Say whether generated pictures lie where real ones are dense or at their edge."""
    if value == 0:
        return "No generated picture lies among real ones, as the network sees them: they lie elsewhere."
    sentence = f"Around a generated picture, real ones lie {value:.2f} times as densely as around a real one"
    if low > 1:
        return (
            f"{sentence}: these are typical pictures, or copies, more than the training set's whole variety."
        )
    if high < 1:
        return f"{sentence}: many generated pictures lie at the edge of the real ones or outside."
    return f"{sentence}, which is what real pictures themselves have."


def of_coverage(value: float, *, low: float, high: float, expected: float) -> str:
    """Compare coverage with `expected`, what as many unseen real pictures would reach."""
    sentence = (
        f"{_percent(value)} of the real pictures have a generated one in their neighbourhood, "
        f"where as many unseen real pictures would reach {_percent(expected)}"
    )
    if high < expected:
        missing = "most" if value < expected / 2 else "part"
        return f"{sentence}: {missing} of the training set is not represented."
    if low > expected:
        return f"{sentence}: the generated pictures follow the training set more closely than real ones do."
    return f"{sentence}: the whole training set is represented."


def expected_coverage(*, generated: int, real: int, neighbours: int) -> float:
    """Return the coverage to expect of pictures that follow the real distribution.

    Naeem et al. 2020, lemma 2.
    """
    return 1 - prod((real - i) / (generated + real - i) for i in range(1, neighbours + 1))


def why_not_judged(*, network: str, generated: int, real: int, untrained: bool = False) -> str | None:
    """Return why figures of the whole set say nothing about the pictures, or None where they do.

    A network with random weights calls noise as real as a photograph; of few pictures every figure is chance.
    """
    if untrained:
        return "Not judged: the generator is untrained and the pictures are noise."
    if network == BLIND_NETWORK:
        return (
            f"Not judged: the network {network} sees colours and edges and not what a picture shows, so this "
            "figure says nothing about the pictures; --network auto takes one that does."
        )
    if min(generated, real) < FEWEST_JUDGED:
        return (
            f"Not judged: {generated} generated and {real} real pictures are too few; it takes "
            f"{FEWEST_JUDGED} of each."
        )
    return None


def crowded(coverage: float) -> str:
    """Say that figures of nearness say nothing where all generated pictures lie in one place."""
    return (
        f"Not judged: the generated pictures are near only {_percent(coverage)} of the real ones (coverage), "
        "as noise and a collapsed generator are, so this figure says nothing about them."
    )


def too_few(generated: int, real: int, generated_needed: int, real_needed: int) -> str:
    """Say how many pictures there are and how many it takes."""
    return (
        f"Too few pictures ({generated} generated, {real} real): "
        f"it takes at least {generated_needed} generated and {real_needed} real ones."
    )


def _percent(share: float) -> str:
    """Return a share, 0..1, as a whole percentage, or as `percent` has it near 0 and 1."""
    return f"{share:.0%}" if 0.01 <= share <= 0.99 else percent(share)


def _p_value(p: float) -> str:
    return f"{p:.2g}" if p > 1e-12 else "below 1e-12"
