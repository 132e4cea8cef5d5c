"""Colours as users write them."""

import numpy as np
import pytest
import torch

from colorcnn.colors import parse_color, parse_colors
from colorcnn.errors import UsageError


@pytest.mark.parametrize(
    "colors",
    [
        "red,#0080ff",
        "rgb(255, 0, 0), #0080ff",
        ["red", (0, 128, 255)],
        [(255, 0, 0), b"\x00\x80\xff"],
        [(1.0, 0, 0), (0, 0.5, 1)],
        np.array([[255, 0, 0], [0, 128, 255]], np.uint8),
        torch.tensor([[1.0, 0, 0], [0, 0.5, 1]]),
    ],
)
def test_every_way_to_write_colours_gives_bytes(colors):
    assert parse_colors(colors) == [(255, 0, 0), (0, 128, 255)]


def test_one_colour_is_written_the_same_ways():
    for color in ("red", "#ff0000", (255, 0, 0), (1.0, 0.0, 0.0), np.array([255, 0, 0])):
        assert parse_color(color) == (255, 0, 0)


@pytest.mark.parametrize(
    ("colors", "problem"),
    [
        ([(0.5, 0, 200)], "200 is mixed with floats"),
        ([(255, 0, 0), (0.5, 0.5, 0.5)], "255 is mixed with floats"),
        ([(255.0, 0, 0)], r"255.0 is outside \[0, 1\]"),
        ([(float("nan"), 0, 0)], r"nan is outside"),
        ([(256, 0, 0)], r"256 is outside 0\.\.255"),
        ([(-1, 0, 0)], "-1 is outside"),
        ([(1, 2)], "is not a colour"),
        ([(1, 2, "3")], "is not a colour"),
        (3, "not a list of colours"),
        ([3], "not a list of colours"),
        (["reed"], "'reed' is not a colour"),
    ],
)
def test_what_is_no_colour_is_refused_in_one_sentence(colors, problem):
    with pytest.raises(UsageError, match=problem):
        parse_colors(colors)
