"""Targets, table and figure of the benchmark of training."""

from __future__ import annotations

import io
from typing import Any

TARGETS = {"paper": 0.5, "light": 0.35}
"""Largest ratio of a training step to the reference's, by networks."""

DATA, EVALUATION, MEMORY, MANY_COLORS = 1 / 30, 1 / 3, 0.5, 1.3
PARTS = ("data", "forward", "assignment", "losses", "classifier", "backward", "optimizer", "other")
_HUES = ("#4e79a7", "#59a14f", "#edc948", "#f28e2b", "#e15759", "#b07aa1", "#76b7b2", "#bab0ac")


def judge(cells: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Compare the first side with the reference.

    Args:
        cells: of the steps; see :func:`benchmark_training.measure`.
        evaluations: of the evaluations.

    Returns:
        By target: the largest ratio found, the limit, and whether it is met.
    """
    found: dict[str, dict[str, Any]] = {}
    for networks in dict.fromkeys(cell["networks"] for cell in cells):
        own = [cell for cell in cells if cell["networks"] == networks]
        ours, theirs = _by_color(own, 0), _by_color(own, 1)
        limit = TARGETS.get(networks, TARGETS["light"])

        def worst(part: str, ours: dict = ours, theirs: dict = theirs) -> float:
            pairs = ((ours[size]["milliseconds"], theirs[size]["milliseconds"]) for size in ours)
            return max(a.get(part, 0.0) / max(b.get(part, 0.0), 1e-9) for a, b in pairs)

        memory = max(ours[size]["peak_mib"] / max(theirs[size]["peak_mib"], 1e-9) for size in ours)
        scores = [cell["milliseconds"] for cell in evaluations if cell["networks"] == networks]
        found[f"{networks}: step"] = _verdict(worst("total"), limit)
        found[f"{networks}: data"] = _verdict(worst("data"), DATA)
        found[f"{networks}: evaluation"] = _verdict(scores[0] / max(scores[1], 1e-9), EVALUATION)
        found[f"{networks}: peak memory"] = _verdict(memory, MEMORY)
        if {4, 64} <= ours.keys():
            ratio = ours[64]["milliseconds"]["total"] / ours[4]["milliseconds"]["total"]
            found[f"{networks}: 64 colours to 4"] = _verdict(ratio, MANY_COLORS)
    return found


def _by_color(cells: list[dict[str, Any]], side: int) -> dict[int, dict[str, Any]]:
    sides = list(dict.fromkeys(cell["side"] for cell in cells))
    return {cell["colors"]: cell for cell in cells if cell["side"] == sides[side]}


def _verdict(ratio: float, limit: float) -> dict[str, Any]:
    return {"ratio": round(ratio, 4), "limit": round(limit, 4), "met": ratio <= limit}


def report(cells: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> str:
    """Draw up the times as a table of text."""
    head = f"{'networks':9}{'colours':>8}  {'side':18}" + "".join(f"{part:>11}" for part in (*PARTS, "total"))
    lines = ["milliseconds an image", head + f"{'peak MiB':>11}"]
    for cell in cells:
        times = "".join(f"{cell['milliseconds'].get(part, 0.0):11.3f}" for part in (*PARTS, "total"))
        lines.append(
            f"{cell['networks']:9}{cell['colors']:>8}  {cell['side']:18}{times}{cell['peak_mib']:11.0f}"
        )
    lines.append("evaluation with six numbers of colours, milliseconds an image")
    lines += [f"{cell['networks']:19}{cell['side']:18}{cell['milliseconds']:11.3f}" for cell in evaluations]
    return "\n".join(lines)


def draw(cells: list[dict[str, Any]]) -> bytes:
    """Draw stacked bars of the parts of a step, a panel for each of the networks."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    networks = list(dict.fromkeys(cell["networks"] for cell in cells))
    figure, axes = plt.subplots(1, len(networks), figsize=(6.5 * len(networks), 4.8), squeeze=False)
    for axis, name in zip(axes[0], networks):
        rows = [cell for cell in cells if cell["networks"] == name]
        bottoms = [0.0] * len(rows)
        for part, hue in zip(PARTS, _HUES):
            heights = [row["milliseconds"].get(part, 0.0) for row in rows]
            axis.bar(range(len(rows)), heights, bottom=bottoms, color=hue, label=part)
            bottoms = [bottom + height for bottom, height in zip(bottoms, heights)]
        labels = [f"{row['side']}\n{row['colors']} colours" for row in rows]
        axis.set_xticks(range(len(rows)), labels, rotation=60, ha="right", fontsize=7)
        axis.set(title=f"{name} networks", ylabel="ms an image")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(PARTS), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()
