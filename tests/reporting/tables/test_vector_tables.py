"""Tables and figures of hand-made records of compressors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colorcnn.evaluation.vq_measures import bd_rates, points_of, published_points
from colorcnn.records import Clock
from colorcnn.reporting.figures.canvas import to_png
from colorcnn.reporting.figures.vectors import cells_figure, mappings_figure, picture_figure, vector_figure
from colorcnn.reporting.tables.vectors import picture_digest, picture_table, vector_digest, vector_table
from colorcnn.reporting.view import CompressorView
from colorcnn.reproduce.seeds import gather
from colorcnn.reproduce.stages import kind_of_record
from colorcnn.vq.compressor import VectorCompressor
from colorcnn.vq.rates import RDPoint

TRADE_OFFS = (4, 16, 64, 256)


def point(trade_off, excess=0.0):
    """A point near the bound whose loss is so many per cent above that of another."""
    mse = 0.72 / trade_off
    rate = (1 + excess / 100) * (4 - 0.5 * float(trade_off) ** -0.5) - trade_off * mse
    return {
        "rate": rate,
        "mse": mse,
        "decibels": RDPoint(rate, mse).decibels,
        "loss": rate + trade_off * mse,
        "coded_rate": 1.001 * rate,
    }


def curve(excess):
    return {str(trade_off): point(trade_off, excess) for trade_off in TRADE_OFFS}


def vectors(*excesses):
    """A record of two rows; of the second, the excess of every seed is given."""

    def one(excess):
        rows = {"vq-ste": curve(2.0), "sphere": curve(excess)}
        return {
            "source": "boomerang",
            "dimension": 2,
            "rows": rows,
            "references": {"ecvq": curve(0.0)},
            "bd_rate": bd_rates(rows, "vq-ste"),
        }

    metrics = gather({seed: one(excess) for seed, excess in enumerate(excesses, 1)})
    metrics["published"] = published_points("boomerang")
    config = {"kind": "vq-measure", "compare": {"sphere": "vq-ste"}, "anchor": "vq-ste"}
    return Clock().record("colorcnn reproduce toy", n=1000, metrics=metrics, config=config)


def test_a_row_stands_beside_references_and_what_was_published():
    lines = vector_table(vectors(3.0)).splitlines()
    assert lines[0] == (
        "| loss L = R + λ MSE, excess over ECVQ in % (bits per dimension, dB) "
        "| λ = 4 | λ = 16 | λ = 64 | λ = 256 | BD-rate |"
    )
    assert [line.split(" | ")[0] for line in lines[2:7]] == [
        "| vq-ste", "| sphere", "| ECVQ", "| ECVQ, *published*", "| NTC, *published*",
    ]  # fmt: skip
    assert "| 3.862, +3.0 % (3.143, 7.45) |" in lines[3]
    assert "1.693, -54.9 % (1.112, 8.38)" in lines[6]
    assert all(line.count("|") == 7 for line in lines[:7])
    assert "- Loss L of sphere relative to vq-ste: λ = 4: +0.98 %, lower in 0 of 1 seeds" in lines[8]
    assert "within 0.10 % of the estimated rate; n = 1,000 vectors (boomerang, 2-D);" in lines[9]
    assert "Published: R. Feng" in lines[9]


def test_seeds_are_compared_one_by_one():
    table = vector_table(vectors(1.0, 1.5, 3.0))
    assert "lower in 2 of 3 seeds" in table
    assert "λ = 16: -0.16 ± 1.02 %" in table
    assert "mean ± std of 3 seeds" in table
    assert " ± " in table.splitlines()[3]


def test_what_takes_more_bits_has_a_positive_bd_rate():
    gains = vectors(3.0).metrics["bd_rate"]
    assert set(gains) == {"sphere"}
    assert 0.5 < gains["sphere"] < 2
    rows = {"a": curve(0), "short": {"4": point(4)}}
    assert bd_rates(rows, "a") == {}, "one point is no curve"


def test_the_overview_has_losses_and_those_published():
    measured, published = vector_digest(vectors(3.0))
    assert measured.startswith("vq-ste 3.825/")
    assert published == "ECVQ 1.691/2.566/3.572/–; NTC 1.693/2.601/3.684/–"
    lonely = vectors(3.0)
    del lonely.metrics["published"]
    assert vector_digest(lonely)[1] == "–"


def pictures(**config):
    def row(factor, round_trips):
        extra = {"round_trips": 24} if round_trips else {}
        return {
            str(number): {"rate": factor * 0.2 * 2**number, "decibels": 26.0 + 3 * number, **extra}
            for number in range(4)
        }

    rows = {"uq-aun": row(1, True), "sphere-1d": row(0.95, True), "jpeg": row(2, False)}
    metrics = {
        "rows": rows,
        "bd_rate": bd_rates(rows, "uq-aun"),
        "published": {"reference": "paper", "bd_rate": {"sphere-1d": -5.58, "sphere-2d": -7.2}},
    }
    config = {"kind": "vq-kodak", "anchor": "uq-aun", **config}
    return Clock().record("colorcnn reproduce kodak", n=24, metrics=metrics, config=config)


def test_codecs_of_pictures_stand_beside_image_formats():
    lines = picture_table(pictures()).splitlines()
    assert lines[0] == "| codec | bits per pixel: PSNR in dB | BD-rate against uq-aun | published |"
    assert lines[2].startswith("| uq-aun | 0.200: 26.00, 0.400: 29.00, 0.800: 32.00, 1.600: 35.00 |  |")
    assert lines[3].endswith("| -5.0 % | -5.6 % |")
    assert lines[4].startswith("| JPEG | ")
    assert lines[4].endswith("| +100.0 % |  |")
    assert lines[6].startswith("n = 24 images; whole files; those of all models decode to the same pixels")
    assert "(24 of 24)" in lines[6]


def test_the_overview_has_bd_rates_or_else_points():
    assert picture_digest(pictures()) == (
        "BD-rate sphere-1d -5.0 %, JPEG +100.0 %",
        "BD-rate sphere-1d -5.6 %, sphere-2d -7.2 %",
    )
    bare = replace(pictures(), metrics={"rows": {"a": {"1": {"rate": 0.25, "decibels": 30.0}}}})
    assert picture_digest(bare) == ("a 0.250: 30.00 dB", "–")
    assert "BD-rate" not in picture_table(bare)


def test_records_find_their_kind():
    assert "excess over ECVQ" in kind_of_record(vectors(3.0)).table(vectors(3.0))
    assert "| codec |" in kind_of_record(pictures()).table(pictures())


def test_figures_of_records_are_drawn():
    plane = VectorCompressor(2, 8.0, "sphere", {"dimension": 2, "size": 5}, width=8)
    scalars = {name: VectorCompressor(1, 8.0, "uq-aun", width=8) for name in "ab"}
    figures = [
        vector_figure(CompressorView(vectors(1.0, 3.0).metrics), dark=True),
        vector_figure(CompressorView({"rows": {"sphere": curve(0)}})),
        picture_figure(CompressorView(pictures().metrics)),
        cells_figure(dict.fromkeys("abcd", plane)),
        mappings_figure(scalars, draws=2),
    ]
    assert all(to_png(figure).startswith(b"\x89PNG") for figure in figures)
    assert len(figures[1].axes) == 1, "no reference, no excess over it"


def test_of_pictures_the_mean_psnr_counts():
    (found,) = points_of({"1": {"rate": 0.5, "decibels": 30.0}})
    assert found.rate == 0.5
    assert found.decibels == pytest.approx(30)
