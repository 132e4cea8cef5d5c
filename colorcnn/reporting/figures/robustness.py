"""Figures of accuracy under attack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from colorcnn.evaluation.codecs import LOSSLESS
from colorcnn.reporting.figures.canvas import new_figure
from colorcnn.reporting.figures.curves import Curve, draw_curves, label_ends, point
from colorcnn.reporting.figures.style import Style, styles, theme
from colorcnn.reporting.naming import attack_title
from colorcnn.reporting.view import ORIGINAL, RecordView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_DEFENCE = "no defence"


def robustness_curves(view: RecordView, num_colors: int, *, dark: bool = False) -> Figure:
    """Draw accuracy over the strength of the attack, a panel for each attack.

    Curves are the methods and the classifier without a quantizer. Of a codec only the middle quality is
    drawn. Tables hold all qualities.

    Args:
        view: view of a record with attacks.
        num_colors: number of colours. Methods without a score for it are left out.
        dark: True to draw for a dark page.
    """
    attacks = list(view.attacks.results)
    figure, panels = new_figure(len(attacks), dark)
    for axes, attack in zip(panels, attacks):
        _draw_attack(axes, view, attack, num_colors, dark)
        title = f"accuracy under {attack_title(attack)}"
        axes.set_title(title, loc="left", color=theme(dark).ink, fontsize=11, pad=8)
    return figure


def _draw_attack(axes: Axes, view: RecordView, attack: str, num_colors: int, dark: bool) -> None:
    def curve(name: str, size: int | None) -> Curve:
        cells = view.attacked(attack, name, size).items()
        return sorted(point(at, verdict, std) for at, (verdict, std) in cells)

    colors, result = theme(dark), view.attacks.results[attack]
    drawn = _some_codecs(result.codecs)
    curves = {name: curve(name, num_colors) for name, cells in result.methods.items() if num_colors in cells}
    curves |= {name: curve(name, None) for name in drawn}
    style_of = styles(curves, dark=dark)
    style_of[NO_DEFENCE] = Style(colors.muted, "o", "--", True)
    curves[NO_DEFENCE] = curve(ORIGINAL, None)
    draw_curves(axes, curves, style_of)
    epsilons = [each.x for each in curves[NO_DEFENCE]]
    axes.set_xticks(epsilons)
    axes.set_xlim(-0.04 * epsilons[-1], 1.04 * epsilons[-1])
    axes.set_xlabel("largest change of a value (0 to 255)", color=colors.ink, fontsize=11)
    axes.set_ylim(0, 102)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    label_ends(axes, style_of, curves, {name: view.names[name] for name in drawn})


def _some_codecs(codecs: Iterable[str]) -> list[str]:
    """Return the middle quality of each lossy format. A lossless file is not a defence."""
    formats: dict[str, list[str]] = {}
    for codec in codecs:
        name = codec.partition(":")[0]
        if name not in LOSSLESS:
            formats.setdefault(name, []).append(codec)
    return [qualities[len(qualities) // 2] for qualities in formats.values()]
