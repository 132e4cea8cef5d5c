from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from dcq_samples import CLASSES, tinted

from colorcnn.dcq.build import NETWORK, WORK, prepare_folder
from colorcnn.dcq.refine import Refinement
from colorcnn.dcq.settings import Settings, implied_recipe, recipe
from colorcnn.dcq.sources import ArrayImages, Chosen, FileImages
from colorcnn.dcq.stages import Work
from colorcnn.dcq.storage import MANIFEST, Store, read_manifest, verify_store
from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.models import create_model
from colorcnn.quantizers import QUANTIZERS
from colorcnn.quantizers.spaces import enter
from colorcnn.tasks.extract import extract


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def distances(pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    lab, colors = enter(pixels.reshape(-1, 3).T, "cielab"), enter(palette.T, "cielab")
    return ((lab[:, :, None] - colors[:, None]) ** 2).sum(axis=0)


def test_every_pixel_gets_the_nearest_color_of_its_clusters_palette(source, network, build) -> None:
    manifest = build(source, network=network).run()
    store = Store(build(source, folder="other").folder.parent / "store")
    assert manifest.palettes == {"kind": "shared", "count": 3}
    assert len(store) == len(source)
    np.testing.assert_array_equal(store.labels, source.labels)
    for image in range(len(store)):
        indices, palette = store.indexed(image)
        away = distances(source.pixels[image], palette)
        chosen = away[np.arange(indices.size), indices.reshape(-1)]
        np.testing.assert_allclose(chosen, away.min(axis=1), rtol=2**-12, atol=1e-4)
        np.testing.assert_array_equal(store.decode(image), palette[indices])
        assert (np.diff(enter(palette.T, "cielab")[0]) >= -1e-4).all()


def test_images_of_one_tint_share_a_palette(source, build) -> None:
    build(source, features="statistics", attention="none", refine=False).run()
    found = build(source).folder
    store = Store(found)
    palettes = {label: {store.indexed(i)[1].tobytes() for i in range(label, 40, 3)} for label in range(3)}
    assert [len(own) for own in palettes.values()] == [1, 1, 1]
    assert len(set.union(*palettes.values())) == 3


def test_quantizing_the_decoded_images_again_changes_nothing(source, build) -> None:
    build(source, refine=False).run()
    store = Store(build(source).folder)
    for image in (0, 7):
        indices, palette = store.indexed(image)
        away = distances(store.decode(image), palette)
        np.testing.assert_array_equal(away.argmin(axis=1).reshape(indices.shape), indices)


@pytest.mark.parametrize("settings", [{}, {"features": "random", "attention": "layercam", "kept": 0.2}])
def test_the_same_seed_gives_the_same_bytes_however_many_work(source, network, build, settings) -> None:
    results = []
    for folder, jobs in (("a", 1), ("b", 2)):
        job = build(source, folder=folder, network=network, **settings)
        job.jobs = job.work.jobs = jobs
        job.run()
        results.append(files_of(job.folder))
    assert results[0] == results[1]
    other = build(source, folder="c", network=network, seed=1, **settings)
    other.run()
    assert files_of(other.folder) != results[0]


def test_a_cpu_looks_at_a_few_images_at_a_time_and_sees_the_same(source, network, build, monkeypatch) -> None:
    seen = []
    for folder, pixels in (("a", 1 << 18), ("b", 7 * 256)):
        monkeypatch.setattr("colorcnn.tasks.extract._AT_ONCE", pixels)
        job = build(source, folder=folder, network=network)
        job.run_classifier()
        seen.append(job.work.load(NETWORK))
    assert len(seen[0]["attention"]) == 40
    for name in ("features", "attention"):
        np.testing.assert_allclose(seen[0][name], seen[1][name], rtol=1e-3, atol=1e-3)


def test_several_devices_see_the_same_as_one(source, network, build, monkeypatch) -> None:
    """Each image once, under its own number."""
    monkeypatch.setattr("colorcnn.tasks.extract.EXTRACT_BATCH", 7)
    found = []
    for folder, devices in (("a", ["cpu"]), ("b", ["cpu", "cpu"])):
        job = build(source, folder=folder, network=network)
        extract(network, source, job.settings, job.work, devices=devices)
        found.append([job.work.load(NETWORK, start) for start in range(0, 40, 7)])
    assert [len(piece["features"]) for piece in found[1]] == [7] * 5 + [5]
    for one, other in zip(*found):
        for name in ("features", "attention"):
            np.testing.assert_array_equal(one[name], other[name])


def test_a_learned_method_gives_the_same_store_on_several_devices(source, build) -> None:
    torch.manual_seed(0)
    model = create_model("colorcnn-plus", backbone_kwargs={"width": 4, "depth": 2}, feature_channels=8).eval()
    results = []
    for folder, devices in (("a", ["cpu"]), ("b", ["cpu", "cpu"])):
        job = build(source, folder=folder, quantizer=model, palettes="own", method="colorcnn-plus:mine")
        job.devices = devices
        job.run()
        results.append(files_of(job.folder))
    assert results[0] == results[1]


@pytest.mark.parametrize("stage", ["look", "clusters", "design", "refine"])
def test_a_build_that_was_stopped_goes_on_and_gives_the_same_bytes(source, network, build, stage) -> None:
    whole = build(source, folder="whole", network=network)
    whole.run()
    stopped = build(source, network=network)
    stopped.run_classifier()
    if stage != "look":
        clusters = stopped.clusters()
    if stage in ("design", "refine"):
        coordinates = stopped.design(clusters)
    if stage == "refine":
        stopped.refine(clusters, coordinates)
    again = build(source, network=network)
    assert again.work.resumed
    again.extract = None if stage != "look" else again.extract
    again.run()
    assert files_of(again.folder) == files_of(whole.folder)
    assert not (again.folder / WORK).exists()


def test_an_unfinished_build_of_other_settings_is_refused(source, build) -> None:
    build(source).clusters()
    with pytest.raises(UsageError, match="unfinished build"):
        build(source, bits=3)
    with pytest.raises(UsageError, match="unfinished build"):
        build(Chosen(source, np.arange(5)))


def test_a_finished_store_is_replaced_by_force_alone(source, build) -> None:
    job = build(source)
    job.run()
    (job.folder / "notes.txt").write_text("mine")
    with pytest.raises(ColorCNNError, match="exists already"):
        prepare_folder(job.folder)
    prepare_folder(job.folder, force=True)
    assert [path.name for path in job.folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "features", ["label", "random", "image", "histogram", "pca", "coherence", "cooccurrence", "final"]
)
def test_every_kind_of_features_makes_clusters(source, network, build, features) -> None:
    clusters = _clusters(
        build(source, network=network, features=features, pool=1, standardise=features == "image")
    )
    assert clusters.shape == (40,)
    assert clusters.min() >= 0
    assert clusters.max() < 3


def _clusters(job) -> np.ndarray:
    job.run_classifier()
    return job.clusters()


def test_without_a_classifier_pixel_statistics_take_its_place_and_it_is_said(source, build) -> None:
    manifest = build(source).run()
    assert manifest.config["features"] == "statistics"
    assert manifest.config["attention"] == "none"
    assert sum("no classifier" in note for note in manifest.report["notes"]) == 2


def test_images_of_any_sizes_make_a_store(tmp_path: Path, build) -> None:
    from PIL import Image

    files = []
    for number, size in enumerate([(1, 1), (16, 9), (40, 21), (3, 200)] * 5):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(tinted(1, size, number)[0]).save(files[-1])
    images = FileImages(files, np.arange(20) % 3, CLASSES, shorter_side=20)
    manifest = build(images, bits=3).run()
    store = Store(tmp_path / "store")
    assert manifest.size is None
    assert [store.decode(image).shape for image in range(4)] == [
        (1, 1, 3),
        (16, 9, 3),
        (38, 20, 3),
        (3, 200, 3),
    ]
    assert manifest.bytes["source"] == sum(file.stat().st_size for file in files)


@pytest.mark.parametrize("name", ["median-cut", "k-means"])
def test_any_quantizer_fills_a_store_with_a_palette_for_each_image(source, build, name) -> None:
    quantizer = QUANTIZERS[name]()
    job = build(source, palettes="own", quantizer=quantizer, method=name)
    job.run()
    import torch

    expected = quantizer(torch.from_numpy(source.pixels), 4, channels_last=True).render(torch.uint8)
    found = np.stack(Store(job.folder).read(range(40)))
    np.testing.assert_array_equal(found.transpose(0, 3, 1, 2), expected.numpy())
    assert not job.folder.joinpath(WORK).exists()


@pytest.mark.parametrize("name", ["median-cut", "wu"])
def test_any_quantizer_designs_the_palettes_of_clusters(source, build, name) -> None:
    job = build(source, quantizer=QUANTIZERS[name](), method=name, refine=False)
    job.run()
    assert len({Store(job.folder).indexed(image)[1].tobytes() for image in range(40)}) == 3


def test_super_palettes_take_their_colors_from_one_larger_palette(source, build) -> None:
    job = build(source, palettes="super", super_colors=9)
    manifest = job.run()
    store = Store(job.folder)
    colors = {tuple(color) for image in range(40) for color in store.indexed(image)[1].tolist()}
    assert len(colors) <= 9
    assert manifest.palettes == {"kind": "super", "count": 40}


def test_the_pruned_images_keep_their_rows(source, build) -> None:
    job = build(Chosen(source, np.array([1, 5, 30])), clusters=9)
    job.run()
    store = Store(job.folder)
    assert store.rows.tolist() == [1, 5, 30]
    assert store.labels.tolist() == [1, 2, 0]


def test_a_store_can_be_quantized_again(source, build) -> None:
    build(source, bits=4).run()
    job = build(Store(build(source, bits=4).folder), folder="smaller", bits=1)
    assert job.run().bits == 1


def test_the_manifest_counts_bytes_and_pixels(source, build) -> None:
    job = build(source, refine=False)
    manifest = job.run()
    assert manifest.bytes["raw"] == 40 * 768
    assert manifest.bytes["nominal"] == 40 * 64
    assert manifest.bytes["packed"] == 40 * (64 + 2) + 3 * 12
    assert manifest.bytes["coded"] == sum(path.stat().st_size for path in job.folder.glob("*.dcq"))
    np.testing.assert_allclose(
        manifest.statistics["original"][0], source.pixels.mean((0, 1, 2)) / 255, atol=1e-4
    )
    decoded = np.stack(Store(job.folder).read(range(40)))
    np.testing.assert_allclose(manifest.statistics["quantized"][1], decoded.std((0, 1, 2)) / 255, atol=1e-4)
    expected = ((decoded / 255 - source.pixels / 255) ** 2).mean()
    assert manifest.report["mse"] == pytest.approx(expected)


def test_several_labels_an_image_are_kept(build) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (12, 11))
    job = build(ArrayImages(tinted(12), labels, [str(n) for n in range(11)]))
    assert job.run().multi_label
    np.testing.assert_array_equal(Store(job.folder).labels, labels)


def test_random_access_reads_what_a_copy_in_another_process_reads(source, build) -> None:
    job = build(source)
    job.run()
    store = Store(job.folder, cache_bytes=1)
    rows = np.random.default_rng(0).permutation(40)
    whole = store.read(range(40))
    copy = pickle.loads(pickle.dumps(store))
    for image, pixels in zip(rows, copy.read(rows), strict=True):
        np.testing.assert_array_equal(pixels, whole[image])
    np.testing.assert_array_equal(store.decode(-1), whole[39])


def test_verify_finds_nothing_in_a_whole_store_and_names_what_is_wrong(source, build) -> None:
    job = build(source)
    job.run()
    assert verify_store(job.folder) == []
    shard = next(job.folder.glob("*.dcq"))
    data = shard.read_bytes()
    for change in (data[:-3], data[:-9] + b"x" + data[-8:], b"GIF89a" + data[6:]):
        shard.write_bytes(change)
        problems = verify_store(job.folder)
        assert len(problems) == 1
        assert shard.name in problems[0]
    shard.unlink()
    assert "missing" in verify_store(job.folder)[0]
    shard.write_bytes(data)
    (job.folder / "shard-00009.dcq").write_bytes(data)
    assert "shard-00009.dcq does not belong" in verify_store(job.folder)[0]


def test_a_shard_of_another_store_is_named(source, build) -> None:
    first, second = build(source, folder="a", bits=1), build(source, folder="b", bits=3)
    first.run()
    second.run()
    (second.folder / "shard-00000.dcq").replace(first.folder / "shard-00000.dcq")
    assert "belongs to another store" in verify_store(first.folder)[0]
    with pytest.raises(ColorCNNError, match=r"shard-00000\.dcq belongs to another store"):
        Store(first.folder).decode(0)


def test_labels_that_no_class_has_are_refused(source, build) -> None:
    store = build(source, bits=1)
    store.run()
    path = store.folder / "store.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "classes": content["classes"][:1]}))
    assert "belongs to another store" in verify_store(store.folder)[0]
    with pytest.raises(ColorCNNError, match="belongs to another store"):
        Store(store.folder).labels  # noqa: B018


def test_damaged_and_foreign_manifests_are_refused(source, build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a quantized data set"):
        read_manifest(tmp_path)
    job = build(source)
    job.run()
    path = job.folder / MANIFEST
    text = path.read_text()
    for change, reason in (
        (text[:-20], "not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "not the manifest"),
        (text.replace('"version": 1', '"version": 9'), "update colorcnn"),
        (text.replace('"bits"', '"bit"'), "missing required field bits"),
    ):
        path.write_text(change)
        with pytest.raises(ColorCNNError, match=reason):
            Store(job.folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("images",), 2**40), (("images",), -1), (("bits",), 9), (("size",), [0, 8]), (("size",), [10**6, 8]),
        (("shards", 0, "file"), "../elsewhere.dcq"), (("shards", 0, "file"), "/etc/passwd"),
        (("shards", 0, "images"), 2**40), (("shards", 0, "blake2b"), "x"), (("statistics",), {}),
        (("bytes", "raw"), 0), (("palettes", "count"), "many"), (("config",), [[[[]]]]), (("classes",), [1]),
    ],
)  # fmt: skip
def test_a_manifest_with_a_wrong_value_is_refused_and_names_it(source, build, place, value) -> None:
    job = build(source)
    job.run()
    content = json.loads((job.folder / MANIFEST).read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (job.folder / MANIFEST).write_text(json.dumps(content))
    for read in (Store, verify_store):
        with pytest.raises(ColorCNNError, match=rf"{MANIFEST} is (invalid|damaged)"):
            read(job.folder)


def test_pieces_without_their_plan_are_not_used(source, build) -> None:
    """A half-removed folder of a build with other settings gives the bytes of a build from the start."""
    whole = build(source, folder="whole", bits=2)
    whole.run()
    stopped = build(source, folder="half", bits=3)
    stopped.encode = None
    with pytest.raises(TypeError):
        stopped.run()
    assert list((stopped.folder / WORK).glob("*.npz"))
    (stopped.folder / WORK / "plan.json").unlink()
    again = build(source, folder="half", bits=2)
    again.run()
    for path in whole.folder.iterdir():
        assert (again.folder / path.name).read_bytes() == path.read_bytes()


def test_a_piece_of_another_plan_is_done_anew(tmp_path: Path) -> None:
    first, second = Work(tmp_path / "a", {"bits": 1}), Work(tmp_path / "b", {"bits": 2})
    first.save("stage", {"x": np.arange(3)})
    assert first.has("stage")
    first.path("stage").replace(second.path("stage"))
    assert not second.has("stage")
    with pytest.raises(ColorCNNError, match="damaged"):
        second.load("stage")


def test_the_plan_is_removed_last(tmp_path: Path, monkeypatch) -> None:
    work = Work(tmp_path / "a", {"bits": 1})
    work.save("stage", {"x": np.arange(3)})
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    work.remove()
    assert [path.name for path in work.folder.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    "settings",
    [{"bits": 0}, {"bits": 9}, {"clusters": 0}, {"kept": 0.0}, {"kept": 1.1}, {"attention": "x"},
     {"palettes": "x"}, {"smoothing": -1.0}, {"smoothing": float("nan")}, {"smoothing": 1e7},
     {"features": "x"}, {"space": "x"}, {"seed": -1}, {"refinement": Refinement(steps=0)},
     {"refinement": Refinement(learning_rate=-1.0)}, {"refinement": Refinement(learning_rate=float("nan"))},
     {"refinement": Refinement(temperature=0.0)}, {"refinement": Refinement(color_weight=float("nan"))}],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(settings) -> None:
    with pytest.raises(UsageError):
        Settings(**settings)


def test_recipes_have_names() -> None:
    assert recipe("paper") == Settings()
    assert recipe("pixels", bits=3).layer is None
    assert recipe("super").smoothing > 0
    with pytest.raises(UsageError, match="paper, pixels, super"):
        recipe("best")


@pytest.mark.parametrize(
    ("given", "classifier", "meant"),
    [({"bits": 3, "smoothing": 9.0, "seed": 1}, False, ("super", "")),
     ({"palettes": "super", "method": "wu"}, False, ("super", "")),
     ({"palettes": "own"}, False, ("paper", "palettes")), ({"clusters": 20}, False, ("paper", "clusters")),
     ({"refinement": {"steps": 9}}, False, ("paper", "refinement")),
     ({"clusters": 2, "method": "wu"}, False, ("paper", "method")),
     ({"method": "wu"}, False, ("paper", "method")), ({}, True, ("paper", "classifier"))],
)  # fmt: skip
def test_who_asks_for_what_only_the_paper_has_gets_its_recipe(given, classifier, meant) -> None:
    assert implied_recipe(given, classifier=classifier) == meant


def test_a_data_set_without_images_is_refused(build) -> None:
    with pytest.raises(ColorCNNError, match="no training images"):
        build(ArrayImages(np.empty((0, 4, 4, 3), np.uint8), np.empty(0, np.int64), CLASSES))
