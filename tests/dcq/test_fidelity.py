"""Error and inconsistency against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from dcq_samples import tinted

from colorcnn.dcq.fidelity import fidelity
from colorcnn.dcq.sources import ArrayImages


def images(*levels):
    return ArrayImages(
        np.stack([np.full((4, 4, 3), level, np.uint8) for level in levels]),
        np.zeros(len(levels), int),
        ("a",),
    )


def test_images_that_agree_on_a_colour_are_consistent_however_wrong():
    found = fidelity(images(100, 100), images(151, 151))
    assert found["mse"] == pytest.approx(0.04)
    assert found["inconsistency"] == pytest.approx(0)


def test_images_that_disagree_are_as_inconsistent_as_their_colours_deviate():
    found = fidelity(images(100, 100), images(49, 151))
    assert found["mse"] == pytest.approx(0.04)
    assert found["inconsistency"] == pytest.approx(0.2)


def test_colours_of_different_cells_may_come_out_differently():
    assert fidelity(images(10, 100), images(0, 200))["inconsistency"] == pytest.approx(0)


def test_copies_that_lose_nothing_have_no_error():
    source = ArrayImages(tinted(9), np.zeros(9, int), ("a",))
    found = fidelity(source, source)
    assert found["mse"] == 0
    assert 0 < found["inconsistency"] < 16 / 255
