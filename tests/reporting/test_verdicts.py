"""Verdicts on claims follow from records by fixed rules."""

import numpy as np
import pytest

from colorcnn.errors import ColorCNNError
from colorcnn.evaluation.statistics import ratio_interval
from colorcnn.records import Clock
from colorcnn.reporting.verdicts import claims_of
from colorcnn.reporting.verdicts.chapter import _spaces
from colorcnn.reporting.verdicts.stochastic import stochastic_claims


def test_the_interval_of_ratios_holds_their_geometric_mean():
    mean, low, high = ratio_interval(np.log([1.0, 2.0, 4.0]))
    assert mean == pytest.approx(2)
    assert low < 1 < 4 < high, "three pictures say little"
    assert ratio_interval(np.log([2.0, 2.0])) == pytest.approx([2, 2, 2])


def stochastic(low, high, *, sq=2.0, own=0.5, plain=3.0):
    """Verdicts on a record with one number of colours and one size."""
    ratio = {"ratio": [low, low, high], "early_ratio": [low, low, high]}
    tuning = {"tuning": {"objective": 1, "early": 1}}
    variants = [
        {"name": name, "colors": 4, "rates": {}, "published": {"objective": value}, **ratio, **tuning}
        for name, value in (("sgd", plain), ("adam", 2.0))
    ]
    cell = {"pictures": 1, "pixels": 9, "colors": 4, "published": {"mse": sq, "seconds": sq}}
    cell |= {"k-means": {"mse": 1.0, "seconds": 1.0}, "stochastic": {"mse": 1.0, "seconds": own}}
    published = {"resolutions": {"438x500": {"mse": [0.5]}}}
    found = stochastic_claims({"variants": variants, "cells": [cell], "published": published})
    return [claim.verdict.split(":")[0] for claim in found]


def test_verdicts_on_stochastic_quantization():
    assert stochastic(1.2, 1.3) == ["refuted", "confirmed", "confirmed", "confirmed", "refuted", "open"]
    assert stochastic(0.98, 1.01)[3:5] == ["refuted", "confirmed"]
    assert stochastic(0.9, 1.3)[3:5] == ["open", "open"]
    assert stochastic(0.9, 1.3, sq=0.5, own=2.0, plain=1.0)[:3] == ["confirmed", "refuted", "refuted"]


def test_verdicts_on_colour_spaces():
    keys = ("mse", "ciede2000", "oklab", "seconds")
    rows = [
        {"space": space, "colors": 4, **{key: [scale, 1.1 * scale] for key in keys}, "ssim": [0.5, 0.5]}
        for space, scale in (("srgb", 1.0), ("oklab", 0.5))
    ]
    rows[1]["mse"] = [3.0, 4.0]
    verdicts = {claim.text.rpartition(" ")[2]: claim.verdict for claim in _spaces(rows, [])}
    assert verdicts == {
        "CIEDE2000": "confirmed",
        "Oklab": "confirmed",
        "MSE": "refuted",
        "SSIM": "refuted",
        "free": "confirmed",
    }


def test_a_record_without_claims_is_an_error():
    with pytest.raises(ColorCNNError, match="train"):
        claims_of(Clock().record("train", n=1, metrics={}))
