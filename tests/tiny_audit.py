"""Audits made up for tests of what is written about them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dogsgan.audit.report import write_report
from dogsgan.audit.result import Audit, DuplicateGroup, Finding, Pair, Statistic
from dogsgan.score import Score

BREEDS = ("n02085620-Chihuahua", "n02099601-golden_retriever", "n02116738-African_hunting_dog")
KINDS = ("exact", "flip", "crop", "blend of n02085620_1.jpg and n02099601_2.jpg")

HONEST = Finding(
    index=0,
    name="00000.png",
    nearest="n02085620_1.jpg",
    form="square",
    distance=0.21,
    p_value=0.6,
    flagged=False,
    kind="",
    class_name=BREEDS[0],
    similarity=0.3,
    neighbours=(("n02085620_1.jpg", "square", 0.21), ("n02099601_2.jpg", "whole", 0.25)),
)

SCORE = Score(
    network="timm:mobilenetv1_100",
    description="mobilenetv1_100 of timm, 1,024 features of 128 px",
    competition=False,
    epsilon=None,
    fid=48.3,
    distance=0.206,
    mifid=48.3,
    generated=10_000,
    real=20_305,
    percentile_2019=None,
    warnings=(),
)

PUBLIC_SCORE = dataclasses.replace(
    SCORE, network="public", description="Inception of 2015", competition=True, epsilon=0.1, distance=0.083
)


def finding(index: int, **changes: Any) -> Finding:
    """Return an honest finding with its own name, numbers and breed, changed as asked."""
    return dataclasses.replace(
        HONEST,
        index=index,
        name=f"{index:05d}.png",
        distance=0.15 + 0.0007 * (index * 37 % 211),
        p_value=0.02 + 0.0046 * (index * 37 % 211),
        class_name=BREEDS[index % 3],
        **changes,
    )


def copy(index: int, **changes: Any) -> Finding:
    """Return a flagged finding; the kinds and breeds take turns."""
    values: dict[str, Any] = {
        "flagged": True,
        "kind": KINDS[index % 4],
        "distance": 0.001 * (index + 1),
        "p_value": 0.00005 + 0.00001 * (index // 4),
        "similarity": 0.99 - 0.001 * index,
        "class_name": BREEDS[index % 3],
    }
    return dataclasses.replace(finding(index), **values | changes)


def audit_of(findings: Sequence[Finding], **changes: Any) -> Audit:
    """Return an audit with these findings, the rest made up."""
    random = np.random.default_rng(0)
    values: dict[str, Any] = {
        "generated_path": Path("images.zip"),
        "real_path": Path("generative-dog-images.zip"),
        "real_description": "the competition's data as a zip: 20,305 pictures, 21,843 boxes, 120 breeds",
        "real": 20_305,
        "forms": ("whole", "square", "context", "center"),
        "false_discovery_rate": 0.01,
        "findings": tuple(findings),
        "duplicates": (
            DuplicateGroup("bytes", (findings[0].name,), ("n02085620_1.jpg",), False),
            DuplicateGroup("perceptual hash", tuple(f.name for f in findings[1:3]), (), True),
        ),
        "statistics": (
            Statistic(
                "c_t", "C_T", -3.1, -4.0, -2.2, "It lies nearer to the training set than held-out ones."
            ),
            Statistic("authpct", "AuthPct", None, None, None, "Too few pictures: it takes 6."),
        ),
        "scores": (SCORE,),
        "p_value": 0.0009,
        "null_distances": random.normal(0.25, 0.03, 2000).clip(0.05, 1),
        "null_similarities": random.normal(0.4, 0.12, 2000).clip(-1, 1),
        "distance_threshold": 0.12,
        "similarity_threshold": 0.9,
    }
    return Audit(**values | changes)


def drawn_pair(finding: Finding, *, side: int = 64) -> Pair:
    """Return two smooth random pictures, equal where the finding is an exact copy, and their difference."""
    random = np.random.default_rng(finding.index)
    ours, theirs = random.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    theirs = ours if finding.kind == "exact" else theirs
    generated, training = (
        np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
        for coarse in (ours, theirs)
    )
    difference = (128 + (generated.astype(np.int16) - training) // 2).clip(0, 255).astype(np.uint8)
    return Pair(generated, training, difference)


def written_page(audit: Audit, out: Path) -> Path:
    """Write an audit's report and return its page."""
    write_report(audit, out, pair_of=drawn_pair)
    return out / "report.html"
