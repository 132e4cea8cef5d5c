"""An evaluation as a table: aligned text for a terminal, rows of words for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from colorcnn.evaluation.statistics import (
    STARS_EXPLAINED,
    McNemar,
    against_first,
    compare,
    corrected,
    leading_method,
    stars,
)
from colorcnn.reporting.naming import family
from colorcnn.reporting.published import inferred_methods

Metrics = Mapping[str, Any]

MISSING = "–"
SECOND_METRICS = {"mean_average_precision": "mAP", "mean_iou": "mIoU"}
"""What stands beside accuracy for several labels, and for masks: its key in a record, and its name."""


def table_rows(metrics: Metrics) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the full table: the originals, every method and number of colours, codecs.

    Several methods are compared with the first of them. Published numbers get columns of their own where the
    metrics hold a published table, and mean average precision where images have several labels.
    """
    published = metrics.get("published")
    second = next((key for key in SECOND_METRICS if metrics["original"].get(key) is not None), None)
    tests = against_first(metrics)
    columns = _Columns(second=second, published=published is not None, compared=bool(tests))
    original = metrics["original"]
    spreads = metrics.get("std", {})
    rows = [
        columns.row(
            "original", "all", original, spreads.get("original"), printed=_published(published, None, 0)
        )
    ]
    for method, result in metrics["methods"].items():
        spread = spreads.get("methods", {}).get(method, {}).get("scores", {})
        for size in map(str, metrics["sizes"]):
            score = result["scores"].get(size)
            rows.append(
                columns.row(
                    *(method, size, score, spread.get(size)),
                    speed=result["images_per_second"],
                    printed=_published(published, method, int(size)),
                    difference=_difference(metrics, method, size, tests),
                )
            )
    for codec, score in metrics.get("codecs", {}).items():
        rows.append(columns.row(codec, "all", score, spreads.get("codecs", {}).get(codec)))
    return columns.head(), rows


def _difference(
    metrics: Metrics, method: str, size: str, tests: Mapping[str, Mapping[str, McNemar]]
) -> str | None:
    """Points of accuracy more than the first method has, and how sure that is."""
    first = next(iter(metrics["methods"].values()))["scores"].get(size)
    score = metrics["methods"][method]["scores"].get(size)
    if method not in tests or not first or not score:
        return None
    test = tests[method].get(size)
    points = f"{100 * (score['accuracy'] - first['accuracy']):+.2f}"
    return f"{points} {stars(test.p_value):3}" if test else points


def margin_rows(metrics: Metrics) -> tuple[list[str], list[list[str]]]:
    """Points of accuracy that the learned method is ahead of each other one, and how sure that is.

    Returns:
        The head, its name and the numbers of colours, and the rows; none where there is nothing to compare.
    """
    leader, sizes = leading_method(metrics), [str(size) for size in metrics["sizes"]]
    if leader is None:
        return [], []
    ours, rows = metrics["methods"][leader]["scores"], []
    tests = corrected(
        {
            (method, size): test
            for method in metrics["methods"]
            for size in sizes
            if method != leader and (test := compare(metrics, (leader, size), (method, size))) is not None
        }
    )
    for method, result in metrics["methods"].items():
        cells = [""] * len(sizes)
        for place, size in enumerate(sizes):
            test = tests.get((method, size))
            if test is not None:
                points = 100 * (ours[size]["accuracy"] - result["scores"][size]["accuracy"])
                cells[place] = f"{round(points, 1) + 0:+} {stars(test.p_value)}".rstrip()  # no -0.0
        if any(cells):
            rows.append([method, *cells])
    return [leader, *sizes], rows


def text_table(metrics: Metrics) -> str:
    """The full table as aligned plain text, followed by why cells are missing."""
    return "\n".join([aligned(*table_rows(metrics)), *notes(metrics)])


def aligned(head: list[str], rows: list[list[str]]) -> str:
    """Plain text in columns, the first one to the left and a rule below the head."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def attack_rows(metrics: Metrics) -> tuple[list[str], list[list[str]]]:
    """Accuracy under attack in percent: a column for each attack and each largest change of a value."""
    attacks = metrics["attacks"]
    epsilons = [str(epsilon) for epsilon in attacks["epsilons"]]
    columns = [f"{attack} {epsilon}" for attack in attacks["results"] for epsilon in epsilons]
    places: list[tuple[str, str, tuple[str, ...]]] = [("original", "all", ("original",))]
    for method, result in metrics["methods"].items():
        places += [(method, size, ("methods", method, size)) for size in result["scores"]]
    places += [(codec, "all", ("codecs", codec)) for codec in metrics.get("codecs", {})]
    rows = []
    for name, size, path in places:
        cells = []
        for result in attacks["results"].values():
            for part in path:
                result = result.get(part, {})
            cells += [_percent(result.get(epsilon, {}).get("accuracy")) for epsilon in epsilons]
        rows.append([name, size, *cells])
    return ["method", "colours", *columns], rows


def transfer_rows(metrics: Metrics) -> tuple[list[str], list[list[str]]]:
    """Accuracy in percent before every classifier."""
    judges = metrics["judges"]
    places = [("original", "all", metrics["original"])]
    for method, result in metrics["methods"].items():
        places += [(method, size, score) for size, score in result["scores"].items()]
    places += [(codec, "all", score) for codec, score in metrics.get("codecs", {}).items()]
    rows = [
        [name, size, *(_percent(score.get("judges", {}).get(judge, {}).get("accuracy")) for judge in judges)]
        for name, size, score in places
    ]
    return ["method", "colours", *judges], rows


def text_tables(metrics: Metrics) -> str:
    """Every table of the metrics as plain text: the full one, and those of attacks and of classifiers."""
    parts = [text_table(metrics)]
    if "judges" in metrics:
        parts.append("accuracy % before every classifier\n" + aligned(*transfer_rows(metrics)))
    if "attacks" in metrics:
        title = "accuracy % under attack, by the largest change of a value, of 255"
        parts.append(f"{title}\n" + aligned(*attack_rows(metrics)))
    return "\n\n".join(parts)


def notes(metrics: Metrics) -> list[str]:
    """Sentences about what the table cannot show: cells that are not available, broken logits, sources."""
    found = []
    for method, result in metrics["methods"].items():
        for size, why in result["unavailable"].items():
            found.append(f"{method} at {size} colours is not available: {why}")
    scores = [("the originals", metrics["original"])]
    for method, result in metrics["methods"].items():
        scores += [(f"{method} at {size} colours", score) for size, score in result["scores"].items()]
    scores += list(metrics.get("codecs", {}).items())
    for name, score in scores:
        if score.get("not_finite"):
            found.append(
                f"The classifier gave {score['not_finite']} images of {name} a logit that is not finite; "
                "they count as not recognised."
            )
    if "published" in metrics:
        found.append(f"Published numbers: {metrics['published']['source']}.")
        inferred = set(inferred_methods(metrics["published"])) & set(map(family, metrics["methods"]))
        if inferred:
            found.append(f"Inferred from loose numbers of the paper: {', '.join(sorted(inferred))}.")
    return found


class _Columns:
    def __init__(self, *, second: str | None, published: bool, compared: bool) -> None:
        self.second = second
        self.published = published
        self.compared = compared

    def head(self) -> list[str]:
        compared = ["difference"] if self.compared else []
        published = ["published %"] if self.published else []
        name = SECOND_METRICS[self.second] if self.second else ""
        printed = [f"published {name} %"] if self.published else []
        precision = [f"{name} %", *printed] if self.second else []
        return [
            *("method", "colours", "accuracy %", "95 % interval", *compared, *published, *precision),
            *("PSNR dB", "SSIM", "colours used", "file bpp", "index bpp", "palette bpp", "images/s"),
        ]

    def row(
        self,
        method: str,
        size: str,
        score: Metrics | None,
        spread: Metrics | None,
        *,
        speed: float | None = None,
        printed: tuple[float | None, float | None] = (None, None),
        difference: str | None = None,
    ) -> list[str]:
        found: Metrics = score or {}
        compared = [difference or MISSING] if self.compared else []
        published = [_percent(printed[0])] if self.published else []
        precision = []
        if self.second:
            precision = [_percent(found.get(self.second))]
            precision += [_percent(printed[1])] if self.published else []
        interval = found.get("interval")
        span = f"{100 * interval[0]:.2f}-{100 * interval[1]:.2f}" if interval else MISSING
        accuracy = _percent(found.get("accuracy"), 2)
        if spread and "accuracy" in spread:
            accuracy += f" ± {_percent(spread['accuracy'], 2)}"
        return [
            *(method, size, accuracy, span, *compared, *published, *precision),
            *(_number(found.get("psnr"), 2), _number(found.get("ssim"), 4), _colors(found.get("colors"))),
            _number(bits_per_pixel(found), 3),
            *(_number(found.get(key), 3) for key in ("packed_bpp", "palette_bpp")),
            _number(speed if score else None, 0),
        ]


def bits_per_pixel(score: Metrics) -> float | None:
    """What the files of a score cost: a codec's own, else PNG files."""
    return score.get("file_bpp", score.get("png_bpp"))


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
        "difference": "accuracy less that of the first method with as many colours, in points; the surer, "
        f"the more stars: {STARS_EXPLAINED}",
        "published %": "the accuracy a paper printed, with its own classifier and networks",
        "mAP %": "mean over the labels of the area under the precision-recall curve",
        "mIoU %": "mean over the classes of the intersection over union of all pixels",
        "published mIoU %": "the mean intersection over union a paper printed",
        "published mAP %": "the mean average precision a paper printed",
        "PSNR dB": "mean over images of the peak signal-to-noise ratio, each counted with at most 100 dB",
        "SSIM": "mean structural similarity, Gaussian window of 11 pixels",
        "colours used": "different colours in an image: mean (smallest-largest)",
        "file bpp": "bits per pixel of whole files, headers included: indexed PNG (truecolour for the "
        "originals), or the codec's own",
        "index bpp": "bits per pixel of the index maps as PNG packs them, before compression",
        "palette bpp": "bits per pixel of the palettes, 24 bits a colour",
        "images/s": "quantized images per second, every number of colours counted as one image",
    }
    return {name: meanings[name] for name in head if name in meanings}
