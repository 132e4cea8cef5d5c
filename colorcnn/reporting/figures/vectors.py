"""Figures of trained compressors: rate-distortion curves, mappings, gradients and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.evaluation.vq_measures import points_of
from colorcnn.reporting.figures.canvas import Margins, new_panels
from colorcnn.reporting.figures.style import Style, styles, theme
from colorcnn.reporting.naming import display_names
from colorcnn.reporting.view import CompressorView
from colorcnn.vq.analysis import analytic_gradients, encoder_gradients, quantization_cells, scalar_mapping
from colorcnn.vq.compressor import VectorCompressor
from colorcnn.vq.rates import RDPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (5.2, 4.0)
_FAR = 20.0  # excess loss in %; above it the axis is logarithmic


_MARGINS = Margins(left=0.73, right=0.16, top=0.3, bottom=0.56)
_BOUNDARY = "#0072b2"
_CENTER = "#d55e00"


def rate_distortion_figure(
    curves: Mapping[str, Sequence[RDPoint]],
    *,
    published: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    rate_label: str = "bits per dimension",
    dark: bool = False,
) -> Figure:
    """Draw the signal-to-noise ratio over rate.

    Args:
        curves: method -> measured points.
        published: method -> published (rate, decibels), drawn dashed.
        rate_label: label of the rate's axis.
        dark: True to draw for a dark page.
    """
    figure, axes = _panels(1, dark)
    style_of = styles([*curves, *(published or {})], dark=dark)
    _draw_rate_distortion(axes[0, 0], curves, published or {}, style_of)
    axes[0, 0].set_xlabel(rate_label)
    _legend(axes[0, 0], dark)
    return figure


def vector_figure(view: CompressorView, *, dark: bool = False) -> Figure:
    """Draw the signal-to-noise ratio over rate, and, with references, the excess loss over the best of them.

    Bars are standard deviations over seeds.

    Args:
        view: view of a record of ``vq-measure``.
        dark: True to draw for a dark page.
    """
    measured = {**view.rows, **view.references}
    style_of = styles(dict.fromkeys([*measured, *view.published]), dark=dark)
    figure, axes = _panels(2 if view.best else 1, dark)
    pairs = {
        name: [(point["rate"], point["decibels"]) for point in points.values()]
        for name, points in view.published.items()
    }
    curves = {name: points_of(scores) for name, scores in measured.items()}
    _draw_rate_distortion(axes[0, 0], curves, pairs, style_of)
    axes[0, 0].set_xlabel("bits per dimension")
    _legend(axes[0, 0], dark)
    if view.best:
        _draw_losses(axes[0, 1], view, view.best, style_of)
        axes[0, 1].axhline(0, color=theme(dark).muted, linewidth=0.8)
    return figure


def picture_figure(view: CompressorView, *, dark: bool = False) -> Figure:
    """Draw PSNR over bits per pixel of the ``rows`` of a ``vq-kodak``.

    Args:
        view: view of a record.
        dark: True to draw for a dark page.
    """
    curves = {name: points_of(scores) for name, scores in view.rows.items()}
    return rate_distortion_figure(curves, rate_label="bits per pixel, whole files", dark=dark)


def _draw_rate_distortion(
    axes: Axes,
    curves: Mapping[str, Sequence[RDPoint]],
    published: Mapping[str, Sequence[tuple[float, float]]],
    style_of: Mapping[str, Style],
) -> None:
    names = display_names(style_of)
    for name, points in curves.items():
        ordered = sorted(points, key=lambda point: point.rate)
        rates, heights = [point.rate for point in ordered], [point.decibels for point in ordered]
        axes.plot(rates, heights, label=names[name], **_curve(style_of[name]))
    for name, pairs in published.items():
        axes.plot(*zip(*sorted(pairs)), label=f"{names[name]} (published)", **_curve(style_of[name], "--"))
    axes.set_ylabel("dB")


def _draw_losses(axes: Axes, view: CompressorView, best: str, style_of: Mapping[str, Style]) -> None:
    least = {at: score["loss"] for at, score in view.references[best].items()}
    most = 0.0
    for curves, line in ((view.rows, "-"), (view.published, "--")):
        for name, scores in curves.items():
            at = sorted((key for key in scores if key in least), key=float)
            above = [view.excess(scores[key], key) or 0.0 for key in at]
            most = max([most, *above])
            bars = [100 * (view.deviation("rows", name, key, "loss") or 0) / least[key] for key in at]
            style = _curve(style_of[name], line)
            axes.errorbar([float(key) for key in at], above, bars, capsize=3, **style)
    if most > _FAR:  # a failed training must not flatten all other curves
        from matplotlib.ticker import ScalarFormatter

        axes.set_yscale("symlog", linthresh=_FAR / 2)
        axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_xscale("log", base=2)
    axes.set_xticks([float(key) for key in least], list(least))
    axes.set_xlabel("λ")
    axes.set_ylabel(f"L above {display_names([best])[best]}, %")


def _curve(style: Style, line: str = "-") -> dict[str, Any]:
    drawn = {"color": style.color, "marker": style.marker, "linestyle": line}
    return {**drawn, "linewidth": 1.3, "markersize": 5}


def mappings_figure(
    compressors: Mapping[str, VectorCompressor],
    reach: float = 4.0,
    draws: int = 2048,
    *,
    dark: bool = False,
) -> Figure:
    """Draw the mappings of scalar compressors (figures 2-4 and 6), a row for each.

    Left panels show encoder and decoder, with boundaries and codewords. Right panels show the encoder's mean
    gradient over the latent, and its analytic form if there is one.

    Args:
        compressors: name -> compressor of a source of one dimension.
        reach: largest absolute value of the source that is shown.
        draws: number of noise samples per gradient.
        dark: True to draw for a dark page.

    Raises:
        UsageError: a source has more than one dimension.
    """
    figure, axes = _panels(2, dark, rows=len(compressors))
    for (left, right), (name, compressor) in zip(axes, compressors.items(), strict=True):
        _draw_mapping(left, compressor, reach, dark)
        _draw_gradient(right, compressor, reach, draws, dark)
        left.set_title(name, loc="left", fontsize=11, color=theme(dark).ink)
    return figure


def _draw_mapping(axes: Axes, compressor: VectorCompressor, reach: float, dark: bool) -> None:
    found = scalar_mapping(compressor, reach)
    ink = theme(dark)
    for boundary, latent in zip(found.boundaries.tolist(), found.latent_boundaries.tolist()):
        axes.plot(
            [-reach, boundary, boundary], [latent, latent, float(found.latent.min())], **_line(_BOUNDARY)
        )
    axes.plot(found.source, found.latent, color=ink.ink, label="encoder")
    axes.plot(found.decoded, found.latent, color=ink.muted, linestyle="--", label="decoder")
    axes.plot(found.centers[:, 1], found.centers[:, 0], "o", color=_CENTER, markersize=4, label="centres")
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("source")
    axes.set_ylabel("latent")
    _legend(axes, dark)


def _draw_gradient(axes: Axes, compressor: VectorCompressor, reach: float, draws: int, dark: bool) -> None:
    latent, gradient = encoder_gradients(compressor, reach, num_samples=draws)
    analytic = analytic_gradients(compressor, reach)
    ink = theme(dark)
    for boundary in scalar_mapping(compressor, reach).latent_boundaries.tolist():
        axes.axvline(boundary, **_line(_BOUNDARY))
    axes.plot(latent, gradient, color=ink.ink, linewidth=1, label="mean of draws")
    if analytic is not None:
        axes.plot(*analytic, color=_CENTER, linestyle="--", linewidth=1, label="analytic")
    axes.axhline(0, color=ink.muted, linewidth=0.8)
    axes.set_xlabel("latent")
    axes.set_ylabel("gradient of the loss")
    _legend(axes, dark)


def cells_figure(
    compressors: Mapping[str, VectorCompressor],
    bounds: tuple[float, float, float, float] = (-6.0, 3.0, -3.0, 3.0),
    *,
    dark: bool = False,
) -> Figure:
    """Draw the cells and codewords of compressors of two dimensions (figure 7, right), in rows of three.

    Args:
        compressors: name -> compressor.
        bounds: minimum and maximum of the first coordinate, then of the second.
        dark: True to draw for a dark page.

    Raises:
        UsageError: a source does not have two dimensions.
    """
    columns = min(3, len(compressors))
    figure, axes = _panels(columns, dark, rows=-(-len(compressors) // columns))
    for panel, (name, compressor) in zip(axes.flat, compressors.items()):
        _draw_cells(panel, compressor, bounds)
        panel.set_title(name, loc="left", fontsize=11, color=theme(dark).ink)
    for panel in list(axes.flat)[len(compressors) :]:
        panel.set_visible(False)
    return figure


def _draw_cells(axes: Axes, compressor: VectorCompressor, bounds: tuple[float, float, float, float]) -> None:
    found = quantization_cells(compressor, bounds)
    labels = found.labels.numpy()
    edges = np.zeros(labels.shape, dtype=bool)
    edges[1:] |= labels[1:] != labels[:-1]
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    axes.imshow(
        np.where(edges, 1.0, np.nan),
        origin="lower",
        extent=bounds,
        aspect="auto",
        cmap="winter",
        vmin=0,
        vmax=2,
    )
    axes.plot(*found.centers.T.numpy(), "o", color=_CENTER, markersize=3)
    axes.set_xlim(*bounds[:2])
    axes.set_ylim(*bounds[2:])


def _panels(columns: int, dark: bool, rows: int = 1) -> tuple[Figure, Any]:
    figure, panels = new_panels(columns, rows, dark, _PANEL, _MARGINS)
    colors = theme(dark)
    for axes in panels.flat:
        axes.grid(color=colors.grid, linewidth=0.6)
        axes.tick_params(colors=colors.muted, labelsize=9)
        axes.xaxis.label.set_color(colors.ink)
        axes.yaxis.label.set_color(colors.ink)
        for spine in axes.spines.values():
            spine.set_color(colors.muted)
    return figure, panels


def _legend(axes: Axes, dark: bool) -> None:
    axes.legend(frameon=False, fontsize=9, labelcolor=theme(dark).ink)


def _line(color: str) -> dict[str, Any]:
    return {"color": color, "linewidth": 0.6, "alpha": 0.7}
