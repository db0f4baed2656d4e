"""The score of each class: figures whose answer is known, what cannot be had and why, and the command."""

import csv
import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from tiny import RECIPE

from dogsgan.cli import main
from dogsgan.config import DataRecipe, Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.prepare import prepare
from dogsgan.errors import DogsganError
from dogsgan.metrics.frechet import frechet_distance_of_features
from dogsgan.metrics.kid import kernel_distance
from dogsgan.metrics.precision_recall import precision_recall
from dogsgan.models import build_networks
from dogsgan.models.sampling import Sampler
from dogsgan.per_class.figures import ClassFigures, class_figures, correlations_with_real
from dogsgan.scoring import per_class, score
from dogsgan.submission.labels import matched_classes, read_labels, write_labels

NAMES = ("ant", "bee", "cat", "dog")


def clusters(counts, *, seed, dimension=6, apart=8.0):
    """Return features of Gaussian clusters, one a class, and the class of each row, in mixed order."""
    random = np.random.RandomState(seed)
    centres = apart * np.eye(dimension)
    rows = np.concatenate([random.randn(n, dimension) + centres[i] for i, n in enumerate(counts)])
    classes = np.repeat(NAMES[: len(counts)], counts)
    order = random.permutation(len(rows))
    return rows[order], classes[order].tolist()


def by_name(figures):
    return {each.name: each for each in figures}


def test_a_class_s_figures_are_those_of_its_pictures_alone():
    (generated, named), (real, known) = clusters([30, 20, 25], seed=0), clusters([40, 50, 45], seed=1)
    found, _ = class_figures(generated, named, real, known, neighbours=3)
    for name, figures in by_name(found).items():
        ours, theirs = generated[np.array(named) == name], real[np.array(known) == name]
        assert (figures.generated, figures.real) == (len(ours), len(theirs))
        distance, balls = kernel_distance(ours, theirs), precision_recall(ours, theirs, neighbours=3)
        assert (figures.kernel_distance, figures.standard_error) == (distance.value, distance.standard_error)
        assert (figures.precision, figures.recall) == (balls.precision, balls.recall)
        assert figures.fid == frechet_distance_of_features(ours, theirs)
        assert figures.reasons == {}


def test_the_displaced_class_is_the_worst_and_the_collapsed_one_recalls_least():
    (generated, named), (real, known) = clusters([60] * 4, seed=0), clusters([80] * 4, seed=1)
    displaced, collapsed = np.array(named) == "dog", np.array(named) == "bee"
    generated[displaced] += 4.0
    generated[collapsed] = generated[collapsed].mean(axis=0) + 0.01 * (generated[collapsed] % 1)
    figures, _ = class_figures(generated, named, real, known)
    assert figures[0].name == "dog"
    figures = by_name(figures)
    assert min(("ant", "bee", "cat"), key=lambda name: figures[name].recall) == "bee"
    assert figures["bee"].recall < 0.1 < 0.5 < figures["ant"].recall
    assert figures["dog"].precision < 0.1 < 0.5 < figures["cat"].precision


def test_labels_that_are_mixed_up_make_every_class_bad():
    (generated, named), (real, known) = clusters([60] * 4, seed=0), clusters([80] * 4, seed=1)
    right, _ = class_figures(generated, named, real, known)
    mixed = np.random.RandomState(0).permutation(named).tolist()
    wrong, _ = class_figures(generated, mixed, real, known)
    best_wrong = min(each.kernel_distance for each in wrong)
    assert best_wrong > 10 * max(each.kernel_distance for each in right)
    assert max(each.precision for each in wrong) < 0.6 < min(each.precision for each in right)


def test_worst_first_and_what_has_no_distance_last():
    (generated, named), (real, known) = clusters([20, 1, 20], seed=0), clusters([20, 20, 20, 9], seed=1)
    generated[np.array(named) == "cat"] += 1
    figures, _ = class_figures(generated, named, real, known)
    assert [each.name for each in figures] == ["cat", "ant", "bee", "dog"]


def test_what_cannot_be_had_is_none_with_a_reason():
    (generated, named), (real, known) = clusters([20, 1, 5, 0], seed=0), clusters([20, 9, 6, 9], seed=1)
    figures = by_name(class_figures(generated, named, real, known)[0])
    assert figures["ant"].reasons == {}
    bee, cat, dog = figures["bee"], figures["cat"], figures["dog"]
    assert bee.kernel_distance is None
    assert bee.reasons["kernel_distance"] == "1 generated picture: an unbiased distance takes 2"
    assert cat.kernel_distance is not None
    assert cat.precision is None
    assert cat.reasons["recall"] == "5 generated pictures: balls to neighbour 5 take 6"
    assert "more than as many" in cat.reasons["fid"]
    assert set(dog.reasons.values()) == {"no generated picture is of this class"}
    assert dog.generated == 0
    for each in figures.values():  # a reason for exactly what is missing
        names = ("kernel_distance", "standard_error", "fid", "precision", "recall", "equal_precision")
        assert {name for name in names if getattr(each, name) is None} == set(each.reasons) - {"equal_recall"}


def test_rows_without_a_class_are_in_none():
    (generated, named), (real, known) = clusters([20, 20], seed=0), clusters([20, 20], seed=1)
    known[3] = named[5] = None
    figures, _ = class_figures(generated, named, real, known)
    assert sum(each.real for each in figures) == 39
    assert sum(each.generated for each in figures) == 39
    with pytest.raises(ValueError, match="40 rows of features and 39 classes"):
        class_figures(generated, named[1:], real, known)


def test_equal_counts_take_away_what_numbers_alone_do_to_precision():
    """All classes alike but for the number of real pictures: the fewer, the higher precision; equal, not."""
    random = np.random.RandomState(0)
    counts = np.array([25, 250] * 8)
    real, generated = random.randn(counts.sum(), 64), random.randn(16 * 60, 64)
    names = [f"class {index}" for index in range(16)]
    known, named = np.repeat(names, counts).tolist(), names * 60
    figures, equal = class_figures(generated, named, real, known)
    assert (equal.real, equal.generated) == (25, 60)

    def means(figure):
        return [np.mean([getattr(each, figure) for each in figures if each.real == n]) for n in (25, 250)]

    assert np.subtract(*means("precision")) > 0.08
    assert abs(np.subtract(*means("equal_precision"))) < 0.04
    assert class_figures(generated, named, real, known)[0] == figures  # drawn by chance, and yet repeatable


def made(*rows):
    """Return classes of (number of real pictures, kernel distance)."""
    return [ClassFigures(f"class {i}", n, 9, kernel_distance=d) for i, (n, d) in enumerate(rows)]


def test_the_correlation_is_scipy_s_and_exact_for_few_classes():
    random = np.random.RandomState(0)
    counts, values = random.randint(50, 99, 40), random.rand(40)
    found = correlations_with_real(made(*zip(counts.tolist(), values.tolist(), strict=True)))[0]
    assert (found.spearman, found.p_value) == pytest.approx(tuple(stats.spearmanr(counts, values)))
    few = correlations_with_real(made((10, 0.5), (20, 0.4), (30, 0.1)))[0]
    assert few.spearman == pytest.approx(-1)
    assert few.p_value == pytest.approx(1 / 3)  # two of the six orders; Student's t would say 0
    assert "ρ = -1.00, p = 0.33" in few.summary()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(1, 0.1), (2, 0.2)], "2 classes have it, it takes 3"),
        ([(5, 0.1), (5, 0.2), (5, 0.3)], "every class has as many real pictures"),
        ([(5, 0.1), (6, 0.1), (7, 0.1)], "the same in every class"),
        ([(5, None), (6, None), (7, None)], "0 classes have it"),
    ],
)
def test_where_there_is_no_correlation_it_says_why(rows, reason):
    found = correlations_with_real(made(*rows))[0]
    assert (found.spearman, found.p_value) == (None, None)
    assert reason in found.reason
    assert reason in found.summary()


def test_folders_and_people_s_names_are_the_same_class():
    folders = ["n02085620-Chihuahua", "n02086079-Pekinese", None]
    matched = matched_classes(["Chihuahua", "n02086079-Pekinese", " Pekinese", "cat", None], folders)
    assert matched[0] == ["Chihuahua", "Pekinese", "Pekinese", "cat", None]
    assert matched[1] == ["Chihuahua", "Pekinese", None]


def test_two_folders_of_one_name_stay_two_classes():
    folders = ["n02012849-crane", "n03126707-crane"]
    assert matched_classes(["n03126707-crane"], folders) == (["n03126707-crane"], folders)


def test_sides_without_a_common_class_are_refused():
    with pytest.raises(DogsganError, match=r"no class in common \(generated: 'cat'; real: '0', '1'\)"):
        matched_classes(["cat"], ["0", "1", None])


def picture(kind: int, random: np.random.RandomState) -> bytes:
    """Return a PNG of noise whose colour tells the class."""
    pixels = random.randint(0, 120, (16, 16, 3)).astype(np.uint8)
    pixels[:, :, kind % 3] += 130
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def labelled_zip(path: Path, counts=(9, 8, 7), *, folders: bool, seed: int) -> Path:
    """Write pictures of three classes in turn, in class folders or with a CSV beside the zip."""
    random, labels = np.random.RandomState(seed), []
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(max(counts)):
            for kind, count in enumerate(counts):
                if index < count:
                    name = f"{NAMES[kind]}/{index}.png" if folders else f"{len(labels):05d}.png"
                    archive.writestr(name, picture(kind, random))
                    labels.append((name, NAMES[kind]))
    if not folders:
        write_labels(path.with_suffix(".csv"), labels)
    return path


@pytest.fixture
def submission(tmp_path):
    return labelled_zip(tmp_path / "images.zip", folders=False, seed=0)


@pytest.fixture
def real(tmp_path):
    folder = tmp_path / "real"
    with zipfile.ZipFile(labelled_zip(tmp_path / "r.zip", (12, 14, 10), folders=True, seed=1)) as archive:
        archive.extractall(folder)
    return folder


def figures_of(generated, real, tmp_path, labels=None, **options):
    return per_class(
        generated,
        real,
        labels=labels,
        network="stand-in",
        device="cpu",
        cache_dir=tmp_path / "cache",
        **options,
    )


def test_labels_in_a_file_and_in_folders_give_the_same_figures(submission, real, tmp_path):
    foldered = labelled_zip(tmp_path / "foldered.zip", folders=True, seed=0)
    from_file = figures_of(submission, real, tmp_path, submission.with_suffix(".csv"))
    from_folders = figures_of(foldered, real, tmp_path)
    for ours, theirs in zip(from_file.classes, from_folders.classes, strict=True):
        assert (ours.name, ours.real, ours.generated) == (theirs.name, theirs.real, theirs.generated)
        assert ours.kernel_distance == pytest.approx(theirs.kernel_distance, rel=1e-9)
        assert (ours.precision, ours.recall) == (theirs.precision, theirs.recall)
    whole = score(submission, real, network="stand-in", device="cpu", cache_dir=tmp_path / "cache")
    assert from_file.score == whole
    named = read_labels(submission.with_suffix(".csv"))
    turned = {"ant": "bee", "bee": "cat", "cat": "ant"}
    write_labels(tmp_path / "turned.csv", [(name, turned[kind]) for name, kind in named.items()])
    wrong = figures_of(submission, real, tmp_path, tmp_path / "turned.csv")
    assert wrong.classes[-1].kernel_distance > 5 * from_file.classes[0].kernel_distance


@pytest.mark.parametrize("unreadable", ["ant/0.png", "bee/7.png"])
def test_unreadable_real_pictures_put_no_row_under_another_name(unreadable, submission, real, tmp_path):
    labels = submission.with_suffix(".csv")
    (real / unreadable).write_bytes(b"\x89PNG broken")
    first = figures_of(submission, real, tmp_path, labels)
    from_cache = figures_of(submission, real, tmp_path, labels)
    (real / unreadable).unlink()
    without = figures_of(submission, real, tmp_path, labels)
    assert first.classes == from_cache.classes == without.classes
    assert {each.name: each.real for each in first.classes}[unreadable[:3]] == 11 + 2 * (unreadable[0] == "b")


def rewritten(path, *, drop=(), add=()):
    labels = read_labels(path)
    for name in drop:
        del labels[name]
    write_labels(path, [*labels.items(), *add])
    return path


def test_a_labels_file_of_other_pictures_is_refused(submission, real, tmp_path):
    labels = submission.with_suffix(".csv")
    rewritten(labels, add=[("elsewhere.png", "ant")])
    with pytest.raises(DogsganError, match=r"names 1 pictures that are not in .*, the first elsewhere.png"):
        figures_of(submission, real, tmp_path, labels)
    rewritten(labels, drop=["elsewhere.png", "00003.png", "00007.png"])
    with pytest.raises(DogsganError, match=r"leaves out 2 of the 24 pictures in .*, the first 00003.png"):
        figures_of(submission, real, tmp_path, labels)


def test_classes_on_one_side_only_are_listed_and_said(submission, real, tmp_path):
    labels = submission.with_suffix(".csv")
    rewritten(labels, drop=["00004.png"], add=[("00004.png", "unicorn")])
    for file in (real / "cat").iterdir():
        file.unlink()
    (real / "dog").mkdir()
    (real / "dog" / "1.png").write_bytes((real / "ant" / "1.png").read_bytes())
    result = figures_of(submission, real, tmp_path, labels)
    missing = {each.name: set(each.reasons.values()) for each in result.classes}
    assert missing["unicorn"] == missing["cat"] == {"no real picture is of this class"}
    assert missing["dog"] == {"no generated picture is of this class"}
    assert any(
        "2 of the generated side's classes have no real picture: 'cat', 'unicorn'" in w
        for w in result.warnings
    )
    assert "–: no real picture is of this class (cat, unicorn)" in result.summary()


def test_a_side_without_classes_is_refused(submission, real, tmp_path):
    with pytest.raises(DogsganError, match=r"have no classes: give --labels FILE"):
        figures_of(submission, real, tmp_path)
    with pytest.raises(DogsganError, match="the real side has no classes"):
        figures_of(submission, submission, tmp_path, submission.with_suffix(".csv"))
    celeba = tmp_path / "img_align_celeba"
    celeba.mkdir()
    for index in range(3):
        (celeba / f"{index:06d}.jpg").write_bytes(picture(0, np.random.RandomState(index)))
    with pytest.raises(DogsganError, match="the real side has no classes"):
        figures_of(submission, celeba, tmp_path, submission.with_suffix(".csv"))
    with pytest.raises(DogsganError, match="is a statistics file, which says nothing of classes"):
        figures_of(submission, tmp_path / "real.npz", tmp_path, submission.with_suffix(".csv"))


def test_digits_and_their_labels(tmp_path):
    random = np.random.RandomState(0)
    digits = np.arange(40) % 4
    pixels = random.randint(0, 60, (40, 16, 16)).astype(np.uint8)
    for image, digit in zip(pixels, digits, strict=True):
        image[:, 4 * digit : 4 * digit + 4] += 190
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, magic, array in (("images-idx3", 2051, pixels), ("labels-idx1", 2049, digits.astype(np.uint8))):
        header = struct.pack(f">{1 + array.ndim}i", magic, *array.shape)
        (folder / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    generated = tmp_path / "generated.zip"
    with zipfile.ZipFile(generated, "w") as archive:
        for index, image in enumerate(pixels[:32]):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, format="PNG")
            archive.writestr(f"{digits[index]}/{index}.png", buffer.getvalue())
    result = figures_of(generated, folder, tmp_path)
    assert sorted((each.name, each.real, each.generated) for each in result.classes) == [
        (str(digit), 10, 8) for digit in range(4)
    ]
    assert all(each.precision == 1 for each in result.classes)


def test_breeds_of_the_competition_and_of_a_prepared_set(tmp_path):
    source, crops = draw_competition(tmp_path / "dogs.zip", images=40, seed=1), tmp_path / "crops"
    breeds = prepare(source, crops, DataRecipe(size_px=16)).crop_set.class_names
    zip_path = labelled_zip(tmp_path / "images.zip", counts=(20, 20, 20), folders=False, seed=0)
    named = [
        (name, breeds[index % len(breeds)])
        for index, name in enumerate(read_labels(zip_path.with_suffix(".csv")))
    ]
    labels = tmp_path / "breeds.csv"
    write_labels(labels, named)
    for real in (source, crops):
        result = figures_of(zip_path, real, tmp_path, labels)
        assert sorted(each.name for each in result.classes) == sorted(breeds)
        assert all(each.real and each.generated for each in result.classes)
        assert result.warnings == ()


def test_generate_writes_each_picture_s_class_and_samples_the_same_bytes(tmp_path, monkeypatch, capsys):
    generator = build_networks(RECIPE, class_count=3).generator.eval()
    names = ("class 0", "class 1", "class 2")
    sampler = Sampler(generator, RECIPE, names, 1)
    monkeypatch.setattr(Sampler, "open", lambda run, **settings: sampler)
    run, plain, zipped, labels = (str(tmp_path / name) for name in ("run", "a.zip", "b.zip", "labels.csv"))
    assert main(["generate", run, "--out", plain, "--count", "7"]) == 0
    assert main(["generate", run, "--out", zipped, "--count", "7", "--labels", labels]) == 0
    assert Path(plain).read_bytes() == Path(zipped).read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        assert read_labels(Path(labels)) == {
            name: f"class {index % 3}" for index, name in enumerate(archive.namelist())
        }
    assert main(["generate", run, "--out", zipped, "--count", "7", "--labels", zipped]) == 2
    assert "a name of its own" in capsys.readouterr().err


def test_labels_of_a_run_without_classes_are_refused_before_sampling(tmp_path, monkeypatch, capsys):
    unconditional = SimpleNamespace(class_names=(), recipe=Recipe())
    monkeypatch.setattr(Sampler, "open", lambda run, **settings: unconditional)
    out = tmp_path / "images.zip"
    arguments = ["generate", str(tmp_path / "run"), "--out", str(out), "--count", "4"]
    assert main([*arguments, "--labels", str(tmp_path / "labels.csv")]) == 2
    assert "knows no classes" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_the_command_leaves_table_json_and_plot(submission, real, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["score", str(submission), "--real", str(real), "--network", "stand-in", "--per-class"]
    labels = str(submission.with_suffix(".csv"))
    assert main([*arguments, "--labels", labels, "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert {"fid", "mifid", "network", "per_class"} <= values.keys()
    assert json.loads((out / "per-class.json").read_text()) == values
    classes = values["per_class"]["classes"]
    distances = [each["kernel_distance"] for each in classes]
    assert distances == sorted(distances, reverse=True)
    assert classes[0]["fid"] is None
    assert "takes more than as many" in classes[0]["reasons"]["fid"]
    assert len(values["per_class"]["correlations_with_real"]) == 3
    with (out / "per-class.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [each["class"] for each in classes]
    assert [float(row["kernel_distance"]) for row in rows] == distances
    assert {row["network"] for row in rows} == {"stand-in"}
    assert Image.open(out / "per-class.png").size == (1200, 440)
    assert "NOT the competition's score: stand-in" in captured.err
    assert "seen by stand-in; no class's figure is a score of the competition" in captured.err


def test_odd_class_names_neither_calculate_nor_break_lines_or_the_plot(submission, real, tmp_path):
    odd = "=1+1$x_{$\x1b[2J"
    labels = submission.with_suffix(".csv")
    named = {name: odd if kind == "ant" else kind for name, kind in read_labels(labels).items()}
    write_labels(labels, named.items())
    (real / "ant").rename(real / odd)
    result = figures_of(submission, real, tmp_path, labels, out=tmp_path / "out")
    assert odd in {each.name for each in result.classes}
    assert "\x1b" not in result.summary()
    assert "\n'=1+1" in (tmp_path / "out" / "per-class.csv").read_bytes().decode().replace("\r", "")


def test_options_of_the_classes_alone_are_refused(submission, real, capsys):
    arguments = ["score", str(submission), "--real", str(real), "--network", "stand-in"]
    for option in ("--labels", "--out"):
        assert main([*arguments, option, "x"]) == 2
        assert f"{option} goes with --per-class" in capsys.readouterr().err
