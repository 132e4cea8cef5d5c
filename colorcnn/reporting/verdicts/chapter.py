"""Verdicts on the claims of P. Väänänen, Palette Programming, 2026, sample chapter 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from colorcnn.evaluation.statistics import ratio_interval
from colorcnn.reporting.verdicts.claim import MARGIN, Claim, judged

FREE = 1.25
"""Up to this ratio of CPU times, a change counts as almost free."""
MEASURES = {"ciede2000": "CIEDE2000", "oklab": "distance in Oklab", "mse": "MSE", "dssim": "1 - SSIM"}
_GREEDY, _ONE_TRIAL = "scikit-learn, greedy k-means++", "scikit-learn, k-means++ with one trial"
RECIPE = "the chapter's recipe"

Ratio = tuple[float, float, float]
"""Geometric mean of the ratios of pictures, and its 95 % interval."""


def ratios(rows: Sequence[Mapping[str, Any]], name: str, base: str, key: str) -> dict[int, Ratio]:
    """Return number of colours -> ratio of the errors of two rows; empty if the record lacks one of them.

    Args:
        rows: rows with a name or a space, a number of colours, and lists of errors of the same pictures.
        name: name of the row above the line.
        base: name of the row below the line.
        key: the error, or ``seconds``.
    """
    of: dict[str, dict[int, np.ndarray]] = {}
    for row in rows:
        values = 1 - np.array(row["ssim"]) if key == "dssim" else np.array(row[key])
        of.setdefault(row.get("name") or row["space"], {})[row["colors"]] = np.maximum(values, 1e-9)
    if name not in of or base not in of:
        return {}
    return {colors: ratio_interval(np.log(of[name][colors] / of[base][colors])) for colors in of[name]}


def chapter_claims(parts: Mapping[str, Any]) -> list[Claim]:
    """Return the claims with verdicts; those that need scikit-learn are left out without its rows.

    Args:
        parts: growth, spaces and peers of a record of ``tools/palette_chapter.py``.
    """
    found = [*_growth(parts["growth"]), *_spaces(parts["spaces"], parts["peers"])]
    if any(row["name"] == RECIPE for row in parts["peers"]):
        found += _peers(parts["peers"])
    return found


def _growth(growth: Mapping[str, Any]) -> list[Claim]:
    both = [name for name in (_GREEDY, "greedy k-means++") if name in growth]
    pixels, colors = ([growth[name][key] for name in both] for key in ("pixels", "colors"))
    own = _times(growth, "greedy k-means++", "variance cut")
    few, many = own[min(own)], own[max(own)]
    found = [
        Claim(
            "the time of k-means++ seeding is linear in the number of pixels",
            "O(N)",
            f"exponent {_listed(pixels)}",
            judged(all(abs(one - 1) < 0.15 for one in pixels), all(abs(one - 1) > 0.5 for one in pixels)),
        ),
        Claim(
            "the time of k-means++ seeding grows with the square of the number of colours (footnote 4)",
            "O(K^2)",
            f"exponent {_listed(colors)}",
            judged(all(one > 1.8 for one in colors), all(one < 1.5 for one in colors)),
        ),
        Claim(
            "greedy k-means++ and variance cut separate when the number of colours grows",
            "very close at K = 16, then they separate (Figure 2.6)",
            f"greedy k-means++ takes {few:.1f} times as long at {min(own)} colours, {many:.1f} times as long "
            f"at {max(own)} (both compiled, 200 x 298 pixels)",
            judged(many > 2 * few, many <= few),
        ),
    ]
    gains = {
        name: _times(growth, name, f"{name}, unique colours") for name in ("greedy k-means++", "variance cut")
    }
    least = [min(gain.values()) for gain in gains.values()]
    found.append(
        Claim(
            "unique colours speed up clustering, and the alternatives benefit too",
            "claimed, without numbers",
            "; ".join(f"{name}: {_range(gain.values())} times as fast" for name, gain in gains.items()),
            judged(min(least) > 1, max(least) < 1),
        )
    )
    return found + (_seeding_of_sklearn(growth) if _GREEDY in growth else [])


def _seeding_of_sklearn(growth: Mapping[str, Any]) -> list[Claim]:
    shown = {row["colors"]: row["seconds"] for row in _shown(growth[_GREEDY])}
    most = max(shown)
    gain = _times(growth, _GREEDY, _ONE_TRIAL)
    return [
        Claim(
            "scikit-learn's seeding alone can take over a quarter of a second for 200 x 298 pixels",
            "> 0.25 s (Ryzen 7 5700X)",
            f"{shown[most]:.2f} s at {most} colours, {shown[min(shown)]:.2f} s at {min(shown)}",
            judged(shown[most] > 0.25, shown[most] <= 0.25),
        ),
        Claim(
            "k-means++ with one trial runs at least two times faster",
            "> 2",
            f"{_range(gain.values())} times as fast",
            judged(min(gain.values()) >= 2, max(gain.values()) < 2),
        ),
    ]


def _shown(of: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows of the second of the sizes, the chapter's picture."""
    size = sorted({row["pixels"] for row in of["rows"]})[1]
    return [row for row in of["rows"] if row["pixels"] == size]


def _times(growth: Mapping[str, Any], slow: str, fast: str) -> dict[int, float]:
    """Return number of colours -> ratio of the times of two seedings at the chapter's size."""
    pairs = zip(_shown(growth[slow]), _shown(growth[fast]), strict=True)
    return {one["colors"]: one["seconds"] / other["seconds"] for one, other in pairs}


def _spaces(spaces: Sequence[Mapping[str, Any]], peers: Sequence[Mapping[str, Any]]) -> list[Claim]:
    others = sorted({row["space"] for row in spaces} - {"srgb"})
    found = []
    for key, title in MEASURES.items():
        of = {space: ratios(spaces, space, "srgb", key) for space in others}
        better = [all(one[2] < 1 for one in ratio.values()) for ratio in of.values()]
        worse = all(one[0] >= 1 for ratio in of.values() for one in ratio.values())
        found.append(
            Claim(
                f"a colour space other than sRGB improves the reproduction, by {title}",
                "claimed, without numbers",
                _sums(of),
                judged(any(better), worse),
            )
        )
    times = {f"k-means, {space}": ratios(spaces, space, "srgb", "seconds") for space in others}
    times |= {
        row: ratios(peers, row, RECIPE, "seconds")
        for row in ("recipe in Oklab", "recipe in CIELAB")
        if any(peer["name"] == row for peer in peers)
    }
    means = [one[0] for ratio in times.values() for one in ratio.values()]
    found.append(
        Claim(
            "a colour space other than sRGB is almost free",
            "claimed, without numbers",
            f"CPU time over that in sRGB: {_sums(times, times=True)}",
            judged(max(means) <= FREE, min(means) > FREE),
        )
    )
    return found


def _sums(of: Mapping[str, Mapping[int, Sequence[float]]], *, times: bool = False) -> str:
    """Return the range of the means of each name, as ratios or as differences in per cent."""
    shown: Callable[[float], str] = (
        (lambda ratio: f"{ratio:.2f}") if times else (lambda ratio: f"{100 * (ratio - 1):+.1f} %")
    )
    texts = []
    for name, ratio in of.items():
        means = [one[0] for one in ratio.values()]
        texts.append(f"{name} {shown(min(means))} to {shown(max(means))}")
    return "; ".join(texts)


def _peers(peers: Sequence[Mapping[str, Any]]) -> list[Claim]:
    found = []
    for name, claim in (
        ("recipe, k-means++ with one trial", "one trial of k-means++ trades quality for speed"),
        ("recipe, ten random starts", "ten random starts trade quality for speed"),
        ("scikit-learn, mini-batch", "MiniBatchKMeans trades quality for speed"),
    ):
        seconds, square = (ratios(peers, name, RECIPE, key) for key in ("seconds", "mse"))
        means = [one[0] for one in seconds.values()]
        measured = f"CPU time of the whole recipe's {_each(seconds)}; MSE {_each(square)}"
        verdict = judged(max(means) < 1, min(means) > 1)
        found.append(Claim(claim, "claimed, without numbers", measured, verdict))
    for name, base, key, claim in (
        (RECIPE, "k-means best", "mse", "k-means from k-means++ gives an excellent result"),
        (
            "recipe in Oklab",
            "k-means best in Oklab",
            "ciede2000",
            "the recipe in another space is competitive with the state of the art (here without dithering)",
        ),
    ):
        ratio = ratios(peers, name, base, key)
        found.append(
            Claim(
                claim,
                "claimed, without numbers",
                f"{MEASURES[key]} over that of {base}: {_each(ratio)}",
                judged(
                    all(one[2] < MARGIN for one in ratio.values()),
                    all(one[1] > MARGIN for one in ratio.values()),
                ),
            )
        )
    return found


def _each(ratio: Mapping[int, Sequence[float]]) -> str:
    return ", ".join(f"{one[0]:.2f} at {colors} colours" for colors, one in ratio.items())


def _listed(exponents: Sequence[float]) -> str:
    names = ("scikit-learn", "compiled") if len(exponents) > 1 else ("compiled",)
    return ", ".join(f"{one:.2f} ({name})" for one, name in zip(exponents, names, strict=True))


def _range(values: Any) -> str:
    found = list(values)
    return f"{min(found):.1f} to {max(found):.1f}"
