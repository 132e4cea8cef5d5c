"""A small explorer: three pictures in files, three methods, a classifier of three classes."""

import pytest
from explorer_samples import SIDE, noise
from PIL import Image

from colorcnn.explorer.classifying import load_picture_classifier
from colorcnn.explorer.explorer import Explorer
from colorcnn.explorer.opening import open_source


@pytest.fixture
def folder(tmp_path):
    """photos/: a.png, b.png and c.png, half of which is transparent."""
    place = tmp_path / "photos"
    place.mkdir()
    for seed, name in enumerate("ab"):
        Image.fromarray(noise(seed=seed)).save(place / f"{name}.png")
    clear = Image.fromarray(noise(seed=2)).convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, SIDE // 2, SIDE))
    clear.save(place / "c.png")
    return place


@pytest.fixture
def explorer(folder, checkpoints):
    source = open_source([str(folder)])
    classifier = load_picture_classifier("toy-net", source)
    return Explorer(source, ["wu", "wu+ordered", "toy-two"], classifier)
