"""The tool that measures the claims of the chapter of Palette Programming, on tiny pictures."""

import numpy as np
import pytest
from PIL import Image

from colorcnn.records import read_record
from colorcnn.reproduce.pages import rendered


@pytest.fixture
def tool(import_tool, monkeypatch):
    for name in ("OMP", "OPENBLAS", "NUMBA"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")  # as the tool itself sets it, and does not undo
    return import_tool("palette_chapter")


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((90.8027, -2.0831, 1.441), (91.1528, -1.6435, 0.0447), 1.4441),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
        ((40, 0, 0), (40, 0, 0), 0),
    ],
)
def test_differences_are_those_that_the_authors_of_ciede2000_print(import_tool, first, second, difference):
    pair = [np.array(color, float)[:, None] for color in (first, second)]
    ciede2000 = import_tool("color_difference").ciede2000
    assert ciede2000(*pair) == pytest.approx(difference, abs=5e-5)
    assert ciede2000(*pair[::-1]) == pytest.approx(difference, abs=5e-5)


def test_exponents_are_found_again(tool):
    rows = [
        {"pixels": n, "colors": k, "seconds": 3 * n * k**1.5} for n in (100, 200, 400) for k in (4, 16, 64)
    ]
    assert tool.exponents(rows) == pytest.approx({"pixels": 1.0, "colors": 1.5})


def test_errors_are_those_of_the_rendered_picture(tool):
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    palette = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    exact = tool.errors(pixels, (np.array([[0, 1]]), palette))
    assert exact == pytest.approx({"mse": 0, "ciede2000": 0, "oklab": 0})
    black = tool.errors(pixels, (np.array([[0, 0]]), palette))
    assert black == pytest.approx({"mse": 255**2 / 2, "ciede2000": 50, "oklab": 50}, rel=1e-3)


def test_the_record_becomes_its_tables(tool, tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(random.integers(256, size=(12, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    for name, value in (
        ("SIDES", ((4, 6), (6, 9), (8, 12))),
        ("SHOWN", (6, 9)),
        ("GROWTH_COLORS", (2, 4)),
        ("SPACE_COLORS", (2,)),
        ("PEER_COLORS", (2,)),
    ):
        monkeypatch.setattr(tool, name, value)
    monkeypatch.setattr(tool.importlib.util, "find_spec", lambda name: None)
    assert tool.main([str(folder), "--out", str(tmp_path / "chapter.json")]) == 0
    assert read_record(tmp_path / "chapter.json").n == 2
    page = "<!-- table: chapter -->\n<!-- end -->\n<!-- claims: chapter -->\n<!-- end -->\n"
    page = rendered(page, tmp_path)
    for row in ("| variance cut, unique colours |", "| cielab |", "| k-means in Oklab |"):
        assert row in page
    assert "scikit-learn, greedy" not in page, "its rows are left out where it is missing"
    assert "| a colour space other than sRGB is almost free |" in page
