"""Records of evaluations as Markdown tables, and the cells they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from colorcnn.evaluation.statistics import stars_explained
from colorcnn.records import Record
from colorcnn.reporting.naming import attack_title, codec_name, display_names, family
from colorcnn.reporting.published import inferred_methods
from colorcnn.reporting.tables.evaluation import (
    MISSING,
    SECOND_METRICS,
    attack_rows,
    bits_per_pixel,
    margin_rows,
    transfer_rows,
)

Metrics = Mapping[str, Any]


def percent(value: float | None, spread: float | None = None) -> str:
    """``84.7``, or ``84.7 ± 0.3``; no spread is told where there is none, nothing where there is no value."""
    if value is None:
        return ""
    return f"{100 * value:.1f}" + (f" ± {100 * spread:.1f}" if spread else "")


def published_note(metrics: Metrics, method: str) -> str:
    """Return ``published``, or ``published, inferred`` if the row follows from loose numbers of the paper.

    Args:
        metrics: of an evaluation.
        method: a method of it.
    """
    inferred = family(method) in inferred_methods(metrics.get("published", {}))
    return "published, inferred" if inferred else "published"


def curves(metrics: Metrics, key: str = "accuracy") -> Iterator[tuple[str, list[str], list[str]]]:
    """Every method's name, and for each number of colours what was measured and what was published.

    Args:
        metrics: of an evaluation, or of several gathered over seeds.
        key: ``accuracy`` or ``mean_average_precision``.
    """
    names = display_names(metrics["methods"])
    printed = metrics.get("published", {}).get(key, {})
    for method, results in metrics["methods"].items():
        spreads = metrics.get("std", {}).get("methods", {}).get(method, {}).get("scores", {})
        published = printed.get(family(method), {})
        measured = [
            percent(results["scores"].get(str(size), {}).get(key), spreads.get(str(size), {}).get(key))
            for size in metrics["sizes"]
        ]
        yield names[method], measured, [percent(published.get(str(size))) for size in metrics["sizes"]]


def digest_of(metrics: Metrics, method: str | None) -> tuple[str, str]:
    """A method's name and accuracies, and the published ones, each in a line; empty where it is None."""
    if method is None:
        return "", ""
    name, measured, published = dict(zip(metrics["methods"], curves(metrics)))[method]
    return f"{name}: {_joined(measured)}", _joined(published)


def _joined(cells: Sequence[str]) -> str:
    return ", ".join(cell or "–" for cell in cells) if any(cells) else "–"


def accuracy_table(record: Record) -> str:
    """Accuracies in percent: a row per method, a column per number of colours.

    Published numbers stand in rows of their own, and so does the mean average precision of several labels.
    """
    metrics = record.metrics
    sizes = metrics["sizes"]
    head = ["accuracy %", *(f"{size} colour{'s' * (size != 1)}" for size in sizes)]
    rows = [*_rows(metrics, "accuracy", "")]
    for key, name in SECOND_METRICS.items():
        if metrics["original"].get(key) is not None:
            rows += _rows(metrics, key, f", {name}")
    return f"{markdown_table(head, rows)}\n{provenance(record)}\n"


def evaluation_tables(record: Record) -> str:
    """Every Markdown table of an evaluation: accuracy, and of what else was asked.

    That is how far the learned method is ahead, where nothing else was asked; the size of the files beside a
    codec's, accuracy before several classifiers, and under attack.
    """
    metrics = record.metrics
    parts = [accuracy_table(record)]
    head, rows = margin_rows(metrics)
    if rows and not {"codecs", "judges", "attacks"} & set(metrics):
        parts.append(_margin_table(metrics, head, rows))
    if "codecs" in metrics:
        parts.append(_file_table(metrics))
    if "judges" in metrics:
        head, rows = transfer_rows(metrics)
        parts.append(markdown_table(["accuracy % before", *head[1:]], _named(metrics, rows)))
    if "attacks" in metrics:
        parts += _attack_tables(metrics)
    return "\n".join(parts)


def _margin_table(metrics: Metrics, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = display_names(metrics["methods"])
    columns = [f"{size} colour{'s' * (size != '1')}" for size in head[1:]]
    title = f"{names[head[0]]} ahead of, points"
    return f"{markdown_table([title, *columns], _named(metrics, rows))}\nStars: {stars_explained(metrics)}.\n"


def _file_table(metrics: Metrics) -> str:
    """Bits per pixel and accuracy of every kind of file, the smallest first."""
    rows = []
    for method, result in metrics["methods"].items():
        rows += [(method, size, score) for size, score in result["scores"].items()]
    rows += [(codec, MISSING, score) for codec, score in metrics["codecs"].items()]
    rows.sort(key=lambda row: bits_per_pixel(row[2]) or 0.0)
    cells = [
        [name, size, f"{bits_per_pixel(score):.3f}", percent(score["accuracy"])] for name, size, score in rows
    ]
    return markdown_table(["files", "colours", "bits per pixel", "accuracy %"], _named(metrics, cells))


def _attack_tables(metrics: Metrics) -> Iterator[str]:
    """A table for each attack, a column for each largest change of a value."""
    head, rows = attack_rows(metrics)
    width = len(metrics["attacks"]["epsilons"])
    for number, attack in enumerate(metrics["attacks"]["results"]):
        own = slice(2 + number * width, 2 + (number + 1) * width)
        strengths = [column.split()[-1] for column in head[own]]
        title = f"accuracy % under {attack_title(attack)}, change of 255"
        yield markdown_table(
            [title, "colours", *strengths], _named(metrics, [row[:2] + row[own] for row in rows])
        )


def _named(metrics: Metrics, rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Rows that begin with a method, which gets its readable name."""
    codecs = {codec: codec_name(codec) for codec in metrics.get("codecs", {})}
    names = {**display_names(metrics["methods"]), **codecs, "original": "Full colour"}
    return [[names[name], *cells] for name, *cells in rows]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in [head, *rows]]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


def _rows(metrics: Metrics, key: str, what: str) -> Iterator[list[str]]:
    for method, (name, measured, published) in zip(metrics["methods"], curves(metrics, key)):
        yield [f"{name}{what}", *measured]
        if any(published):
            yield [f"{name}{what}, *{published_note(metrics, method)}*", *published]


def provenance(record: Record, what: str = "Full colour") -> str:
    """What full colour gives, over how many images and seeds, and where and when it was measured."""
    metrics = record.metrics
    original = metrics["original"]
    low, high = (100 * bound for bound in original["interval"])
    spread = metrics.get("std", {}).get("original", {}).get("accuracy")
    text = f"{what}: {percent(original['accuracy'], spread)} % (95 % interval {low:.1f} to {high:.1f})"
    for key, name in SECOND_METRICS.items():
        if original.get(key) is not None:
            text += f", {name} {percent(original[key])} %"
    if metrics.get("published", {}).get("original") is not None:
        text += f"; published {percent(metrics['published']['original'])} %"
    seeds = f", mean ± std of {len(metrics['per_seed'])} seeds" if "per_seed" in metrics else ""
    return f"{text}, n = {record.n:,}{seeds}; {record.device}, {record.date[:10]}."


def scale_table(record: Record) -> str:
    """Time, memory and bytes of building stores of different numbers of images, and the line through them."""
    metrics = record.metrics
    side, lines, many = metrics["side"], metrics["lines"], metrics["many"]
    head = ["images", "wall time", "CPU time", "peak memory", "coded bytes an image", "of its JPEG file"]
    rows = [
        [
            f"{row['images']:,}",
            *(f"{row[key] / 60:.1f} min" for key in ("wall_seconds", "cpu_seconds")),
            f"{row['peak_bytes'] / 2**20:,.0f} MiB",
            *(f"{row[key] / row['images']:,.0f}" for key in ("coded", "source")),
        ]
        for row in metrics["dcq_scale"]
    ]
    wall, cpu, peak = (lines[key] for key in ("wall_seconds", "cpu_seconds", "peak_bytes"))
    most = max(row["peak_bytes"] for row in metrics["dcq_scale"])
    memory, needed = "the peak of memory does not grow with n", most
    if peak["per_image"] > 0:
        memory, needed = f"MiB at the peak: {_line(peak, 2**20)}", peak["at_many"]
    text = (
        f"Seconds for n images: {_line(wall, 1)} on the clock, {_line(cpu, 1)} of CPU; {memory}. That is "
        f"{wall['at_many'] / 3600:.0f} hours and {needed / 2**20:,.0f} MiB for {many:,} images of "
        f"{side} x {side} pixels; {record.device}, {record.date[:10]}."
    )
    return f"{markdown_table(head, rows)}\n{text}\n"


def stores_table(record: Record) -> str:
    """What building stores of one training set took, what they weigh, and how fast they are read."""
    metrics = record.metrics
    head = ["bits", "wall time", "CPU time", "peak memory", "coded bytes an image", "of its file"]
    head += [f"{metrics['batch']} random images", "of the files"]
    rows = [
        [
            str(row["bits"]),
            *(f"{row[key] / 60:.1f} min" for key in ("wall_seconds", "cpu_seconds")),
            f"{row['peak_bytes'] / 2**20:,.0f} MiB",
            *(f"{row[key] / row['images']:.1f}" for key in ("coded", "source")),
            *(f"{row[key]:.1f} ms" for key in ("store_milliseconds", "files_milliseconds")),
        ]
        for row in metrics["dcq_stores"]
    ]
    text = f"n = {record.n:,} images; reading: median CPU time of {metrics['batches']} batches; "
    return f"{markdown_table(head, rows)}\n{text}{record.device}, {record.date[:10]}.\n"


def _line(line: Mapping[str, float], unit: float) -> str:
    return f"{line['start'] / unit:.1f} + {line['per_image'] / unit:.4f} n"


def quantizer_table(record: Record) -> str:
    """Error and time of the quantizers as a Markdown table, then how the targets were met."""
    summary, sizes = record.metrics["quantizers"], [str(size) for size in record.metrics["sizes"]]
    head = ["MSE, % above the best known / CPU ms", *(f"{size} colours" for size in sizes)]
    rows = [
        [method, *(f"{cells[size]['above']:.1f} / {cells[size]['milliseconds']:.0f}" for size in sizes)]
        for method, cells in summary.items()
    ]
    targets = record.metrics["targets"]
    missed = [target for target in targets if not target["met"]]
    lines = [f"n = {record.n} images; {record.device}, one thread, {record.date[:10]}."]
    lines.append(f"Targets met: {len(targets) - len(missed)} of {len(targets)}.")
    for target in missed:
        value, limit = (f"{target[key]:.4g}{target['unit']}" for key in ("value", "limit"))
        lines.append(f"- missed: {target['what']}: {value}, at most {limit}")
    return "\n".join([markdown_table(head, rows), *lines]) + "\n"
