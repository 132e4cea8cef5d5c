"""Markdown tables and summaries of records of trained compressors."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from colorcnn.records import Record
from colorcnn.reporting.markup import Table
from colorcnn.reporting.naming import display_names
from colorcnn.reporting.view import CompressorView, Curves

Scores = Mapping[str, Mapping[str, float]]


def vector_table(record: Record) -> str:
    """Return loss, rate and signal-to-noise ratio of compressors, references and published curves of vectors.

    There is a row for each of them and a column for each lambda. Notes give the comparisons and the
    provenance.
    """
    view = CompressorView(record.metrics)
    excess = f"excess over {_name(view.best)} in % " if view.best else ""
    gained = ["BD-rate"] if view.gains else []
    head = [
        f"loss L = R + λ MSE, {excess}(bits per dimension, dB)",
        *(f"λ = {at}" for at in view.lambdas),
        *gained,
    ]
    rows = [[name, *_cells(view, scores, name)] for name, scores in view.rows.items()]
    for curves, note in ((view.references, ""), (view.published, ", *published*")):
        rows += [[f"{_name(name)}{note}", *_cells(view, scores)] for name, scores in curves.items()]
    return Table(head, rows, [*_comparisons(record, view), _provenance(record, view)]).markdown()


def vector_digest(record: Record) -> tuple[str, str]:
    """Return the losses of every row, and the published losses, at each lambda."""
    view = CompressorView(record.metrics)
    return _losses(view, view.rows), _losses(view, view.published)


def picture_table(record: Record) -> str:
    """Return bits per pixel, PSNR and BD-rate of image codecs, a row for each."""
    view, published = CompressorView(record.metrics), CompressorView(record.metrics).published_gains
    head = ["codec", "bits per pixel: PSNR in dB"]
    head += [f"BD-rate against {record.config.get('anchor')}"] if view.gains else []
    head += ["published"] if published else []
    rows = []
    for name, scores in view.rows.items():
        points = sorted(scores.values(), key=lambda point: point["rate"])
        cells = [_name(name), ", ".join(f"{each['rate']:.3f}: {each['decibels']:.2f}" for each in points)]
        cells += [_gain(view, name)] if view.gains else []
        cells += [f"{published[name]:+.1f} %" if name in published else ""] if published else []
        rows.append(cells)
    points = [each for scores in view.rows.values() for each in scores.values()]
    trips = [each["round_trips"] for each in points if "round_trips" in each]
    text = f"n = {record.n} images; whole files; those of all models decode to the same pixels"
    text += f" ({min(trips)} of {record.n})" if trips else ""
    return Table(head, rows, [f"{text}{view.over_seeds}; {record.origin}."]).markdown()


def picture_digest(record: Record) -> tuple[str, str]:
    """Return measured and published BD-rates; without BD-rates, the points of the first row."""
    view = CompressorView(record.metrics)
    published = ", ".join(f"{name} {value:+.1f} %" for name, value in view.published_gains.items()) or "–"
    if view.gains:
        measured = ", ".join(f"{_name(name)} {_gain(view, name)}" for name in view.gains)
        return f"BD-rate {measured}", f"BD-rate {published}"
    name, scores = next(iter(view.rows.items()))
    points = ", ".join(f"{each['rate']:.3f}: {each['decibels']:.2f} dB" for each in scores.values())
    return f"{_name(name)} {points}", published


def _comparisons(record: Record, view: CompressorView) -> Iterator[str]:
    """Yield lines with the excess loss of a row over the row that it is compared with."""
    seeds = [each["rows"] for each in record.metrics.get("per_seed", {"": record.metrics}).values()]
    for name, other in (record.config.get("compare") or {}).items():
        found = []
        for at in view.lambdas:
            if not all(at in rows[name] and at in rows[other] for rows in seeds):
                continue
            excess = [100 * (rows[name][at]["loss"] / rows[other][at]["loss"] - 1) for rows in seeds]
            std = f" ± {statistics.stdev(excess):.2f}" if len(excess) > 1 else ""
            lower = f"lower in {sum(each < 0 for each in excess)} of {len(excess)} seeds"
            found.append(f"λ = {at}: {statistics.fmean(excess):+.2f}{std} %, {lower}")
        if found:
            yield f"- Loss L of {name} relative to {other}: {'; '.join(found)}."


def _cells(view: CompressorView, scores: Scores, name: str = "") -> list[str]:
    """Return loss, excess, rate and decibels at each lambda, then the BD-rate of the row ``name``."""
    cells = []
    for at in view.lambdas:
        if at not in scores:
            cells.append("")
            continue
        score, std = scores[at], view.deviation("rows", name, at, "loss")
        text = f"{score['loss']:.3f}" + (f" ± {std:.3f}" if std else "")
        if (excess := view.excess(score, at)) is not None:
            text += f", {excess:+.1f} %"
        cells.append(f"{text} ({score['rate']:.3f}, {score['decibels']:.2f})")
    return [*cells, *([_gain(view, name)] if view.gains else [])]


def _provenance(record: Record, view: CompressorView) -> str:
    each = [score for scores in view.rows.values() for score in scores.values()]
    off = max((abs(score["coded_rate"] / score["rate"] - 1) for score in each if score["rate"]), default=0)
    kind = "validation vectors" if record.config.get("split") == "val" else "vectors"
    text = f"Range-coded sizes within {100 * off:.2f} % of the estimated rate; n = {record.n:,} {kind}"
    text += f" ({view.metrics['source']}, {view.metrics['dimension']}-D){view.over_seeds}"
    sources = dict.fromkeys(curve["reference"] for curve in view.metrics.get("published", {}).values())
    return f"{text}; {record.origin}." + "".join(f" Published: {source}." for source in sources)


def _gain(view: CompressorView, name: str) -> str:
    if (value := view.gains.get(name)) is None:
        return ""
    std = view.deviation("bd_rate", name)
    return f"{value:+.1f}" + (f" ± {std:.1f}" if std else "") + " %"


def _losses(view: CompressorView, curves: Curves) -> str:
    def losses(scores: Scores) -> str:
        return "/".join(f"{scores[at]['loss']:.3f}" if at in scores else "–" for at in view.lambdas)

    return "; ".join(f"{_name(name)} {losses(scores)}" for name, scores in curves.items()) or "–"


def _name(name: str) -> str:
    return display_names([name])[name]
