"""Figures of trained compressors: rate-distortion curves, mappings, gradients and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colorcnn.evaluation.figures import new_canvas
from colorcnn.evaluation.style import styles, theme
from colorcnn.vq.analysis import analytic_gradients, encoder_gradients, quantization_cells, scalar_mapping
from colorcnn.vq.compressor import VectorCompressor
from colorcnn.vq.rates import RDPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (5.2, 4.0)
_BOUNDARY = "#0072b2"
_CENTER = "#d55e00"


def rate_distortion_figure(
    curves: Mapping[str, Sequence[RDPoint]],
    *,
    printed: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    rate_label: str = "bits per dimension",
    dark: bool = False,
) -> Figure:
    """Decibels over rate.

    Args:
        curves: method -> measured points.
        printed: method -> (rate, decibels) that a paper printed, drawn dotted.
        rate_label: name of the rate's axis.
        dark: on a dark background.
    """
    figure, (axes,) = _panels(1, dark)
    looks = styles([*curves, *(printed or {})], dark=dark)
    for name, points in curves.items():
        ordered = sorted(points, key=lambda point: point.rate)
        rates, heights = [point.rate for point in ordered], [point.decibels for point in ordered]
        axes.plot(rates, heights, color=looks[name].color, marker=looks[name].marker, label=name)
    for name, pairs in (printed or {}).items():
        label = f"{name} (published)"
        axes.plot(*zip(*sorted(pairs)), ":", color=looks[name].color, marker=looks[name].marker, label=label)
    axes.set_xlabel(rate_label)
    axes.set_ylabel("dB")
    _legend(axes, dark)
    return figure


def mapping_figure(compressor: VectorCompressor, reach: float = 4.0, *, dark: bool = False) -> Figure:
    """Encoder and decoder of a scalar compressor with its boundaries and centres (figures 2-4 and 6, left).

    Raises:
        UsageError: its source has more than one dimension.
    """
    found = scalar_mapping(compressor, reach)
    figure, (axes,) = _panels(1, dark)
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
    return figure


def gradient_figure(
    compressor: VectorCompressor, reach: float = 4.0, draws: int = 256, *, dark: bool = False
) -> Figure:
    """The encoder's mean gradient over the latent, with its analytic form (figures 2-4 and 6, right).

    Raises:
        UsageError: its source has more than one dimension.
    """
    latent, gradient = encoder_gradients(compressor, reach, draws=draws)
    analytic = analytic_gradients(compressor, reach)
    figure, (axes,) = _panels(1, dark)
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
    return figure


def cells_figure(
    compressor: VectorCompressor,
    bounds: tuple[float, float, float, float] = (-6.0, 3.0, -3.0, 3.0),
    *,
    dark: bool = False,
) -> Figure:
    """The cells and centres of a compressor of two dimensions (figure 7, right).

    Args:
        compressor: of a source of two dimensions.
        bounds: least and greatest of the first, least and greatest of the second coordinate.
        dark: on a dark background.

    Raises:
        UsageError: its source does not have two dimensions.
    """
    found = quantization_cells(compressor, bounds)
    figure, (axes,) = _panels(1, dark)
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
    return figure


def _panels(count: int, dark: bool) -> tuple[Figure, Sequence[Axes]]:
    width, height = _PANEL
    figure = new_canvas(count * width, height, dark)
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    figure.subplots_adjust(left=0.14, right=0.97, top=0.96, bottom=0.14)
    colors = theme(dark)
    for axes in panels:
        axes.set_facecolor(colors.paper)
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
