"""The audit, stage by stage: `dogsgan audit`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from dogsgan.audit.duplicates import Collection, file_digests, find_duplicates
from dogsgan.audit.evidence import NULL_SAMPLE, Originals, Pictures, gather, real_sample
from dogsgan.audit.findings import Case
from dogsgan.audit.judgement import judge
from dogsgan.audit.overlay import refined
from dogsgan.audit.planning import planned_audit
from dogsgan.audit.reading import (
    open_inputs,
    other_scores,
    read_generated,
    read_real,
    work_folder,
    workspace_of,
)
from dogsgan.audit.report import apply_allowed, read_allowed, write_report
from dogsgan.audit.result import Audit
from dogsgan.audit.whole_set import WholeSet, whole_set_statistics
from dogsgan.data.sources import Source
from dogsgan.device import with_float64
from dogsgan.errors import DogsganError
from dogsgan.features.networks import features_of
from dogsgan.features.sides import real_side_of
from dogsgan.files import holds
from dogsgan.progress import optional, overall_bar
from dogsgan.score import Score

_UNTRAINED = "the generator is untrained and the pictures are noise: nothing here says what it will do"


@holds("out")
def audit(
    generated: Path,
    real: Path | Source,
    *,
    out: Path | None = None,
    network: str = "auto",
    weights: Path | None = None,
    held_out: Path | None = None,
    allow: Path | None = None,
    false_discovery_rate: float = 0.01,
    neighbours: int = 5,
    sample: int | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
    seed: int = 0,
    labels: Path | None = None,
    scored: int | None = None,
    null_sample: int = NULL_SAMPLE,
    untrained: bool = False,
    time_limit_s: float | None = None,
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
    takes the score as soon as it is known, long before the rest. With `time_limit_s` and without `sample`, a
    sample is looked at where more would take longer than that after the score.

    With `out`, the page, the tables and the contact sheet are written there (see `write_report`), and an
    interrupted audit goes on where it was. The training pictures' views and features are kept in `cache_dir`,
    by default the user's cache folder, for the next audit.

    Raises:
        DogsganError: something is missing, unreadable, of the wrong size, or there are too few pictures.
    """
    if not 0 < false_discovery_rate < 1:
        raise DogsganError(f"a false discovery rate of {false_discovery_rate:g} is not between 0 and 1")
    allowed = read_allowed(allow) if allow is not None else frozenset()
    inputs = open_inputs(
        Path(generated),
        real,
        held_out=Path(held_out) if held_out is not None else None,
        network=network,
        weights=weights,
        device=device,
        cache_dir=cache_dir,
        labels=labels,
        scored=scored,
        seed=seed,
    )
    with work_folder(out) as folder:
        left_out: list[str] = []
        real_side = read_real(inputs, folder, others=scored is None, device=device, left_out=left_out)
        views = real_side.views
        workspace = workspace_of(inputs, folder, null_sample, sample, time_limit_s, neighbours, seed)
        features, seconds_a_picture, score = read_generated(inputs, real_side, workspace)
        if on_score is not None:
            on_score(score)
        failed: list[str] = []
        unseen = None
        if inputs.held_out is not None:
            with optional(f"--held-out {inputs.held_out.path}", failed):
                side, _ = real_side_of(
                    inputs.held_out, inputs.network, size_px=inputs.size_px, cache_dir=inputs.cache_dir
                )
                unseen = side.features
        rows, null_count, planned = planned_audit(
            inputs,
            views,
            workspace,
            network_s=seconds_a_picture,
            sample=sample,
            null=null_sample,
            limit_s=time_limit_s,
            seed=seed,
        )
        assert inputs.reader.pixels is not None
        pixels, names = inputs.reader.pixels[rows], tuple(inputs.generated.images[row].name for row in rows)
        with overall_bar("audit", planned.seconds, planned.rates):
            duplicates = find_duplicates(
                Collection(names, file_digests(inputs.generated, names), pixels, np.arange(len(names))),
                Collection(
                    views.names, file_digests(inputs.real, views.names), views.pictures, views.picture_index
                ),
            )
            whole = WholeSet((), None)
            with optional("the statistics of the whole set", left_out):
                whole = whole_set_statistics(
                    features,
                    real_side.features,
                    held_out=unseen,
                    excluded_real=real_side.repeats(duplicates.training_groups),
                    network=inputs.network.name,
                    untrained=untrained,
                    seed=seed,
                    device=with_float64(inputs.network.device),
                )
            mirrored = workspace.stage(
                "generated-features-mirrored",
                lambda: {"features": features_of(pixels[:, :, ::-1], inputs.network, show_progress=True)},
            )
            pictures = Pictures(pixels, features[rows], mirrored["features"])
            null = real_sample(
                views, duplicates.training_groups, inputs.network, workspace, seed, count=null_count
            )
            compared = partial(
                gather,
                views=views,
                originals=Originals.of(real_side.features, real_side.names, views),
                group_of_picture=duplicates.training_groups,
                neighbours=neighbours,
                workspace=workspace,
                device=inputs.network.device,
            )
            evidence = compared(pictures, name="generated")
            judgement = judge(evidence, compared(null, name="real"), rate=false_discovery_rate)
            with optional("a closer look at the flagged pictures", left_out):
                closer = refined(
                    pixels, views, evidence.verified, flagged=judgement.flagged, device=inputs.network.device
                )
                evidence = evidence._replace(verified=closer)
            case = Case(
                names,
                pictures,
                views,
                lambda some: features_of(np.asarray(views.pictures[some]), inputs.network),
                evidence,
                judgement,
                duplicates.same_pixels,
            )
            findings, unknown = apply_allowed(
                case.findings(), allowed, names=[image.name for image in inputs.generated.images]
            )
        others = other_scores(inputs, real_side, left_out)
        result = Audit(
            generated_path=inputs.generated.path,
            real_path=inputs.real.path,
            real_description=inputs.real.description,
            real=len(views.names),
            forms=views.forms,
            false_discovery_rate=false_discovery_rate,
            findings=findings,
            duplicates=duplicates.groups,
            statistics=whole.statistics,
            scores=(score, *others),
            p_value=whole.p_value,
            null_distances=judgement.null_distances,
            null_similarities=judgement.null_similarities,
            warnings=(
                *([_UNTRAINED] if untrained else []),
                *views.warnings(),
                *judgement.warnings(len(null.pixels)),
                *unknown,
                *left_out,
            ),
            failed=tuple(failed),
            submitted=inputs.submitted if len(names) < inputs.submitted else None,
            distance_threshold=judgement.distance_threshold,
            similarity_threshold=judgement.similarity_threshold,
        )
        if out is not None:
            result = write_report(result, Path(out), pair_of=case.pair_of)
    return result
