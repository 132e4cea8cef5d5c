"""Markdown tables of benchmarks: classical quantizers, training steps, and dataset stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colorcnn.records import Record
from colorcnn.reporting.markup import Table

_COSTS = ["wall time", "CPU time", "peak memory", "coded bytes per image"]


def scale_table(record: Record) -> str:
    """Return time, memory and bytes of stores of different numbers of images, with a linear fit."""
    metrics = record.metrics
    lines, built = metrics["lines"], metrics["dcq_scale"]
    rows = [[f"{row['images']:,}", *_costs(row, ",.0f")] for row in built]
    wall, cpu, peak = (lines[key] for key in ("wall_seconds", "cpu_seconds", "peak_bytes"))
    memory, needed = "peak memory does not grow with n", max(row["peak_bytes"] for row in built)
    if peak["per_image"] > 0:
        memory, needed = f"peak memory in MiB: {_line(peak, 2**20)}", peak["at_many"]
    note = (
        f"Seconds for n images: {_line(wall, 1)} wall time, {_line(cpu, 1)} CPU time; {memory}. That is "
        f"{wall['at_many'] / 3600:.0f} hours and {needed / 2**20:,.0f} MiB for {metrics['many']:,} images of "
        f"{metrics['side']} x {metrics['side']} pixels; {record.origin}."
    )
    return Table(["images", *_COSTS, "bytes of its JPEG file"], rows, [note]).markdown()


def memory_table(record: Record) -> str:
    """Return the memory of data sets and commands for two numbers of images, and what an image adds."""
    found = record.metrics["memory_per_image"]
    counts = [row["images"] for row in next(iter(found.values()))["rows"]]
    head = ["", *(f"{count:,} images" for count in counts), "bytes per image"]
    rows = []
    for name, memory in found.items():
        peaks = [f"{row['peak_bytes'] / 2**20:,.1f} MiB" for row in memory["rows"]]
        rows.append([name, *peaks, f"{memory['per_image']:,.0f}"])
    note = (
        "Data sets: what they hold once they are open. Commands: the peak of a process, which varies by tens "
        f"of MiB from run to run, so that a process with more images can have less; {record.origin}."
    )
    return Table(head, rows, [note]).markdown()


def stores_table(record: Record) -> str:
    """Return time, memory and bytes of stores of one training set, and the time to read images."""
    metrics = record.metrics
    head = ["bits", *_COSTS, "bytes of its file", f"{metrics['batch']} random images", "the same from files"]
    reading = ("store_milliseconds", "files_milliseconds")
    rows = [
        [str(row["bits"]), *_costs(row, ".1f"), *(f"{row[key]:.1f} ms" for key in reading)]
        for row in metrics["dcq_stores"]
    ]
    text = f"n = {record.n:,} images; reading: median CPU time of {metrics['batches']} batches; "
    return Table(head, rows, [f"{text}{record.origin}."]).markdown()


def formats_table(record: Record) -> str:
    """Return how fast the images of a training set are read from each format, and the bytes of an image."""
    found = record.metrics["dcq_formats"]
    rows = []
    for name in next(iter(found.values())):
        cells = []
        for each in found.values():
            speed, store = each[name]["images_per_second"], each["store"]["images_per_second"]
            cells += [f"{speed:,.0f}", f"{speed / store:.2f}", f"{each[name]['bytes']:,.0f}"]
        rows.append([name, *cells])
    head = ["format"]
    for side in found:
        head += [f"images per second and core, {side} x {side}", "of the store's", "bytes an image"]
    images = " and ".join(f"{count:,}" for count in record.metrics["images"].values())
    config = record.config
    note = (
        f"n = {images} images of {2 ** config['bits']} colours; full colour: the originals, JPEG of quality "
        f"{config['quality']}; CPU time, best of {config['repeats']} repeats by turns; {record.origin}."
    )
    return Table(head, rows, [note]).markdown()


def explorer_table(record: Record) -> str:
    """Return the time of the explorer's answers: median and longest, by picture, method and colours."""
    colors = [str(count) for count in record.config["colors"]]
    rows = [
        [row["picture"], row["method"]]
        + [f"{row['median_ms'][count]:,.0f} / {row['longest_ms'][count]:,.0f}" for count in colors]
        for row in record.metrics["explorer_times"]
    ]
    note = (
        f"Time on the clock, ms: median / longest of n = {record.n} different pictures, with the answer of "
        f"{record.config['classifier']} and its activation map; {record.origin}."
    )
    head = ["picture", "method", *(f"{count} colours" for count in colors)]
    return Table(head, rows, [note]).markdown()


def quantizer_table(record: Record) -> str:
    """Return error and time of quantizers, their DSSIM if the record has it, and the missed targets.

    Times are relative to the first method's, because other programs may have run on the machine.
    """
    summary, sizes = record.metrics["quantizers"], [str(size) for size in record.metrics["sizes"]]
    anchor, threads = next(iter(summary)), record.metrics.get("threads", 1)
    heads = [f"{size} colours" for size in sizes]

    def cell(method: str, size: str) -> str:
        found = summary[method].get(size)
        if found is None:
            return "–"
        return f"{found['above']:.1f} / {found['milliseconds'] / summary[anchor][size]['milliseconds']:.2f}"

    rows = [[method, *(cell(method, size) for size in sizes)] for method in summary]
    kind = "CPU time, one thread" if threads == 1 else f"wall time, {threads} threads"
    notes = [f"n = {record.n} images; {kind}; {record.device}, {record.date[:10]}."]
    targets = record.metrics["targets"]
    missed = [target for target in targets if not target["met"]]
    if targets:
        notes.append(f"Targets met: {len(targets) - len(missed)} of {len(targets)}.")
    for target in missed:
        value, limit = (f"{target[key]:.4g}{target['unit']}" for key in ("value", "limit"))
        notes.append(f"- missed: {target['what']}: {value}, at most {limit}")
    title = f"MSE, % above the best known / time relative to {anchor}"
    table = Table([title, *heads], rows, notes).markdown()
    if not all("dssim" in found for row in summary.values() for found in row.values()):
        return table
    seen = [
        [method, *(f"{1000 * row[size]['dssim']:.1f}" if size in row else "–" for size in sizes)]
        for method, row in summary.items()
    ]
    return "\n".join([table, Table(["DSSIM, thousandths", *heads], seen).markdown()])


def training_table(record: Record) -> str:
    """Return the time of a training step and of an evaluation beside the reference's, and the targets."""
    metrics, rows = record.metrics, []
    for cell in metrics["steps"]:
        times = cell["milliseconds"]
        step = [f"{cell['colors']} colours", f"{times['total']:.1f}", f"{times.get('data', 0.0):.3f}"]
        rows.append([cell["networks"], cell["side"], *step, f"{cell['peak_mib']:,.0f}"])
    evaluated = [
        [cell["networks"], cell["side"], f"{cell['milliseconds']:.1f}"] for cell in metrics["evaluations"]
    ]
    kind = "time on the clock" if record.config["device"] != "cpu" else "CPU time of one thread"
    notes = [
        f"Batches of {record.n} images, median of {record.config['repeats']} steps by turns, {kind}; "
        f"{record.origin}.\n"
    ]
    for name, target in metrics["targets"].items():
        verdict = "met" if target["met"] else "missed"
        notes.append(f"- {name}: ratio {target['ratio']:.3f}, at most {target['limit']:.3f}: {verdict}")
    head = ["networks", "code", "step with", "ms an image", "of them data", "peak memory, MiB"]
    title = ["networks", "code", "evaluation with six numbers of colours, ms an image"]
    return "\n".join([Table(head, rows).markdown(), Table(title, evaluated, notes).markdown()])


def prediction_table(record: Record) -> str:
    """Return the predicted time of the paper's training on a GPU, and what the prediction assumes."""
    found = record.metrics["gpu_prediction"]
    step, counted, assumed = found["step_milliseconds"], found["counted"], found["assumptions"]
    peak, moved = assumed["peak"] / 1e12, assumed["bandwidth"] / 1e12
    multiplied = (
        f"{counted['teraflops']:.2f} TFLOP at {assumed['utilisation']:.0%} of {peak:,.0f} TFLOP a second"
    )
    memory = f"{counted['gigabytes']:.1f} GB at {assumed['memory_share']:.0%} of {moved:.1f} TB a second"
    host = f"{counted['operations']:,} operations of {1e6 * assumed['launch']:.0f} µs"
    whole = "the larger of the host's time and the sum of the other two"
    words = {"multiplications": multiplied, "memory": memory, "host": host, "step": whole}
    rows = [[name, text, f"{step[name]:.1f}"] for name, text in words.items()]
    note = f"{found['steps']:,} steps: {found['minutes']:.1f} minutes. Nothing of this was measured on a GPU."
    return Table(["a step", "counted, and assumed", "ms"], rows, [note]).markdown()


def _costs(row: Mapping[str, Any], number_format: str) -> list[str]:
    minutes = (f"{row[key] / 60:.1f} min" for key in ("wall_seconds", "cpu_seconds"))
    sizes = (f"{row[key] / row['images']:{number_format}}" for key in ("coded", "source"))
    return [*minutes, f"{row['peak_bytes'] / 2**20:,.0f} MiB", *sizes]


def _line(line: Mapping[str, float], unit: float) -> str:
    return f"{line['start'] / unit:.1f} + {line['per_image'] / unit:.4f} n"
