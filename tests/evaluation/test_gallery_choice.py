"""Images of a picture that stand for all images of a split."""

import numpy as np

from colorcnn.evaluation.gallery import typical


def test_shown_images_are_recognised_as_often_as_all_are():
    draws = np.random.default_rng(0)
    first, second = draws.random(2000) < 0.445, draws.random(2000) < 0.965
    rows = typical([first, second], 10)
    assert np.unique(np.diff(rows)).tolist() == [200]
    assert abs(first[rows].mean() - first.mean()) < 0.1
    assert abs(second[rows].mean() - second.mean()) < 0.05


def test_a_small_split_is_shown_whole():
    assert typical([np.array([True, False])], 10) == [0, 1]
    assert typical([np.array([True, True, False, True, True, False])], 3) == [0, 2, 4]
