"""`colorcnn init`: configurations for a folder of images, which `colorcnn fit` takes."""

import numpy as np
import pytest
import yaml
from PIL import Image

from colorcnn.cli import main

RANDOM = np.random.default_rng(0)


def images(folder, classes=("cat", "dog"), count=16, side=16):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = RANDOM.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A current folder that holds `photos`, a tree of train and test."""
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "photos" / "train")
    images(tmp_path / "photos" / "test", count=2)
    return tmp_path / "photos"


@pytest.mark.slow
def test_both_configurations_train(photos, capsys):
    assert main(["init", "photos"]) == 0
    assert capsys.readouterr().out.split() == ["photos-classifier.yaml", "photos-quantizer.yaml"]
    once = ["--trainer.max_steps=1", "--trainer.limit_val_batches=1", "--device=cpu"]
    network = "--model.init_args.network_kwargs={width: 4}"
    assert main(["fit", "--config", "photos-classifier.yaml", *once, network]) == 0
    assert main(["fit", "--config", "photos-quantizer.yaml", *once, "--model.init_args.sizes=[2]"]) == 0
    text = (photos.parent / "photos-quantizer.yaml").read_text()
    assert "32 images of 2 classes" in text
    assert yaml.safe_load(text)["data"]["init_args"] == {"path": "photos", "batch_size": 8}


def test_what_is_found_decides_size_and_batches(photos, capsys):
    images(photos.parent / "two words", side=80, count=80)
    argv = ["init", "two words", "--out-dir", "configs", "--name", "mine"]
    assert main(argv) == 0
    path = photos.parent / "configs" / "mine-classifier.yaml"
    options = {"path": "two words", "image_size": 64, "batch_size": 16, "test_size": 0.2}
    assert yaml.safe_load(path.read_text())["data"]["init_args"] == options
    quantizer = yaml.safe_load(path.with_name("mine-quantizer.yaml").read_text())
    assert quantizer["model"]["init_args"]["classifiers"] == ["runs/mine-classifier"]
    assert main([*argv, "--force", "--image-size", "48"]) == 0
    assert yaml.safe_load(path.read_text())["data"]["init_args"]["image_size"] == 48


def test_a_file_that_exists_is_kept_without_force(photos, capsys):
    kept = photos.parent / "photos-quantizer.yaml"
    kept.write_text("mine\n")
    assert main(["init", "photos"]) == 1
    assert "photos-quantizer.yaml exists already: choose another name, or overwrite it with --force" in (
        capsys.readouterr().err
    )
    assert kept.read_text() == "mine\n"
    assert not (photos.parent / "photos-classifier.yaml").exists()
    assert main(["init", "photos", "--force"]) == 0
    assert "ColorCNNTask" in kept.read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none"], "There is no folder none"),
        (["photos/train/cat"], "has no class folders"),
        (["photos", "--name", "a/b"], "is not allowed"),
        (["photos", "--image-size", "3"], "image_size is 3"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_sentence(photos, capsys, arguments, problem):
    assert main(["init", *arguments]) == 2
    message = capsys.readouterr().err
    assert problem in message
    assert message.count("\n") == 1
    assert not list(photos.parent.glob("*.yaml"))
