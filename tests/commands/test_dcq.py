from __future__ import annotations

import io
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorcnn import cli
from colorcnn.cli import INTERRUPTED
from colorcnn.dcq.export import class_folders, file_stems, payload
from colorcnn.dcq.pruning import Dynamics
from colorcnn.dcq.storage import Store
from colorcnn.reporting.figures.gallery import CELL


@pytest.fixture
def pets(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("COLORCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for part, count in (("train", 18), ("test", 4)):
        for number in range(count):
            path = Path("pets", part, ("cat", "dog")[number % 2], f"{number:03}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            tint = random.integers(40, 255, 3)
            ramp = np.linspace(0.3, 1, 256).reshape(16, 16, 1)
            Image.fromarray((ramp * tint).astype(np.uint8)).save(path)
    return Path("pets")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["dcq", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_build_verify_and_export(pets: Path, capsys) -> None:
    status, out, err = run(capsys, "build", "pets", "--bits", "3", "--clusters", "2", "-o", "small")
    assert status == 0
    assert "18 images, 2 palettes of 8 colours" in out
    for line in ("nominal", "packed", "coded", "source files", "times smaller than the files"):
        assert line in out
    assert "no classifier: clusters use pixel statistics" in err
    assert "refinement" in err
    assert run(capsys, "verify", "small")[:2] == (0, "small is whole: 18 images in 1 shard.\n")
    assert run(capsys, "export", "small", "-o", "pngs")[0] == 0
    store = Store("small")
    for image in range(18):
        path = Path("pngs", ("cat", "dog")[store.labels[image]], Path(store.name(image)).stem + ".png")
        with Image.open(path) as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), store.decode(image))
    assert run(capsys, "export", "small", "-o", "pngs")[0] == 1


def test_without_options_images_have_palettes_of_their_own(pets: Path, capsys) -> None:
    status, out, err = run(capsys, "build", "pets", "-o", "small")
    assert (status, err) == (0, "")
    assert "18 images, 18 palettes of 4 colours" in out
    with Image.open("small/examples.png") as picture:
        assert picture.width > 10 * CELL
    assert json.loads(Path("small/store.json").read_text())["config"]["smoothing"] > 0


def test_verify_names_the_damaged_shard_and_fails(pets: Path, capsys) -> None:
    run(capsys, "build", "pets", "--recipe", "pixels", "--no-refine", "-o", "small")
    path = Path("small/shard-00000.dcq")
    path.write_bytes(path.read_bytes()[:-1])
    status, out, err = run(capsys, "verify", "small")
    assert (status, out) == (1, "")
    assert "shard-00000.dcq is damaged, it is truncated" in err


def test_a_store_is_not_overwritten_without_force(pets: Path, capsys) -> None:
    arguments = ("build", "pets", "--method", "median-cut", "-o", "small")
    assert run(capsys, *arguments)[0] == 0
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert "small/store.json exists already" in err
    assert run(capsys, *arguments, "--force")[0] == 0


def test_the_same_command_draws_the_examples_that_are_missing(pets: Path, capsys) -> None:
    arguments = ("build", "pets", "--method", "median-cut", "-o", "small")
    first = run(capsys, *arguments)
    picture = Path("small/examples.png")
    content, store = picture.read_bytes(), Path("small/store.json").read_bytes()
    picture.unlink()
    assert run(capsys, *arguments, "--bits", "3")[0] == 1, "another command is refused"
    assert not picture.exists()
    assert run(capsys, *arguments)[:2] == first[:2]
    assert (picture.read_bytes(), Path("small/store.json").read_bytes()) == (content, store)


def test_all_images_of_a_folder_without_a_test_split_are_taken(pets: Path, capsys) -> None:
    shutil.rmtree("pets/test")
    options = ("--method", "median-cut")
    assert "18 images" in run(capsys, "build", "pets", *options, "-o", "all")[1]
    assert "18 images" in run(capsys, "build", "pets/train", *options, "-o", "tree")[1]
    assert "14 images" in run(capsys, "build", "pets", *options, "--test-size", "4", "-o", "some")[1]
    status, _, err = run(capsys, "build", "cifar10", *options, "--test-size", "4", "-o", "none")
    assert (status, "remove --test-size" in err) == (2, True)


def test_images_that_are_set_aside_are_told(pets: Path, capsys) -> None:
    shutil.rmtree("pets/test")
    arguments = ("build", "pets", "--method", "median-cut", "-o", "small")
    status, _, err = run(capsys, *arguments, "--test-size", "4")
    assert status == 0
    assert err.count("4 of 18 images set aside as test: there is no test/ folder") == 1
    assert "set aside" not in run(capsys, *arguments, "--force")[2]


def test_a_build_that_is_terminated_says_how_to_go_on(pets: Path, capsys, monkeypatch) -> None:
    def stop(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    arguments = ("build", "pets", "--method", "median-cut", "-o", "small")
    with monkeypatch.context() as patch:
        patch.setattr("colorcnn.dcq.build.Build.finish", stop)
        status, _, err = run(capsys, *arguments, "--force")
    assert status == 143
    assert f"resume with `colorcnn dcq {' '.join(arguments)}`" in err
    assert not list(Path("small").rglob("*.part"))
    assert run(capsys, *arguments)[0] == 0


def test_a_classifier_is_looked_at(pets: Path, capsys) -> None:
    arguments = (
        "build",
        "pets",
        "--classifier",
        "tiny:classifier",
        "--features",
        "features.0",
        "--clusters",
        "2",
    )
    arguments += (
        "--attention-layer",
        "features.2",
        "--attention",
        "layercam",
        "--kept",
        "0.3",
        "-o",
        "small",
    )
    status, _, err = run(capsys, *arguments)
    assert status == 0, err
    config = json.loads(Path("small/store.json").read_text())["config"]
    assert (config["features"], config["attention"], config["kept"]) == ("features.0", "layercam", 0.3)
    assert config["classifier"] == "tiny:classifier"


def test_pruned_images_are_left_out(pets: Path, capsys) -> None:
    margin = np.linspace(-1, 1, 18)[None].repeat(3, axis=0)
    Dynamics(1 - margin, margin, np.zeros(18), np.arange(18)).write(Path("run/dynamics.npz"))
    arguments = ("build", "pets", "--recipe", "super", "--prune", "aum", "--dynamics", "run", "-o", "small")
    status, _, err = run(capsys, *arguments, "--kept-images", "0.25")
    assert (status, "aum keeps 4 of 18" in err) == (0, True)
    assert Store("small").rows.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_recode_meets_a_number_of_bytes_with_the_best_quality(pets: Path, capsys, name: str) -> None:
    status, out, _ = run(capsys, "recode", "pets", "--format", name, "--bytes", "90", "-o", "files")
    assert status == 0
    assert f"18 {name} files at quality " in out
    files = [path.read_bytes() for path in Path("files").glob("*/*.*")]
    assert len(files) == 18
    assert np.mean([payload(data) for data in files]) <= 90
    with Image.open(io.BytesIO(files[0])) as picture:
        assert picture.format == name.upper()


def test_recode_can_copy_what_pruning_keeps_losslessly(pets: Path, capsys) -> None:
    arguments = (
        "recode",
        "pets",
        "--format",
        "png",
        "--prune",
        "random",
        "--kept-images",
        "0.5",
        "-o",
        "files",
    )
    assert run(capsys, *arguments)[0] == 0
    assert len(list(Path("files").rglob("*.png"))) == 9


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--bits", "9"], 2, "bits is 9"),
        (["--recipe", "best"], 2, "paper, pixels, super"),
        (["--method", "x"], 2, "Unknown method 'x'"),
        (
            ["--method", "octree", "--clusters", "4"],
            2,
            "--clusters changes nothing for own palettes, which --method asks for: leave it out.",
        ),
        (["--super-colors", "9", "--palettes", "own"], 2, "--super-colors changes nothing"),
        (["--super-colors", "9", "--clusters", "4"], 2, "shared palettes, which --clusters asks for"),
        (
            ["--palettes", "super", "--no-refine"],
            2,
            "--no-refine changes nothing for super palettes, which --palettes asks for: leave it out.",
        ),
        (["--recipe", "super", "--clusters", "4"], 2, "for super palettes with these options: leave it out."),
        (["--method", "colorcnn-plus", "--smoothing", "9"], 2, "use no smoothing (--smoothing 0)"),
        (["--method", "wu+floyd-steinberg", "--palettes", "super"], 2, "remove +floyd-steinberg"),
        (["--method", "wu+floyd-steinberg", "--smoothing", "9"], 2, "use no smoothing (--smoothing 0)"),
        (["--classifier-size", "9"], 2, "--classifier-size needs --classifier"),
        (["--recipe", ""], 2, "paper, pixels, super"),
        (["--no-refine", "--refine-steps", "9"], 2, "--refine-steps changes nothing"),
        (["--recipe", "pixels", "--classifier", "tiny:classifier"], 2, "remove --classifier"),
        (["--features", "label", "--clusters", "4"], 2, "--clusters changes nothing"),
        (["--features", "histogram", "--pool", "4"], 2, "--pool changes nothing"),
        (["--attention", "none", "--kept", "0.4"], 2, "--kept changes nothing"),
        (["--attention", "rise", "--attention-layer", "final"], 2, "--attention-layer changes nothing"),
        (["--prune", "random", "--kept-images", "0.5", "--dropped", "0.1"], 2, "--dropped changes nothing"),
        (["--seed", "-1"], 2, "--seed is -1"),
        (["--prune", "aum"], 2, "--kept-images"),
        (["--prune", "aum", "--kept-images", "0.5"], 2, "--dynamics"),
        (["--kept-images", "0.5"], 2, "needs --prune"),
        (["--prune", "random", "--kept-images", "0.5", "--dynamics", "none"], 2, "does not exist"),
        (["--jobs", "0"], 2, "--jobs"),
        (["--space", "srgb", "--clusters", "4"], 2, "CIELAB"),
        (["--clas", "x"], 2, "Unknown option '--clas'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(pets: Path, capsys, arguments, status, message) -> None:
    found = run(capsys, "build", "pets", "-o", "small", *arguments)
    assert (found[0], message in found[2]) == (status, True), found[2]
    assert not Path("small/store.json").exists()


@pytest.mark.parametrize("command", [["export", "small"], ["recode", "pets", "--format", "png"]])
def test_wrong_numbers_are_said_before_anything_is_written(pets: Path, capsys, command) -> None:
    status, _, err = run(capsys, *command, "--jobs", "0", "-o", "files")
    assert (status, "--jobs is 0" in err) == (2, True)
    assert not Path("files").exists()


def test_an_unfinished_build_does_not_go_on_with_another_look_of_the_classifier(
    pets: Path, capsys, monkeypatch
) -> None:
    arguments = ("build", "pets", "--classifier", "tiny:classifier", "--clusters", "2", "-o", "small")
    with monkeypatch.context() as patch:
        patch.setattr("colorcnn.dcq.build.Build.clusters", _interrupt)
        assert run(capsys, *arguments, "--classifier-size", "8")[0] == INTERRUPTED
    status, _, err = run(capsys, *arguments, "--classifier-size", "16")
    assert (status, "--force" in err) == (2, True), err
    assert run(capsys, *arguments, "--classifier-size", "8")[0] == 0


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


class Named:
    """A store of images of these names, all of one class."""

    def __init__(self, *names: str | None) -> None:
        self.names = names
        self.labels = np.zeros(len(names), np.int64)
        self.rows = np.arange(len(names)) + 7

    def __len__(self) -> int:
        return len(self.names)

    def name(self, image: int) -> str | None:
        return self.names[image]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("cat.jpg", "dog.tar.png"), ["cat", "dog.tar"]),
        ((None, None), [None, None]),
        (("cat.jpg", "Cat.png", "dog.png"), ["cat-7", "Cat-8", "dog"]),
        (("../evil.png", "/etc/evil.png", ".hidden.png", "a\\b.png", "a\x1b.png", ".png", "ok.png"),
         [None] * 6 + ["ok"]),
        (("cat.jpg", "cat.png", "cat-7.png"), [None] * 3),
        (("../evil.png", "8.png"), [None, None]),
    ],
)  # fmt: skip
def test_exported_files_have_the_names_of_the_images_where_these_are_safe(names, expected) -> None:
    assert file_stems(Named(*names)) == expected


def test_a_damaged_list_of_names_is_told(pets: Path, capsys) -> None:
    assert run(capsys, "build", "pets", "-o", "small")[0] == 0
    Path("small", "names.json").write_text('{"names": []}')
    status, _, err = run(capsys, "verify", "small")
    assert (status, "names.json does not have the checksum" in err) == (1, True)
    assert run(capsys, "build", "pets", "-o", "small", "--force")[0] == 0
    assert run(capsys, "verify", "small")[0] == 0


def test_class_folders_keep_the_order_of_the_labels() -> None:
    assert class_folders(["cat", "dog"]) == ["cat", "dog"]
    assert class_folders(["dog", "cat"]) == ["0-dog", "1-cat"]
    assert class_folders(["crane", "crane"]) == ["0-crane", "1-crane"]
    assert class_folders(["a/b", "c"]) == ["0-a_b", "1-c"]
    assert class_folders(["a\0b", "c"]) == ["0-a_b", "1-c"]
    assert class_folders(["", "c"]) == ["0-", "1-c"]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["build", "--help"], ["recode", "--help"], ["export", "--help"], ["verify", "--help"]],
)
def test_help_is_printed(capsys, arguments) -> None:
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert "usage: colorcnn dcq" in out
    assert "examples:" in out
    assert "exit status: " in out.lower()
