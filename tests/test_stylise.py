"""The stylising tool: colours of the style, patches of the image, the tree of folders."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def tool(import_tool):
    return import_tool("stylise")


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((12, 15, 3)) * [0.3, 0.5, 0.2] + 0.3


def test_colours_get_the_mean_and_the_covariance_of_the_style(tool, picture):
    style = np.random.default_rng(1).random((9, 9, 3)) @ [[0.5, 0.2, 0], [0, 0.3, 0.1], [0.1, 0, 0.4]]
    found = tool.transfer_colors(picture, style).reshape(-1, 3)
    assert found.mean(axis=0) == pytest.approx(style.reshape(-1, 3).mean(axis=0), abs=1e-9)
    assert np.cov(found.T, bias=True) == pytest.approx(np.cov(style.reshape(-1, 3).T, bias=True), abs=1e-3)


def test_an_image_in_its_own_colours_stays(tool, picture):
    assert tool.transfer_colors(picture, picture) == pytest.approx(picture)


def test_patches_are_means_of_the_steadiest_corner(tool):
    image = np.zeros((5, 6, 3))
    image[:, 3:] = 1
    assert (tool.kuwahara(image, 2) == image).all(), "an edge stays sharp"
    image[2, 1] = 1
    assert tool.kuwahara(image, 1)[2, 1] == pytest.approx([0.25, 0.25, 0.25]), "a dot does not"
    assert tool.kuwahara(image, 0) is image


def test_a_folder_is_stylised_once_and_always_the_same(tool, tmp_path, capsys):
    random = np.random.default_rng(0)
    for name in ("train/a/1.jpg", "train/b/2.png", "test/a/3.jpg"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(random.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(path)
    for target in ("one", "two"):
        assert tool.main([str(tmp_path / "source"), str(tmp_path / target)]) == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    assert [str(file) for file in files] == ["test/a/3.png", "train/a/1.png", "train/b/2.png"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        assert Image.open(tmp_path / "one" / file).size == (9, 8)
    capsys.readouterr()
    assert tool.main([str(tmp_path / "source"), str(tmp_path / "one")]) == 0
    assert "wrote 0 images" in capsys.readouterr().out


def test_a_target_of_other_settings_is_refused(tool, tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    Image.new("RGB", (4, 4), "red").save(source / "1.png")
    assert tool.main([str(source), str(target)]) == 0
    assert tool.main([str(source), str(target), "--radius", "3"]) == 2
    assert "made with other styles, radius or seed" in capsys.readouterr().err
    assert tool.main([str(source), str(source / "inside")]) == 2
    assert "lies in" in capsys.readouterr().err
    Image.new("RGB", (4, 4), "blue").save(source / "1.jpg")
    assert tool.main([str(source), str(tmp_path / "other")]) == 2
    assert "1.png: rename one" in capsys.readouterr().err


def test_what_cannot_be_stylised_is_told(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert "holds no image" in capsys.readouterr().err
    assert tool.main([str(tmp_path), str(tmp_path / "out"), "--radius", "-1"]) == 2
