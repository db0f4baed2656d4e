"""One sentence for people on each number about the whole set: what this value means for this submission."""

from math import prod

from dogsgan.audit.data_copying import DataCopying
from dogsgan.number_text import percent

SIGNIFICANT = 0.01
"""A p-value below this counts as a finding."""
_MOST = 0.8
_FEW = 0.3
_SLIGHTLY = 0.55


def of_data_copying(outcome: DataCopying) -> str:
    """Say whether the generated pictures lie nearer to the training set than unseen real ones."""
    lie = (
        "generated pictures lie nearer to the training set than unseen real ones in "
        f"{_percent(outcome.nearer)} of comparisons, where half is honest"
    )
    odds = f"p = {_p_value(outcome.p_value)}"
    if outcome.p_value < SIGNIFICANT and outcome.nearer < _SLIGHTLY:
        return (
            f"The set as a whole keeps a little close: {lie} ({odds}), which some copies bring about, "
            "and so do pictures that are all rather typical."
        )
    if outcome.p_value < SIGNIFICANT:
        return f"The set as a whole points to copying: {lie} ({odds})."
    rare = "a few copies among many would not show here"
    if outcome.p_value > 1 - SIGNIFICANT:
        return f"The set as a whole does not copy: {lie}, so they rather fall short of the real ones; {rare}."
    return f"The set as a whole shows no copying: {lie} ({odds}); {rare}."


def of_authenticity(
    percent: float, *, low: float, high: float, honest: tuple[float, float, float] | None
) -> str:
    """Compare AuthPct, 0..100, with `honest`, that of unseen real pictures and its interval where known."""
    sentence = (
        f"{_percent(percent / 100)} of the generated pictures are authentic, that is farther from their "
        "nearest training picture than that one is from its own nearest"
    )
    if honest is None:
        return f"{sentence}; there are too few pictures to say how many an honest set has."
    expected, expected_low, expected_high = honest
    against = f"unseen real pictures come to {_percent(expected / 100)}"
    if high < expected_low:
        clinging = _percent(1 - percent / expected)
        return f"{sentence}; {against}, as if {clinging} of the set kept close to one training picture each."
    if low > expected_high:
        return f"{sentence}; {against}, so nothing here points to copies."
    return f"{sentence}; {against}, so the set does as honest pictures do."


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
        return (
            f"{sentence}: scattered pictures bring that about, for few have a generated one near (coverage)."
        )
    if low >= _MOST:
        return f"{sentence}: most of the training set's variety is there."
    return f"{sentence}: the variety of the others is missing."


def of_density(value: float, *, low: float, high: float) -> str:
    """Say whether generated pictures lie where real ones crowd or at the fringe."""
    if value == 0:
        return "No generated picture lies among real ones, as the network sees them: they crowd elsewhere."
    sentence = (
        f"Where a generated picture lies, real ones crowd {value:.2f} times as densely as around real ones"
    )
    if low > 1:
        return (
            f"{sentence}: these are typical pictures, or copies, more than the training set's whole variety."
        )
    if high < 1:
        return f"{sentence}: many generated pictures lie at the fringe of the real ones or outside."
    return f"{sentence}, which is what real pictures themselves have."


def of_coverage(value: float, *, low: float, high: float, honest: float) -> str:
    """Compare coverage with `honest`, what as many unseen real pictures would reach."""
    sentence = (
        f"{_percent(value)} of the real pictures have a generated one in their neighbourhood, "
        f"where as many unseen real pictures would reach {_percent(honest)}"
    )
    if high < honest:
        missing = "most" if value < honest / 2 else "part"
        return f"{sentence}: {missing} of the training set is not represented."
    if low > honest:
        return f"{sentence}: the generated pictures follow the training set more closely than real ones do."
    return f"{sentence}: the whole training set is represented."


def honest_coverage(*, generated: int, real: int, neighbours: int) -> float:
    """Return the coverage to expect of pictures that follow the real distribution.

    Naeem et al. 2020, lemma 2.
    """
    return 1 - prod((real - i) / (generated + real - i) for i in range(1, neighbours + 1))


def of_blind_network(name: str) -> str:
    """Say that nothing can be said: such a network calls noise as real as a photograph."""
    return (
        f"Not judged: the network {name} sees colours and edges and not what a picture shows, so this figure "
        "tells nothing about the pictures; --network auto takes one that sees."
    )


def too_few(*, generated: int, real: int, generated_needed: int, real_needed: int) -> str:
    """Say how many pictures it would take."""
    return (
        f"Too few pictures ({generated} generated, {real} real): "
        f"it takes at least {generated_needed} generated and {real_needed} real ones."
    )


def _percent(share: float) -> str:
    """Return a share, 0..1, as a whole percentage, or as `percent` has it near 0 and 1."""
    return f"{share:.0%}" if 0.01 <= share <= 0.99 else percent(share)


def _p_value(p: float) -> str:
    return f"{p:.2g}" if p > 1e-12 else "below 1e-12"
