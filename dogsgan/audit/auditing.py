"""The audit, stage by stage: what `dogsgan audit` calls."""

import contextlib
import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogsgan.audit import meanings
from dogsgan.audit.calibration import refuse_few
from dogsgan.audit.copies.blends import with_partners
from dogsgan.audit.copies.evidence import NULL_SAMPLE, Evidence, Originals, Pictures, gather, real_sample
from dogsgan.audit.copies.simplest import simplified
from dogsgan.audit.copies.views import TrainingViews, identity_of_views, training_views
from dogsgan.audit.duplicates import Collection, Duplicates, file_digests, find_duplicates
from dogsgan.audit.findings import Case
from dogsgan.audit.judgement import Judgement, judge
from dogsgan.audit.page.report import write_report
from dogsgan.audit.page.tables import apply_allowed, read_allowed
from dogsgan.audit.result import Audit
from dogsgan.audit.whole_set import WholeSet, whole_set_statistics
from dogsgan.audit.workspace import Workspace
from dogsgan.cache import default_cache_dir, in_cache_or
from dogsgan.class_labels import labelled_sample
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side, features_of
from dogsgan.features.networks import COMPETITION_PX, FeatureNetwork
from dogsgan.features.sides import generated_side_of, real_side_of
from dogsgan.features.weights import RELEASED, find_weights
from dogsgan.files import holds, write_text
from dogsgan.metrics.statistics import statistics_of
from dogsgan.pictures import PIXELS, PictureReader, read_table
from dogsgan.progress import optional, say
from dogsgan.recognition.recognise import recognise
from dogsgan.score import Score, generated_size, opened_for, score, score_sides

VERSION = 5  # to be raised when the same pixels give other evidence
DEFAULT_RATE = 0.01
UNTRAINED = "the generator is untrained and the pictures are noise: nothing here says what it will do"
_WORK = ".work"
_WORK_NOTE = "What an audit has found so far. It goes on from here, and removes this when it is done.\n"
_EXPLAINED = 0.9  # pixel similarity above which one training picture says it all
_MOST_SEARCHED_TWICE = 3000


@holds("out")
def audit(
    generated: Path,
    real: Path,
    *,
    out: Path | None = None,
    network: str = "auto",
    weights: Path | None = None,
    held_out: Path | None = None,
    allow: Path | None = None,
    false_discovery_rate: float = DEFAULT_RATE,
    neighbours: int = 5,
    sample: int | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
    seed: int = 0,
    labels: Path | None = None,
    scored: int | None = None,
    null_sample: int = NULL_SAMPLE,
    untrained: bool = False,
    on_score: Callable[[Score], None] | None = None,
) -> Audit:
    """Find which generated pictures (zip, folder or prepared set) copy training pictures (any source).

    `network` and `weights` are as for `score`: the network's features decide the neighbours and the whole-set
    statistics; the search in pixels needs none. `held_out` is a source of real pictures that were not trained
    on, for the data-copying test. `allow` is a file with the names of accepted pictures, one a line. Of the
    pictures flagged, a share of at most `false_discovery_rate` is honest, on average. `neighbours` of each
    picture are listed. With `sample`, that many of the generated pictures are looked at, chosen by chance;
    the score and the statistics of the whole are still of all. `labels` is as for `score`. With
    `scored`, only that many of the generated pictures, chosen by chance, are scored, by one network, and may
    be looked at. At most `null_sample` training pictures tell how near honest ones come. `untrained`
    says that the pictures are noise: no figure of them is judged then, and the report says so. `on_score`
    takes the score as soon as it is known, long before the rest.

    With `out`, the page, the tables and the contact sheet are written there (see `write_report`), and an
    interrupted audit goes on where it was. The training pictures' views and features are kept in `cache_dir`,
    by default the user's cache folder, for the next audit.

    Raises:
        DogsganError: something is missing, unreadable, of the wrong size, or there are too few pictures.
    """
    if not 0 < false_discovery_rate < 1:
        raise DogsganError(f"a false discovery rate of {false_discovery_rate:g} is not between 0 and 1")
    allowed = read_allowed(allow) if allow is not None else frozenset()
    cache_dir = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    inputs = _Inputs(
        Path(generated),
        Path(real),
        open_source(Path(generated)),
        open_source(Path(real)),
        open_source(Path(held_out)) if held_out is not None else None,
    )
    submitted = len(inputs.generated.images)
    some, class_names = labelled_sample(inputs.generated, labels, count=scored, seed=seed)
    inputs = dataclasses.replace(inputs, generated=some)
    opened, notes = opened_for(
        PictureReader(inputs.generated), network, weights=weights, device=device, cache_dir=cache_dir
    )
    size_px = _checked_size(inputs, opened)
    if out is not None:
        write_text(Path(out) / _WORK / "README.txt", _WORK_NOTE)
    with _workspace(
        out,
        inputs,
        opened,
        size_px=size_px,
        null_sample=null_sample,
        sample=sample,
        neighbours=neighbours,
        seed=seed,
    ) as workspace:
        generated_side, real_side, warnings = _sides(inputs, opened, workspace, size_px, cache_dir)
        recognition = None
        with optional("recognition", warnings):
            recognition = recognise(
                inputs.generated,
                generated_side,
                inputs.real,
                real_side,
                opened,
                generated_classes=class_names,
                size_px=size_px,
                cache_dir=cache_dir,
            )
        own_score = dataclasses.replace(
            score_sides(generated_side, real_side, opened, warnings=[*notes, *warnings]),
            recognition=recognition,
        )
        if on_score is not None:
            on_score(own_score)
        views = in_cache_or(
            lambda folder: training_views(inputs.real, size_px=size_px, folder=folder),
            cache_dir / "audit",
            workspace.folder,
        )
        rows = _looked_at(inputs.generated, sample, seed)
        pixels, names = _load(inputs.generated, rows, size_px, workspace)
        duplicates = _duplicates(inputs, pixels, names, views)
        left_out: list[str] = []
        failed: list[str] = []
        unseen = None
        if inputs.held_out is not None:
            with optional(f"--held-out {inputs.held_out.path}", failed):
                unseen, _ = real_side_of(inputs.held_out, opened, size_px=size_px, cache_dir=cache_dir)
        whole = WholeSet(statistics=(), p_value=None)
        with optional("the statistics of the whole set", left_out):
            whole = _whole_set(
                generated_side,
                real_side,
                _stand_twice(real_side, inputs.real, views, duplicates.training_groups),
                unseen,
                opened,
                untrained=untrained,
                seed=seed,
            )
        originals = Originals.of(real_side, inputs.real, views)
        pictures = _with_features(pixels, generated_side, rows, opened, workspace)
        honest = real_sample(views, duplicates.training_groups, opened, workspace, seed, count=null_sample)

        def evidence_on(some: Pictures, name: str) -> Evidence:
            return gather(
                some,
                views,
                originals,
                group_of_picture=duplicates.training_groups,
                neighbours=neighbours,
                workspace=workspace,
                name=name,
                device=opened.device,
            )

        evidence = evidence_on(pictures, "generated")
        judgement = judge(evidence, evidence_on(honest, "real"), rate=false_discovery_rate)
        with optional("the search for a blend's second picture", left_out):
            evidence = _with_partners(pictures, views, evidence, judgement, opened)
        case = Case(
            names,
            pictures,
            views,
            lambda some: features_of(np.asarray(views.pictures[some]), opened, show_progress=True),
            evidence,
            judgement,
            duplicates.same_pixels,
        )
        findings, unknown = apply_allowed(
            case.findings(), allowed, names=[image.name for image in inputs.generated.images]
        )
        others: list[Score] = []
        if scored is None:
            others, without = _other_scores(opened, inputs, device, cache_dir, size_px)
            left_out += without
        scores = (own_score, *others)
        result = Audit(
            generated_path=inputs.generated_path,
            real_path=inputs.real_path,
            real_description=inputs.real.description,
            real=len(views.names),
            forms=views.forms,
            network=opened.name,
            network_description=opened.description,
            competition=opened.competition,
            false_discovery_rate=false_discovery_rate,
            findings=findings,
            duplicates=duplicates.groups,
            statistics=whole.statistics,
            scores=scores,
            distance=_distance(scores[0]),
            p_value=whole.p_value,
            null_distances=judgement.null_distances,
            null_similarities=judgement.null_similarities,
            warnings=(
                *([UNTRAINED] if untrained else []),
                *_warnings(views, judgement, len(honest)),
                *unknown,
                *left_out,
            ),
            submitted=submitted if len(names) < submitted else None,
            distance_threshold=judgement.distance_threshold,
            similarity_threshold=judgement.similarity_threshold,
        )
        if out is not None:
            noted: list[str] = []
            write_report(result, Path(out), pair_of=case.pair_of, warnings=noted, failed=failed)
            result = dataclasses.replace(result, warnings=(*result.warnings, *noted))
    return dataclasses.replace(result, failed=tuple(failed))


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The two sources."""

    generated_path: Path
    real_path: Path
    generated: Source
    real: Source
    held_out: Source | None


def _checked_size(inputs: _Inputs, network: FeatureNetwork) -> int:
    """Return the side of the generated pictures; refuse what cannot be audited."""
    same_place = inputs.generated_path.resolve() == inputs.real_path.resolve()
    if same_place or inputs.generated.fingerprint() == inputs.real.fingerprint():
        raise DogsganError(
            f"{inputs.generated_path} and {inputs.real_path} are the same pictures: "
            "give the training set as --real"
        )
    if inputs.held_out is not None and inputs.held_out.fingerprint() == inputs.real.fingerprint():
        raise DogsganError(
            f"{inputs.held_out.path} is the training set: --held-out takes pictures that were not trained on"
        )
    refuse_few(len(inputs.real.images))
    return generated_size(PictureReader(inputs.generated), network)


@contextlib.contextmanager
def _workspace(
    out: Path | None,
    inputs: _Inputs,
    network: FeatureNetwork,
    *,
    size_px: int,
    null_sample: int,
    sample: int | None,
    neighbours: int,
    seed: int,
) -> Iterator[Workspace]:
    """Yield a place for what is found, which the same audit finds again if this one is interrupted."""
    if out is None:
        with tempfile.TemporaryDirectory() as passing:
            yield Workspace(Path(passing))
        return
    decisive = (VERSION, PIXELS, null_sample, sample, neighbours, seed, network.identity)
    fingerprints = (inputs.generated.fingerprint(), identity_of_views(inputs.real, size_px=size_px))
    key = hashlib.sha256("\n".join(map(str, (*decisive, *fingerprints))).encode()).hexdigest()[:16]
    folder = Path(out) / _WORK / key
    if folder.is_dir():
        say("going on where an audit of the same pictures was interrupted")
    yield Workspace(folder)
    shutil.rmtree(folder.parent, ignore_errors=True)


def _sides(
    inputs: _Inputs, network: FeatureNetwork, workspace: Workspace, size_px: int, cache_dir: Path
) -> tuple[Side, Side, list[str]]:
    """Return both sides as the score looks at them, the generated one kept in the workspace, and warnings."""

    def extracted() -> dict[str, np.ndarray]:
        side, noted = generated_side_of(read_table(inputs.generated, size_px), network)
        assert side.features is not None
        return {
            "features": side.features,
            "warnings": np.array(noted, dtype=str),
            "jpegs_by_pillow": np.array(side.jpegs_by_pillow),
        }

    kept = workspace.stage("generated-features", extracted)
    features, warnings = kept["features"], kept["warnings"].tolist()
    generated = Side(
        statistics_of(features),
        features,
        inputs.generated.description,
        jpegs_by_pillow=int(kept["jpegs_by_pillow"]),
    )
    real, noted = real_side_of(inputs.real, network, size_px=size_px, cache_dir=cache_dir)
    return generated, real, warnings + noted


def _looked_at(source: Source, sample: int | None, seed: int) -> np.ndarray:
    """Return which generated pictures are looked at, by their place in the source."""
    count = len(source.images)
    if sample is None or sample >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:sample])


def _load(
    source: Source, rows: np.ndarray, size_px: int, workspace: Workspace
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return some of the generated pictures, N×S×S×3 uint8 mapped from disk, and their names."""
    some = dataclasses.replace(source, images=[source.images[row] for row in rows])
    table = read_table(some, size_px)
    assert table.pixels is not None
    pixels = workspace.growing("generated", rows=len(rows), shape=(size_px, size_px, 3), dtype="uint8")
    for start in range(0, len(table), 256):
        pixels.append(table.pixels[start : start + 256])
    return pixels.array, table.names


def _duplicates(
    inputs: _Inputs, pixels: np.ndarray, names: tuple[str, ...], views: TrainingViews
) -> Duplicates:
    """Return what is the same picture as what, in the submission and in the training set."""
    return find_duplicates(
        Collection(names, file_digests(inputs.generated, names), pixels, np.arange(len(names))),
        Collection(views.names, file_digests(inputs.real, views.names), views.pictures, views.picture_index),
        show_progress=True,
    )


def _with_features(
    pixels: np.ndarray, side: Side, rows: np.ndarray, network: FeatureNetwork, workspace: Workspace
) -> Pictures:
    """Return the generated pictures with their features and those of their mirror images."""
    assert side.features is not None
    mirrored = workspace.stage(
        "generated-features-mirrored",
        lambda: {"features": features_of(pixels[:, :, ::-1], network, show_progress=True)},
    )
    return Pictures(pixels, side.features[rows], mirrored["features"])


def _with_partners(
    pictures: Pictures,
    views: TrainingViews,
    evidence: Evidence,
    judgement: Judgement,
    network: FeatureNetwork,
) -> Evidence:
    """Look once more for a blend's second picture, where one does not explain what is flagged."""
    unexplained = (
        judgement.flagged & (evidence.verified.similarity < _EXPLAINED) & (evidence.verified.view >= 0)
    )
    verified = with_partners(
        pictures.pixels,
        views,
        evidence.verified,
        rows=np.flatnonzero(unexplained)[:_MOST_SEARCHED_TWICE],
        device=network.device,
        description="flagged: search for a second picture",
    )
    found = np.flatnonzero(judgement.flagged & (verified.view >= 0))
    verified = simplified(pictures.pixels, views, verified, rows=found)
    return dataclasses.replace(evidence, verified=verified)


def _stand_twice(side: Side, source: Source, views: TrainingViews, groups: np.ndarray) -> np.ndarray:
    """Return which rows of the real side's features, M bool, duplicate an earlier one.

    `groups`, P, are those of the pictures that have views. Another picture may be missing there than among
    the features, so the two are joined by name; a picture without views duplicates none.
    """
    assert side.rows is not None
    group_of = dict(zip(views.names, groups.tolist(), strict=True))
    names = [source.images[row].name for row in side.rows]
    of_rows = [group_of.get(name, -1 - row) for row, name in enumerate(names)]
    excluded = np.ones(len(of_rows), dtype=bool)
    excluded[np.unique(of_rows, return_index=True)[1]] = False
    return excluded


def _whole_set(
    generated: Side,
    real: Side,
    excluded: np.ndarray,
    held_out: Side | None,
    network: FeatureNetwork,
    *,
    untrained: bool,
    seed: int,
) -> WholeSet:
    """Return the statistics of the whole set, by the features that the score looks at."""
    assert generated.features is not None
    assert real.features is not None
    return whole_set_statistics(
        generated.features,
        real.features,
        held_out=held_out.features if held_out else None,
        excluded_real=excluded,
        not_judged=meanings.why_not_judged(
            network=network.name,
            generated=len(generated.features),
            real=int((~excluded).sum()),
            untrained=untrained,
        ),
        seed=seed,
    )


def _other_scores(
    network: FeatureNetwork, inputs: _Inputs, device: str, cache_dir: Path, size_px: int
) -> tuple[list[Score], list[str]]:
    """Return the scores by the competition's other networks whose weights are at hand, and warnings.

    They are asked for by nobody, so that one which fails (damaged weights, no memory) costs nothing else.
    """
    scores: list[Score] = []
    left_out: list[str] = []
    for name in RELEASED:
        if size_px != COMPETITION_PX or name == network.name or not _at_hand(name, cache_dir):
            continue
        with optional(f"the score by the network {name}", left_out):
            scores.append(
                score(
                    inputs.generated_path,
                    inputs.real_path,
                    network=name,
                    device=device,
                    cache_dir=cache_dir,
                )
            )
    return scores, left_out


def _distance(score: Score) -> float:
    assert score.distance is not None, "both sides have features"
    return score.distance


def _at_hand(network: str, cache_dir: Path) -> bool:
    try:
        find_weights(network, cache_dir=cache_dir)
    except DogsganError:
        return False
    return True


def _warnings(views: TrainingViews, judgement: Judgement, sampled: int) -> list[str]:
    lines = []
    if views.unreadable:
        lines.append(
            f"{len(views.unreadable):,} training picture(s) cannot be read and were left out, "
            f"the first: {views.unreadable[0]}"
        )
    if removed := judgement.twins:
        lines.append(
            f"{removed:,} of {sampled:,} training pictures that were held against the rest have a twin there "
            "(another copy, or another shot of a burst): they were left out of the null distribution"
        )
    if sampled < 200:
        lines.append(
            f"only {sampled} training pictures to measure honest nearness with: p-values are rough, and a "
            "single copy among many pictures may not be flagged"
        )
    return lines
