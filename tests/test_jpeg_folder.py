"""The tool that makes a JPEG copy of a data set: the tree, the order, the quality."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def tool(import_tool):
    return import_tool("jpeg_folder")


def test_every_image_is_numbered_in_its_class_and_written_once(tool, tmp_path):
    levels = [10, 80, 150, 220]
    pixels = np.stack([np.full((16, 16, 3), level, np.uint8) for level in levels])
    labels, classes = np.array([1, 0, 1, 1]), ("cat", "dog")
    assert tool.save(pixels, labels, classes, tmp_path / "train", 75) == 4
    for path, level in {"cat/0000": 80, "dog/0000": 10, "dog/0001": 150, "dog/0002": 220}.items():
        with Image.open(tmp_path / "train" / f"{path}.jpg") as image:
            assert image.format == "JPEG"
            assert np.asarray(image) == pytest.approx(level, abs=1)
    (tmp_path / "train" / "dog" / "0001.jpg").unlink()
    assert tool.save(pixels, labels, classes, tmp_path / "train", 75) == 1


def test_quality_is_that_of_the_files(tool, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    sizes = []
    for quality in (20, 75):
        tool.save(noise, np.array([0]), ("a",), tmp_path / str(quality), quality)
        sizes.append((tmp_path / str(quality) / "a" / "0000.jpg").stat().st_size)
    assert sizes[0] < sizes[1]


def test_what_is_missing_or_cannot_be_meant_is_told(tool, tmp_path, capsys):
    assert tool.main(["cifar10", str(tmp_path / "out"), "--quality", "0"]) == 2
    assert "--quality is 0: choose 1 to 95" in capsys.readouterr().err
    assert tool.main(["cifar10", str(tmp_path / "out"), "--root", str(tmp_path)]) == 2
    assert "cifar10 is not in" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_both_splits_are_written(tool, tmp_path, monkeypatch, capsys):
    class Data:
        class_names = ("cat", "dog")

        def __init__(self, root, download):
            assert (root, download) == ("there", True)

        def open_torchvision(self, part):
            labels = np.array([1] if part == "test" else [0, 1, 0])
            return np.zeros((len(labels), 8, 8, 3), np.uint8), labels

    monkeypatch.setitem(tool.KINDS, "cifar10", Data)
    assert tool.main(["cifar10", str(tmp_path), "--root", "there", "--download"]) == 0
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert found == ["test/dog/0000.jpg", "train/cat/0000.jpg", "train/cat/0001.jpg", "train/dog/0000.jpg"]
    assert capsys.readouterr().out.count("wrote") == 2
