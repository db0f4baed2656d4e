"""The whole audit, on clouds and on real dogs."""

import csv
import dataclasses
import functools
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from copied import training_clouds, training_views, unseen_clouds, views_of
from drawn_pictures import saved_as_jpeg
from test_audit_views import png
from test_pictures_once import Counts

from dogsgan.audit import Audit, audit, auditing, planning, reading
from dogsgan.audit import views as forms
from dogsgan.cli import main
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features import sides
from dogsgan.features.networks import FeatureNetwork, open_network
from dogsgan.features.timm_networks import Classifier
from dogsgan.metrics.frechet import Statistics, statistics_of
from dogsgan.pictures import Decoded, PictureReader

TRAINING = training_clouds(80)
UNSEEN = unseen_clouds(15)
COPIES = {
    "copy-exact.png": TRAINING[0],
    "copy-flip.png": TRAINING[1][:, ::-1],
    "copy-jpeg.png": saved_as_jpeg(TRAINING[2], quality=60),
    "copy-shift.png": np.roll(TRAINING[3], 6, axis=1),
    "copy-blend.png": (TRAINING[4].astype(float) / 2 + TRAINING[5] / 2).astype(np.uint8),
}


quick_audit = functools.partial(audit, network="stand-in", null_sample=20)
"""An audit for which few real pictures tell how near honest ones come: the same pixels are found anyway."""


def write_zip(path: Path, pictures: dict[str, np.ndarray]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, picture in pictures.items():
            file.writestr(name, png(picture))
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = {f"real-{i:02d}.png": picture for i, picture in enumerate(TRAINING)}
    return write_zip(tmp_path_factory.mktemp("real") / "real.zip", pictures)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    honest = {f"honest-{i:02d}.png": picture for i, picture in enumerate(UNSEEN)}
    return write_zip(tmp_path_factory.mktemp("generated") / "images.zip", {**honest, **COPIES})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def found(real: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Path]:
    out = tmp_path_factory.mktemp("audit") / "out"
    cache_dir = tmp_path_factory.mktemp("cache")
    return audit(generated, real, out=out, network="stand-in", cache_dir=cache_dir), out


def test_copies_are_flagged_and_honest_pictures_are_not(found: tuple[Audit, Path]) -> None:
    assert {finding.name for finding in found[0].flagged} == set(COPIES)


def test_each_copy_is_named_with_its_kind_and_original(found: tuple[Audit, Path]) -> None:
    told = {finding.name: (finding.nearest, finding.kind) for finding in found[0].flagged}
    assert told["copy-exact.png"] == ("real-00.png", "exact")
    assert told["copy-flip.png"] == ("real-01.png", "flip")
    assert told["copy-jpeg.png"][0] == "real-02.png"
    assert told["copy-shift.png"] == ("real-03.png", "shift")
    nearest, kind = told["copy-blend.png"]
    assert kind in ("blend of real-04.png and real-05.png", "blend of real-05.png and real-04.png")
    assert kind.startswith(f"blend of {nearest} ")


def test_the_whole_set_and_the_score_are_there(found: tuple[Audit, Path]) -> None:
    result = found[0]
    assert [statistic.key for statistic in result.statistics] == [
        "c_t",
        "authpct",
        "precision",
        "recall",
        "density",
        "coverage",
    ]
    assert result.scores[0].network == "stand-in"
    assert result.real == 80
    assert len(result.findings) == 20
    assert any("p-values are rough" in warning for warning in result.warnings)


def test_only_originals_and_mirror_images_go_through_the_network(tmp_path: Path, monkeypatch) -> None:
    """Copies of another form are found by their pixels; the distance told is that to the form found."""
    wide = np.concatenate([TRAINING[:40], TRAINING[40:]], axis=2)  # 64×128: whole and center differ
    training = write_zip(tmp_path / "wide.zip", {f"{i:02d}.png": picture for i, picture in enumerate(wide)})
    pictures = {"copy.png": wide[7][:, 32:96], **{f"honest-{i}.png": p for i, p in enumerate(UNSEEN)}}
    seen = []
    features = FeatureNetwork.features
    monkeypatch.setattr(
        FeatureNetwork, "features", lambda self, batch: [seen.append(len(batch)), features(self, batch)][1]
    )
    result = quick_audit(write_zip(tmp_path / "images.zip", pictures), training)
    [copy] = result.flagged
    assert (copy.nearest, copy.form, copy.kind) == ("07.png", "center", "exact")
    assert copy.distance < 1e-6
    assert all(form == "whole" for finding in result.findings for _, form, _ in finding.neighbours)
    generated, real, null, flagged = 16, 40, 20, 1
    assert sum(seen) == 2 * generated + real + 2 * null + flagged


def test_duplicates_are_grouped(found: tuple[Audit, Path]) -> None:
    groups = {group.generated: group for group in found[0].duplicates}
    assert groups[("copy-exact.png",)].how == "bytes"
    assert groups[("copy-exact.png",)].training == ("real-00.png",)
    assert groups[("copy-flip.png",)].flipped


def test_the_files_are_left_and_nothing_else(found: tuple[Audit, Path]) -> None:
    result, out = found
    assert sorted(path.name for path in out.iterdir()) == [
        "audit.json",
        "flagged.png",
        "neighbours.csv",
        "report.html",
    ]
    with (out / "neighbours.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:7] == ["name", "nearest", "form", "distance", "p_value", "flagged", "kind"]
    assert [row["name"] for row in rows] == [finding.name for finding in result.findings]
    assert json.loads((out / "audit.json").read_text())["flagged"] == 5


def test_an_interrupted_audit_goes_on_and_ends_the_same(
    real: Path, generated: Path, found: tuple[Audit, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def interrupted(*args: object, **options: object) -> None:
        calls.append(str(options["description"]))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dogsgan.audit.evidence.verify", interrupted)
        with pytest.raises(KeyboardInterrupt):
            audit(generated, real, out=tmp_path / "out", network="stand-in")
    assert calls == ["generated: alignment"]
    with monkeypatch.context() as patch:
        patch.setattr("dogsgan.audit.evidence.nearest_pictures", interrupted)
        patch.setattr("dogsgan.audit.evidence.features_of", interrupted)
        calls.clear()
        with pytest.raises(KeyboardInterrupt):  # generated: kept; of the real sample: not made yet
            audit(generated, real, out=tmp_path / "out", network="stand-in")
    assert calls == ["real: nearest by features"]
    result = audit(generated, real, out=tmp_path / "out", network="stand-in")
    assert result.findings == found[0].findings
    assert not (tmp_path / "out" / ".work").exists()


def test_the_generated_side_s_statistics_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_zip(tmp_path / "real.zip", {f"{i}.png": picture for i, picture in enumerate(TRAINING[:25])})
    generated = write_zip(tmp_path / "images.zip", {"a.png": UNSEEN[0], "b.png": UNSEEN[1]})
    counts: list[int] = []

    def counted(features: np.ndarray) -> Statistics:
        counts.append(len(features))
        return statistics_of(features)

    for module in (sides, reading):
        monkeypatch.setattr(module, "statistics_of", counted)
    audit(generated, real, network="stand-in")
    assert counts == [25, 2]


def test_command_exits_1_until_the_flagged_are_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = write_zip(tmp_path / "real.zip", {f"{i}.png": picture for i, picture in enumerate(TRAINING[:25])})
    pictures = {"copy-exact.png": TRAINING[0], "copy-flip.png": TRAINING[1][:, ::-1], "honest.png": UNSEEN[0]}
    generated = write_zip(tmp_path / "images.zip", pictures)
    command = ["audit", str(generated), "--real", str(real), "--out", str(tmp_path / "out")]
    command += ["--network", "stand-in", "--json"]
    assert main(command) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["flagged"] == 2
    assert {"duplicates", "distance", "p_value", "report"} <= set(report)
    assert Path(report["report"]).is_file()
    (tmp_path / "accepted.txt").write_text("# known\n" + "\n".join(pictures) + "\n")
    assert main([*command, "--allow", str(tmp_path / "accepted.txt")]) == 0
    assert json.loads(capsys.readouterr().out)["flagged"] == 0


def test_the_same_pictures_on_both_sides_are_refused(real: Path, tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match="are the same pictures: give the training set as --real"):
        audit(real, real, network="stand-in")
    copy = tmp_path / "copy.zip"
    copy.write_bytes(real.read_bytes())
    with pytest.raises(DogsganError, match="are the same pictures"):
        audit(copy, real, network="stand-in")


def test_too_few_training_pictures_are_refused(generated: Path, tmp_path: Path) -> None:
    few = write_zip(tmp_path / "few.zip", {f"{i}.png": picture for i, picture in enumerate(TRAINING[:12])})
    with pytest.raises(DogsganError, match=r"12 training pictures are too few .* it takes 20"):
        audit(generated, few, network="stand-in")


def test_sizes_that_differ_are_refused_by_name(real: Path, tmp_path: Path) -> None:
    mixed = write_zip(tmp_path / "mixed.zip", {"a.png": UNSEEN[0], "b.png": UNSEEN[1][:32, :32]})
    with pytest.raises(DogsganError, match=r"b\.png .* is 32×32 px, expected 64×64"):
        audit(mixed, real, network="stand-in")


def test_no_pictures_are_refused(real: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DogsganError, match="no pictures in"):
        audit(tmp_path / "empty", real, network="stand-in")


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_that_is_none_is_refused(real: Path, generated: Path, rate: float) -> None:
    with pytest.raises(DogsganError, match="false discovery rate"):
        audit(generated, real, network="stand-in", false_discovery_rate=rate)


def test_two_generated_pictures_are_enough_and_one_is_refused(real: Path, tmp_path: Path) -> None:
    two = write_zip(tmp_path / "two.zip", {"copy.png": TRAINING[7][:, ::-1], "honest.png": UNSEEN[0]})
    result = quick_audit(two, real)
    assert [finding.nearest for finding in result.flagged] == ["real-07.png"]
    assert result.statistics[2].value is None, "too few for precision"
    one = write_zip(tmp_path / "one.zip", {"copy.png": TRAINING[7]})
    with pytest.raises(DogsganError, match=r"holds 1 picture\(s\)"):
        quick_audit(one, real)


def test_a_sample_is_called_one(real: Path, generated: Path, tmp_path: Path) -> None:
    (tmp_path / "accepted.txt").write_text("\n".join(COPIES))
    result = quick_audit(generated, real, sample=6, allow=tmp_path / "accepted.txt")
    assert len(result.findings) == 6
    assert "of 6 pictures looked at, of 20," in result.headline()
    assert result.to_json()["generated"]["count"] == result.scores[0].generated == 20
    assert not any("not among the generated" in warning for warning in result.warnings)


def test_what_is_known_at_the_start_is_told_at_the_start(
    real: Path, generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*args: object, **options: object) -> None:
        raise AssertionError("features were made first")

    monkeypatch.setattr("dogsgan.audit.reading.generated_side_of", too_late)
    with pytest.raises(DogsganError, match="is the training set: --held-out takes pictures"):
        audit(generated, real, network="stand-in", held_out=real)
    with pytest.raises(DogsganError, match=r"no such file or folder|there is no|not found"):
        audit(generated, real, network="stand-in", held_out=tmp_path / "nothing.zip")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DogsganError, match="in the way"):
        audit(generated, real, network="stand-in", out=tmp_path / "file")


def test_the_very_pixels_are_a_copy_whatever_the_network_sees(real: Path, tmp_path: Path) -> None:
    flat = {f"flat-{i}.png": np.full((64, 64, 3), 10 * i, dtype=np.uint8) for i in range(3)}
    clouds = {f"real-{i}.png": picture for i, picture in enumerate(TRAINING[:40])}
    training = write_zip(tmp_path / "real.zip", {**clouds, **flat})
    honest = {f"honest-{i}.png": picture for i, picture in enumerate(UNSEEN[:5])}
    path = write_zip(tmp_path / "images.zip", {**honest, "copy.png": flat["flat-1.png"]})
    result = quick_audit(path, training)
    told = [(finding.name, finding.nearest, finding.kind) for finding in result.flagged]
    assert told == [("copy.png", "flat-1.png", "exact")]


def test_real_dogs(shared_data: Path, tmp_path: Path) -> None:
    mini, some = shared_data / "generative-dog-images-mini", tmp_path / "some.zip"
    with zipfile.ZipFile(some, "w") as file:
        for picture in sorted((mini / "all-dogs/all-dogs").glob("*.jpg"))[::5]:
            for path in (picture, *(mini / "annotation/Annotation").glob(f"*/{picture.stem}")):
                file.write(path, path.relative_to(mini))
    views = training_views(open_source(some), size_px=64, folder=tmp_path)
    squares = views.pictures[views.form == 1]
    flipped = {f"flip-{i}.png": squares[i][:, ::-1] for i in range(0, 100, 5)}
    clouds = {f"cloud-{i}.png": picture for i, picture in enumerate(UNSEEN)}
    path = write_zip(tmp_path / "images.zip", {**flipped, **clouds})
    result = audit(path, some, network="stand-in", null_sample=100)
    assert {finding.name for finding in result.flagged} >= set(flipped)
    assert sum(finding.name in clouds for finding in result.flagged) == 0
    assert {finding.kind for finding in result.flagged} == {"flip"}


def test_other_pictures_under_the_same_names_sizes_and_times_are_audited_anew(tmp_path: Path) -> None:
    """An archive or a container layer gives different files the same names, sizes and times of change."""
    generated = write_zip(
        tmp_path / "g.zip", {f"g-{i}.png": picture for i, picture in enumerate(TRAINING[:5])}
    )
    other = unseen_clouds(40)[-25:]
    folders = {}
    for name, pictures in (("a", other), ("b", TRAINING[:25])):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for index, picture in enumerate(pictures):
            path = folders[name] / f"{index:02d}.png"
            path.write_bytes(png(picture).ljust(20_000, b"\0"))
            os.utime(path, ns=(10**18, 10**18))
    options = {"cache_dir": tmp_path / "cache", "out": tmp_path / "out"}
    assert quick_audit(generated, folders["a"], **options).flagged == ()  # type: ignore[arg-type]
    flagged = quick_audit(generated, folders["b"], **options).flagged  # type: ignore[arg-type]
    assert {finding.kind for finding in flagged} == {"exact"}
    assert len(flagged) == 5


def test_a_mirrored_twin_does_not_make_an_exact_copy_a_flip(real: Path, tmp_path: Path) -> None:
    copies = {"exact.png": TRAINING[7], "flipped.png": TRAINING[7][:, ::-1]}
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as file:
        for name, picture in {**copies, "honest.png": UNSEEN[0]}.items():
            file.writestr(name, png(picture) + b"\0")  # the same pixels, not the same bytes
    flagged = quick_audit(tmp_path / "images.zip", real).flagged
    assert {finding.name: (finding.kind, finding.flipped, finding.nearest) for finding in flagged} == {
        "exact.png": ("exact", False, "real-07.png"),
        "flipped.png": ("flip", True, "real-07.png"),
    }
    assert all(finding.distance < 1e-4 for finding in flagged)


def test_twins_are_left_out_of_the_whole_set_where_views_and_features_are_of_different_pictures() -> None:
    views = dataclasses.replace(views_of(TRAINING[:4]), names=("a.png", "c.png", "d.png", "f.png"))
    real = reading.RealSide(views, [], [], ["a.png", "b.png", "d.png", "e.png", "f.png"], [], [])
    found = real.repeats(np.array([0, 1, 0, 1]))  # groups of a, c, d, f
    assert found.tolist() == [False, False, True, False, False]


def test_a_picture_that_only_the_score_can_read_hides_no_twins(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts of views and of features differ then; duplicates stay out of C_T, AuthPct and the others."""
    passed: list[np.ndarray] = []
    original = auditing.whole_set_statistics

    def watched(*args: object, excluded_real: np.ndarray, **options: object) -> object:
        passed.append(excluded_real)
        return original(*args, excluded_real=excluded_real, **options)  # type: ignore[arg-type]

    def unreadable(cutter: forms.ViewCutter, image: SourceImage, picture: Decoded) -> object:
        if image.name == "real-10.png":
            raise DogsganError("cannot be cut")
        return cut(cutter, image, picture)

    cut = forms.ViewCutter.view
    monkeypatch.setattr(auditing, "whole_set_statistics", watched)
    monkeypatch.setattr(forms.ViewCutter, "view", unreadable)
    twins = {f"real-{i:02d}.png": picture for i, picture in enumerate(TRAINING[:30])}
    twins |= {"twin.png": TRAINING[20]}
    path = write_zip(tmp_path / "real.zip", twins)
    generated = write_zip(tmp_path / "g.zip", {"0.png": UNSEEN[0], "1.png": UNSEEN[1]})
    quick_audit(generated, path)
    assert passed[0].sum() == 1
    assert passed[0][30]


def test_the_audit_says_how_long_it_takes_and_has_one_bar(
    real: Path, generated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_audit(generated, real, on_score=lambda score: print("scored", file=sys.stderr))
    _, _, after = capsys.readouterr().err.partition("scored")
    said = re.search(r"the audit of 20 pictures takes about \d+ (s|minutes)", after)
    assert said
    bars = re.findall(r"([^\r\n]+?): +\d+%", after.partition(said[0])[2])
    assert bars
    assert all(bar.startswith("audit") for bar in bars)


def test_a_limit_on_the_time_takes_a_sample_and_says_so(
    real: Path, generated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planning, "FEWEST_LOOKED_AT", 12)
    result = quick_audit(generated, real, time_limit_s=1e-6)
    assert len(result.findings) == 12
    assert "of 12 pictures looked at, of 20," in result.headline()
    assert "it looks at 12 of them, chosen by chance" in capsys.readouterr().err
    assert len(quick_audit(generated, real, time_limit_s=1e6).findings) == 20


def test_pictures_of_an_untrained_generator_are_not_judged_and_without_a_folder_nothing_is_written(
    real: Path, generated: Path, tmp_path: Path
) -> None:
    result = quick_audit(generated, real, untrained=True)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert result.warnings[0].startswith("the generator is untrained")
    for statistic in result.statistics:
        assert statistic.value is None or statistic.meaning.startswith(
            "Not judged: the generator is untrained"
        )


def test_each_picture_is_read_and_decoded_once_cold_and_warm(
    real: Path, generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cold: one pass over each side, for score, views, duplicates and a further network together."""
    private = dataclasses.replace(open_network("stand-in"), name="private", identity="private", real_px=80)
    monkeypatch.setattr(reading, "_others", lambda *args: [private])
    names = {f"real-{i:02d}.png" for i in range(80)}
    listed: list[int] = []

    def counted(reader: PictureReader) -> tuple[str, ...]:
        listed.append(len(reader))
        return tuple(reader.source.images[row].name for row in reader.rows)

    with monkeypatch.context() as patch:
        cold = Counts(patch)
        patch.setattr(PictureReader, "names", property(counted))
        first = quick_audit(generated, real, cache_dir=tmp_path / "cache")
    assert set(cold.reads.values()) == set(cold.decodes.values()) == {1}
    assert len(cold.reads) == len(cold.decodes) == 100
    assert listed == [20, 20], "all names for each network, and not again for each picture"
    assert [score.network for score in first.scores] == ["stand-in", "private"]
    generated_twice, real_once, null_twice = 2 * 20, 80, 2 * 20
    further_network = 20 + 80
    copied_views = cold.passes - (generated_twice + real_once + null_twice + further_network)
    assert 0 <= copied_views <= len(first.flagged)
    with monkeypatch.context() as patch:
        warm = Counts(patch)
        second = quick_audit(generated, real, cache_dir=tmp_path / "cache")
    assert second.findings == first.findings
    assert set(warm.reads.values()) == {1}, "training pictures are read once, only to be hashed"
    assert not names & set(warm.decodes)
    assert len(warm.decodes) == 20
    assert warm.passes == cold.passes - real_once - 80


def test_recognition_reads_no_training_picture_again(
    real: Path, generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = torch.randn(1000, 288, generator=torch.Generator().manual_seed(0))
    network = dataclasses.replace(
        open_network("stand-in", device="cpu"), classifier=Classifier(weight, torch.zeros(1000))
    )
    monkeypatch.setattr(sides, "open_network", lambda *args, **options: network)
    counts = Counts(monkeypatch)
    result = quick_audit(generated, real, cache_dir=tmp_path / "cache")
    assert set(counts.reads.values()) == set(counts.decodes.values()) == {1}
    recognition = result.scores[0].recognition
    assert recognition is not None
    assert recognition.real is not None
    assert recognition.real.pictures == 20


def test_what_fails_beside_the_search_for_copies_costs_no_verdict(
    real: Path, generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out pictures were asked for: they are an error after the verdict; the rest is a warning."""

    def failing(error: Exception) -> Callable[..., NoReturn]:
        def fail(*args: object, **options: object) -> NoReturn:
            raise error

        return fail

    held_out = write_zip(tmp_path / "unseen.zip", {f"{i}.png": picture for i, picture in enumerate(UNSEEN)})
    monkeypatch.setattr(auditing, "real_side_of", failing(MemoryError("no room")))
    monkeypatch.setattr(auditing, "whole_set_statistics", failing(ValueError("no figure")))
    monkeypatch.setattr(auditing, "refined", failing(RuntimeError("no memory")))
    result = audit(generated, real, held_out=held_out, out=tmp_path / "out", network="stand-in")
    assert {finding.name for finding in result.flagged} == set(COPIES)
    assert result.failed == (f"--held-out {held_out} is left out (MemoryError: no room)",)
    said = " ".join(result.warnings)
    assert "the statistics of the whole set is left out (ValueError: no figure)" in said
    assert "a closer look at the flagged pictures is left out (RuntimeError: no memory)" in said
