"""Records of trained compressors as Markdown tables, and in a few words."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from colorcnn.evaluation.vq_measures import best_reference
from colorcnn.records import Record
from colorcnn.reporting.markdown import markdown_table
from colorcnn.reporting.naming import display_names

Metrics = Mapping[str, Any]


def vector_table(record: Record) -> str:
    """Loss, rate and decibels of compressors of vectors, of references, and of what was published.

    A row of its own for each, a column for each lambda; then what the comparisons say, and the provenance.
    """
    metrics = record.metrics
    at, best = _trade_offs(metrics["rows"]), best_reference(metrics)
    above = f", above {_name(best)}" if best else ""
    head = [f"L = R + λ MSE{above} (bits per dimension, dB)", *(f"λ = {key}" for key in at)]
    gains = metrics.get("bd_rate")
    head += ["BD-rate"] if gains else []
    rows = []
    for name, scores in metrics["rows"].items():
        spreads = metrics.get("std", {}).get("rows", {}).get(name, {})
        cells = [_vector_cell(key, scores.get(key), spreads.get(key, {}), metrics, best) for key in at]
        rows.append([name, *cells, *([_gain(metrics, name)] if gains else [])])
    printed = {name: curve["points"] for name, curve in metrics.get("published", {}).items()}
    for curves, note in ((metrics.get("references", {}), ""), (printed, ", *published*")):
        for name, scores in curves.items():
            cells = [_vector_cell(key, scores.get(key), {}, metrics, best) for key in at]
            rows.append([f"{_name(name)}{note}", *cells, *([""] if gains else [])])
    below = [*_comparisons(record, at), _vector_provenance(record)]
    return "\n".join([markdown_table(head, rows), *below]) + "\n"


def vector_digest(record: Record) -> tuple[str, str]:
    """The losses of every row, and those published, at each lambda."""
    metrics = record.metrics
    at = _trade_offs(metrics["rows"])
    printed = {name: curve["points"] for name, curve in metrics.get("published", {}).items()}
    return tuple(  # type: ignore[return-value]
        "; ".join(f"{_name(name)} {_losses(scores, at)}" for name, scores in curves.items()) or "–"
        for curves in (metrics["rows"], printed)
    )


def picture_table(record: Record) -> str:
    """Bits per pixel and PSNR of codecs for pictures, a row for each, with their BD-rates."""
    metrics = record.metrics
    gains, anchor = metrics.get("bd_rate"), record.config.get("anchor")
    printed = metrics.get("published", {}).get("bd_rate", {})
    head = ["codec", "bits per pixel: PSNR in dB"]
    head += [f"BD-rate against {anchor}"] if gains else []
    head += ["published"] if printed else []
    rows = []
    for name, scores in metrics["rows"].items():
        points = sorted(scores.values(), key=lambda point: point["rate"])
        cells = [_name(name), ", ".join(f"{each['rate']:.3f}: {each['decibels']:.2f}" for each in points)]
        cells += [_gain(metrics, name)] if gains else []
        cells += [f"{printed[name]:+.1f} %" if name in printed else ""] if printed else []
        rows.append(cells)
    points = [each for row in metrics["rows"].values() for each in row.values()]
    trips = [each["round_trips"] for each in points if "round_trips" in each]
    text = f"n = {record.n} pictures; files whole, those of all models decoded to the same pixels"
    text += f" ({min(trips)} of {record.n})" if trips else ""
    text += f"{_seeds(metrics)}; {record.device}, {record.date[:10]}."
    return f"{markdown_table(head, rows)}\n{text}\n"


def picture_digest(record: Record) -> tuple[str, str]:
    """BD-rates: measured, and those published; without any, the points of the first row."""
    metrics = record.metrics
    published = metrics.get("published", {}).get("bd_rate", {})
    measured = {name: _gain(metrics, name) for name in metrics.get("bd_rate", {})}
    printed = ", ".join(f"{name} {value:+.1f} %" for name, value in published.items()) or "–"
    if measured:
        told = "BD-rate " + ", ".join(f"{_name(name)} {value}" for name, value in measured.items())
        return told, f"BD-rate {printed}"
    name, scores = next(iter(metrics["rows"].items()))
    points = ", ".join(f"{each['rate']:.3f}: {each['decibels']:.2f} dB" for each in scores.values())
    return f"{_name(name)} {points}", printed


def _comparisons(record: Record, at: Sequence[str]) -> Iterator[str]:
    """How far a row's loss lies above its rival's, over the seeds, which share their numbers."""
    metrics = record.metrics
    seeds = [each["rows"] for each in metrics.get("per_seed", {"": metrics}).values()]
    for name, rival in (record.config.get("compare") or {}).items():
        told = []
        for key in at:
            if not all(key in rows[name] and key in rows[rival] for rows in seeds):
                continue
            apart = [100 * (rows[name][key]["loss"] / rows[rival][key]["loss"] - 1) for rows in seeds]
            spread = f" ± {statistics.stdev(apart):.2f}" if len(apart) > 1 else ""
            lower = sum(each < 0 for each in apart)
            told.append(
                f"λ = {key}: {statistics.fmean(apart):+.2f}{spread} %, "
                f"lower with {lower} of {len(apart)} seeds"
            )
        if told:
            yield f"- L of {name} against {rival}: {'; '.join(told)}."


def _vector_cell(key: str, score: Metrics | None, spread: Metrics, metrics: Metrics, best: str | None) -> str:
    if score is None:
        return ""
    text = f"{score['loss']:.3f}" + (f" ± {spread['loss']:.3f}" if spread.get("loss") else "")
    if best and key in metrics["references"][best]:
        text += f", {100 * (score['loss'] / metrics['references'][best][key]['loss'] - 1):+.1f} %"
    return f"{text} ({score['rate']:.3f}, {score['decibels']:.2f})"


def _vector_provenance(record: Record) -> str:
    metrics = record.metrics
    each = [score for scores in metrics["rows"].values() for score in scores.values()]
    off = max((abs(score["coded_rate"] / score["rate"] - 1) for score in each if score["rate"]), default=0)
    kind = "validation vectors" if record.config.get("split") == "val" else "vectors"
    text = f"Range-coded sizes within {100 * off:.2f} % of the estimated rate; n = {record.n:,} {kind}"
    text += f" ({metrics['source']}, {metrics['dimension']}-D){_seeds(metrics)}"
    sources = dict.fromkeys(curve["reference"] for curve in metrics.get("published", {}).values())
    told = "".join(f" Published: {source}." for source in sources)
    return f"{text}; {record.device}, {record.date[:10]}.{told}"


def _seeds(metrics: Metrics) -> str:
    return f", mean ± std of {len(metrics['per_seed'])} seeds" if "per_seed" in metrics else ""


def _gain(metrics: Metrics, name: str) -> str:
    value = metrics["bd_rate"].get(name)
    spread = metrics.get("std", {}).get("bd_rate", {}).get(name)
    if value is None:
        return ""
    return f"{value:+.1f}" + (f" ± {spread:.1f}" if spread else "") + " %"


def _losses(scores: Metrics, at: Sequence[str]) -> str:
    return "/".join(f"{scores[key]['loss']:.3f}" if key in scores else "–" for key in at)


def _trade_offs(rows: Metrics) -> list[str]:
    return sorted({key for scores in rows.values() for key in scores}, key=float)


def _name(name: str) -> str:
    return display_names([name])[name]
