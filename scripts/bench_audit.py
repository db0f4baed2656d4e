"""Measure what the audit finds: real dogs as training set, unseen real dogs as honest pictures, and copies.

    python scripts/bench_audit.py generative-dog-images.zip --network timm:mobilenetv1_100 --weights FILE

Half of the pictures, by chance, are the training set. The other half, unseen, plays an honest generator, but
for photographs that the training half holds too: what has the same bytes, pixels or perceptual hash, bursts
included (`dogsgan.audit.duplicates`), is left out of it, and how many those are is said. Copies are made of
the training pictures, whole or square by chance. Each attack is judged on its own: its copies among all the
honest pictures, at the audit's default false discovery rate.

A second table says how many of the flagged copies have a kind that names what was done: all of it, and
nothing that is not true (`attacks.ATTACKS`). Where another form of the right training picture was found, the
geometry is free, as a crop of the one is a shift of the other.

Beside it stands what a threshold on MiFID's distance finds, the cosine distance of the features to the
nearest whole training picture, where it is set so that it takes 1% of the honest pictures.
"""

import argparse
import dataclasses
import tempfile
import time
from collections import Counter
from pathlib import Path

import attacks
import numpy as np

from dogsgan.audit.duplicates import Collection, find_duplicates
from dogsgan.audit.evidence import Evidence, Originals, Pictures, Workspace, gather, real_sample
from dogsgan.audit.findings import Case
from dogsgan.audit.judgement import judge
from dogsgan.audit.overlay import refined
from dogsgan.audit.views import TrainingViews, cutting_views, kept_views
from dogsgan.data.sources import Source, open_source
from dogsgan.features.networks import features_of, open_network
from dogsgan.features.sides import real_side_of
from dogsgan.metrics.memorization import nearest_real
from dogsgan.pictures import PictureReader

USED_FORMS = ("whole", "square")
RATE = 0.01
LEAST_NAMED = 0.9
SCENE_BITS = 56
"""Perceptual hashes that differ in so many of 256 bits are of one burst of photographs."""


def main() -> int:
    """Run the benchmark; return 1 if a promise is broken."""
    args = arguments()
    random = np.random.default_rng(args.seed)
    network = open_network(args.network, weights=args.weights)
    with tempfile.TemporaryDirectory() as passing:
        work = args.work or Path(passing)
        (training_source, training), (_, unseen) = halves(args.source, random, work, args.pictures)
        groups, has_twin = duplicates(training, unseen)
        print(
            f"{len(training.names):,} training pictures, {len(training):,} views; {len(unseen.names):,} "
            f"unseen pictures, {int(has_twin.sum())} of them with a twin among the training pictures",
            flush=True,
        )
        honest = chosen(unseen, random, args.honest, among=~has_twin)
        twins = chosen(unseen, random, len(unseen.names), among=has_twin)
        made, sources = copies(training, random, args.count)
        sets = {"honest": honest, "with a twin": twins} | made
        pixels = np.concatenate(list(sets.values()))
        start = time.perf_counter()
        side, _ = real_side_of(training_source, network, size_px=64, cache_dir=work)
        names = [training_source.images[row].name for row in side.rows]
        originals = Originals.of(side.features, names, training)
        workspace = Workspace(work / f"bench-{args.seed}-{args.honest}-{args.count}")
        sides = (features_of(some, network, show_progress=True) for some in (pixels, pixels[:, :, ::-1]))
        pictures = Pictures(pixels, *sides)
        sample = real_sample(training, groups, network, workspace, args.seed)
        middle = time.perf_counter()
        found, null = (
            gather(
                some,
                training,
                originals,
                group_of_picture=groups,
                neighbours=1,
                workspace=workspace,
                name=name,
                device=network.device,
            )
            for some, name in ((pictures, "generated"), (sample, "real"))
        )
        seconds = time.perf_counter() - middle
        print(f"features {middle - start:.0f} s, search and verification {seconds:.0f} s\n", flush=True)
        distance = nearest_real(pictures.features, originals.features)[0]
    every = np.ones(len(pixels), dtype=bool)
    closer = refined(pixels, training, found.verified, flagged=every, device=network.device)
    found = found._replace(verified=closer)
    broken = report(sets, found, null, distance)
    return max(broken, report_kinds(sets, found, null, pictures, training, sources))


def halves(
    source: Path, random: np.random.Generator, work: Path, count: int | None
) -> list[tuple[Source, TrainingViews]]:
    """Return two halves of the pictures, with their views."""
    opened = open_source(source)
    order = random.permutation(len(opened.images))[:count]
    parts = []
    for rows in np.array_split(order, 2):
        images = [opened.images[row] for row in np.sort(rows)]
        half = dataclasses.replace(opened, images=images)
        with cutting_views(half, size_px=64, folder=work) as cutters:
            if cutters:
                PictureReader(half).feed(cutters)
        parts.append((half, kept_views(half, size_px=64, folder=work)))
    return parts


def duplicates(training: TrainingViews, unseen: TrainingViews) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups of the training pictures, and which unseen ones share a scene with one of them."""
    names = [*training.names, *unseen.names]
    both = Collection(
        names,
        [None] * len(names),
        np.concatenate([training.pictures, unseen.pictures]),
        np.concatenate([training.picture_index, unseen.picture_index + len(training.names)]),
    )
    nothing = Collection(["none"], [None], np.zeros((1, 64, 64, 3), np.uint8), np.zeros(1, np.int64))
    count = len(training.names)
    groups, scenes = (find_duplicates(nothing, both, bits=bits).training_groups for bits in (32, SCENE_BITS))
    return groups[:count], np.isin(scenes[count:], scenes[:count])


def chosen(
    views: TrainingViews, random: np.random.Generator, count: int, *, among: np.ndarray | None = None
) -> np.ndarray:
    """Return pictures, N×64×64×3, each whole or square by chance, `count` at most."""
    return np.asarray(views.pictures[chosen_rows(views, random, count, among=among)])


def chosen_rows(
    views: TrainingViews, random: np.random.Generator, count: int, *, among: np.ndarray | None = None
) -> np.ndarray:
    """Return which views those pictures are."""
    usable = np.isin(views.form, [views.forms.index(form) for form in USED_FORMS])
    if among is not None:
        usable &= among[views.picture_index]
    rows = random.permutation(np.flatnonzero(usable))
    _, first = np.unique(views.picture_index[rows], return_index=True)  # one view a picture
    return np.asarray(np.sort(random.permutation(rows[first])[:count]))


def copies(
    training: TrainingViews, random: np.random.Generator, count: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return `count` copies for each attack, and the views that they were made of; of a blend, the first."""
    made, sources = {}, {}
    for name, attack in attacks.ATTACKS.items():
        sources[name] = chosen_rows(training, random, count)
        pictures = list(training.pictures[sources[name]])
        if name.startswith("blend"):
            second = chosen(training, random, count)
            pictures = list(zip(pictures, second[random.permutation(len(second))], strict=True))
        made[name] = np.stack([attack.make(picture, random) for picture in pictures])
    return made, sources


def report_kinds(
    sets: dict[str, np.ndarray],
    found: Evidence,
    null: Evidence,
    pictures: Pictures,
    training: TrainingViews,
    sources: dict[str, np.ndarray],
) -> int:
    """Print which kinds the flagged copies were given; return 1 if fewer than 90% are named right."""
    rows_of = rows_by_set(sets)
    named = flagged = 0
    print("\n| copies | flagged | named right | named wrong |")
    print("| --- | ---: | ---: | --- |")
    for name in (name for name, attack in attacks.ATTACKS.items() if attack.named is not None):
        rows = np.concatenate([rows_of["honest"], rows_of[name]])
        evidence = part_of(found, rows)
        case = Case(
            names=tuple(map(str, rows)),
            pictures=Pictures(*(values[rows] for values in pictures[:3])),
            views=training,
            features_of_views=lambda views: np.zeros((len(views), pictures.features.shape[1])),
            evidence=evidence,
            judgement=judge(evidence, null, rate=RATE),
            same={},
        )
        wrong: Counter[str] = Counter()
        told = case.findings()[len(sets["honest"]) :]
        for finding, source in zip(told, sources[name], strict=True):
            if finding.flagged:
                flagged += 1
                same_form = int(evidence.verified.view[finding.index]) == source
                right = attacks.named_right(name, finding.kind, same_form=same_form)
                named += right
                wrong[finding.kind] += not right
        count = sum(finding.flagged for finding in told)
        mistakes = sorted(
            ((kind, times) for kind, times in wrong.items() if times), key=lambda item: -item[1]
        )
        share = f"{1 - sum(times for _, times in mistakes) / max(count, 1):.0%}"
        print(f"| {name} | {count} | {share} | {', '.join(f'{times} {kind}' for kind, times in mistakes)} |")
    print(f"\nkinds: {named} of {flagged} flagged copies named right, {named / max(flagged, 1):.1%}")
    return int(named < LEAST_NAMED * flagged)


def report(sets: dict[str, np.ndarray], found: Evidence, null: Evidence, distance: np.ndarray) -> int:
    """Print the table and return 1 if a promise is broken."""
    rows = rows_by_set(sets)
    limit = np.quantile(distance[rows["honest"]], RATE)
    listed = sorted(attacks.ATTACKS.items(), key=lambda item: item[1].promised is None)
    worst_honest, broken = 0.0, []
    print(f"| copies | promised | flagged | honest flagged | MiFID's distance, cut at {limit:.4f} |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, attack in listed:
        mixture = np.concatenate([rows["honest"], rows[name]])
        flagged = judge(part_of(found, mixture), null, rate=RATE).flagged
        honest, copied = flagged[: len(rows["honest"])], flagged[len(rows["honest"]) :]
        by_distance = float((distance[rows[name]] < limit).mean())
        worst_honest = max(worst_honest, float(honest.mean()))
        if attack.promised is not None and 100 * copied.mean() < attack.promised:
            broken.append(name)
        least = f"{attack.promised:.0f}%" if attack.promised is not None else ""
        print(f"| {name} | {least} | {copied.mean():.1%} | {honest.mean():.2%} | {by_distance:.1%} |")
    alone = judge(part_of(found, rows["honest"]), null, rate=RATE).flagged
    twins = judge(part_of(found, np.concatenate([rows["honest"], rows["with a twin"]])), null, rate=RATE)
    caught = twins.flagged[len(rows["honest"]) :]
    print(f"\n{len(rows['honest']):,} honest pictures alone: {alone.mean():.2%} flagged")
    print(f"the most of them that were flagged among copies: {worst_honest:.2%}")
    print(f"{len(caught)} unseen pictures with a twin in the training half: {caught.mean():.0%} flagged")
    print(f"broken: {', '.join(broken) or 'nothing'}")
    return int(bool(broken) or worst_honest > RATE)


def rows_by_set(sets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return where the pictures of each set lie among all."""
    ends = np.cumsum([len(pictures) for pictures in sets.values()])
    parts = np.split(np.arange(ends[-1]), ends[:-1])
    return dict(zip(sets, parts, strict=True))


def part_of(evidence: Evidence, rows: np.ndarray) -> Evidence:
    """Return the evidence on some of the pictures."""
    return Evidence(*(type(part)(*(values[rows] for values in part)) for part in evidence))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="What does the audit find?")
    parser.add_argument("source", type=Path, help="generative-dog-images.zip")
    parser.add_argument("--network", default="stand-in")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--count", type=int, default=150, help="copies for each attack")
    parser.add_argument("--honest", type=int, default=3000, help="honest pictures")
    parser.add_argument("--pictures", type=int, help="of the source, chosen by chance (all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="keep views, features and evidence here")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
