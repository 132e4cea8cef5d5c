"""An evaluation as a table: aligned text for a terminal, rows of words for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.evaluation.naming import family
from colorcnn.evaluation.statistics import STARS_EXPLAINED, McNemar, against_first, stars

Metrics = Mapping[str, Any]

MISSING = "–"


def table_rows(metrics: Metrics) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the full table: the originals first, then every method and number of colours.

    Several methods are compared with the first of them. Published numbers get columns of their own where the
    metrics hold a published table, and mean average precision where images have several labels.
    """
    published = metrics.get("published")
    several = metrics["original"].get("mean_average_precision") is not None
    tests = against_first(metrics)
    columns = _Columns(several=several, published=published is not None, compared=bool(tests))
    original = metrics["original"]
    rows = [columns.row("original", "all", original, None, _published(published, None, 0), None)]
    for method, result in metrics["methods"].items():
        for size in metrics["sizes"]:
            score = result["scores"].get(str(size))
            printed = _published(published, method, size)
            test = tests.get(method, {}).get(str(size))
            rows.append(columns.row(method, str(size), score, result["images_per_second"], printed, test))
    return columns.head(), rows


def text_table(metrics: Metrics) -> str:
    """The full table as aligned plain text, followed by why cells are missing."""
    head, rows = table_rows(metrics)
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *notes(metrics)])


def notes(metrics: Metrics) -> list[str]:
    """Sentences about what the table cannot show: cells that are not available, broken logits, sources."""
    found = []
    for method, result in metrics["methods"].items():
        for size, why in result["unavailable"].items():
            found.append(f"{method} at {size} colours is not available: {why}")
    scores = [("the originals", metrics["original"])]
    for method, result in metrics["methods"].items():
        scores += [(f"{method} at {size} colours", score) for size, score in result["scores"].items()]
    for name, score in scores:
        if score.get("not_finite"):
            found.append(
                f"The classifier gave {score['not_finite']} images of {name} a logit that is not finite; "
                "they count as not recognised."
            )
    if "published" in metrics:
        found.append(f"Published numbers: {metrics['published']['source']}.")
    return found


class _Columns:
    def __init__(self, *, several: bool, published: bool) -> None:
        self.several = several
        self.published = published

    def head(self) -> list[str]:
        published = ["published %"] if self.published else []
        precision = ["mAP %", *(["published mAP %"] if self.published else [])] if self.several else []
        return [
            *("method", "colours", "accuracy %", "95 % interval", *published, *precision),
            *("PSNR dB", "SSIM", "colours used", "PNG bpp", "index bpp", "palette bpp", "images/s"),
        ]

    def row(
        self,
        method: str,
        size: str,
        score: Metrics | None,
        speed: float | None,
        printed: tuple[float | None, float | None],
    ) -> list[str]:
        published = [_percent(printed[0])] if self.published else []
        found: Metrics = score or {}
        precision = []
        if self.several:
            precision = [_percent(found.get("mean_average_precision"))]
            precision += [_percent(printed[1])] if self.published else []
        interval = found.get("interval")
        span = f"{100 * interval[0]:.2f}-{100 * interval[1]:.2f}" if interval else MISSING
        return [
            *(method, size, _percent(found.get("accuracy"), 2), span, *published, *precision),
            *(_number(found.get("psnr"), 2), _number(found.get("ssim"), 4), _colors(found.get("colors"))),
            *(_number(found.get(key), 3) for key in ("png_bpp", "packed_bpp", "palette_bpp")),
            _number(speed if score else None, 0),
        ]


def _published(table: Metrics | None, method: str | None, size: int) -> tuple[float | None, float | None]:
    """The printed accuracy and mean average precision; ``None`` stands for the originals."""
    if table is None:
        return None, None
    if method is None:
        return table["original"], table["original_mean_average_precision"]
    name = family(method)
    accuracy, precision = (
        table[key].get(name, {}).get(str(size)) for key in ("accuracy", "mean_average_precision")
    )
    return accuracy, precision


def _percent(value: float | None, digits: int = 1) -> str:
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _colors(value: Metrics | None) -> str:
    return MISSING if value is None else f"{value['mean']:.1f} ({value['min']}-{value['max']})"


def columns_explained(head: Sequence[str]) -> dict[str, str]:
    """What each column of :func:`table_rows` means."""
    meanings = {
        "accuracy %": "share of the images that the classifier recognises after quantization",
        "95 % interval": "Wilson's score interval of that share",
        "published %": "the accuracy a paper printed, with its own classifier and networks",
        "mAP %": "mean over the labels of the area under the precision-recall curve",
        "published mAP %": "the mean average precision a paper printed",
        "PSNR dB": "mean over images of the peak signal-to-noise ratio, each counted with at most 100 dB",
        "SSIM": "mean structural similarity, Gaussian window of 11 pixels",
        "colours used": "different colours in an image: mean (smallest-largest)",
        "PNG bpp": "bits per pixel of the PNG files, indexed (truecolour for the originals)",
        "index bpp": "bits per pixel of the index maps as PNG packs them, before compression",
        "palette bpp": "bits per pixel of the palettes, 24 bits a colour",
        "images/s": "quantized images per second, every number of colours counted as one image",
    }
    return {name: meanings[name] for name in head if name in meanings}
