"""Gathering over seeds, against values worked out by hand."""

import math

import pytest

from colorcnn.reproduce.seeds import gather


def metrics(accuracy, correct, speed=10.0):
    score = {"accuracy": accuracy, "interval": [accuracy - 0.1, accuracy + 0.1], "correct": correct}
    return {"sizes": [2], "methods": {"a": {"images_per_second": speed, "scores": {"2": score}}}}


def test_mean_and_sample_deviation_of_three_seeds():
    found = gather({1: metrics(0.5, "A"), 2: metrics(0.6, "B"), 3: metrics(0.7, "C")})
    score = found["methods"]["a"]["scores"]["2"]
    assert score["accuracy"] == pytest.approx(0.6)
    assert score["interval"] == pytest.approx([0.5, 0.7])
    assert "correct" not in score, "no seed's images stand for all"
    spread = found["std"]["methods"]["a"]
    assert spread["scores"]["2"]["accuracy"] == pytest.approx(0.1)  # sqrt((.01 + 0 + .01) / 2)
    assert spread["images_per_second"] == 0
    assert found["sizes"] == [2]
    assert found["per_seed"]["2"] == metrics(0.6, "B")


def test_two_seeds():
    found = gather({1: {"x": 1.0}, 2: {"x": 2.0}})
    assert found["x"] == 1.5
    assert found["std"]["x"] == pytest.approx(math.sqrt(0.5))


def test_one_seed_is_left_as_it_is():
    assert gather({4: metrics(0.5, "A")}) == metrics(0.5, "A")


def test_what_all_agree_on_stays_and_what_some_lack_goes():
    found = gather({1: {"n": 3, "name": "a", "flag": True, "odd": 1}, 2: {"n": 3, "name": "a", "flag": True}})
    assert {key: found[key] for key in ("n", "name", "flag")} == {"n": 3, "name": "a", "flag": True}
    assert isinstance(found["n"], int)
    assert found["std"] == {"n": 0.0}
    assert "odd" not in found


def test_a_list_that_differs_beyond_numbers_goes():
    assert "words" not in gather({1: {"words": ["a"]}, 2: {"words": ["b"]}})
    assert "words" not in gather({1: {"words": [1]}, 2: {"words": [1, 2]}})


def test_every_seed_is_kept_whole():
    parts = {1: metrics(0.5, "A"), 2: metrics(0.6, "B")}
    assert gather(parts)["per_seed"] == {"1": parts[1], "2": parts[2]}
    assert gather({3: parts[1]}) == parts[1]
