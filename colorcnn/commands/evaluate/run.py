"""The command ``colorcnn evaluate``: from the options to the results, one step after the other."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import shlex
from typing import TYPE_CHECKING, Any

from colorcnn.commands.claims import sole_writer
from colorcnn.commands.evaluate.options import check_names, parse, published_numbers, to_config
from colorcnn.commands.evaluate.results import (
    check_out,
    earlier_record,
    print_results,
    progress_folder,
    write_results,
)
from colorcnn.named_weights import named_weights
from colorcnn.records import Clock

if TYPE_CHECKING:
    from colorcnn.evaluation.loaded import LoadedEvaluation
    from colorcnn.reporting.page import Entry

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Run the command on its arguments.

    Args:
        argv: the arguments after ``evaluate``.

    Returns:
        0.

    Raises:
        UsageError: the options are invalid; nothing has been measured.
        ColorCNNError: the data, the classifier or a method is damaged, or nothing could be measured.
    """
    options = parse(argv)
    clock, command = Clock(), shlex.join(["colorcnn", "evaluate", *argv])
    asked, published = to_config(options), published_numbers(options.published)
    check_out(options, command)
    check_names(options, asked)
    from colorcnn.evaluation.loaded import load_evaluation
    from colorcnn.pretrained import find_devices

    devices = find_devices(options.device)
    options.device = devices[0]
    loaded = load_evaluation(dataclasses.replace(asked, device=options.device))
    for remark in loaded.remarks():
        _log.info(remark)
    with contextlib.nullcontext() if options.out is None else sole_writer(options.out):
        check_out(options, command)  # once more: another process may have written results meanwhile
        _work(options, loaded, clock, command, published, devices)
    return 0


def _work(
    options: argparse.Namespace,
    loaded: LoadedEvaluation,
    clock: Clock,
    command: str,
    published: Any,
    devices: list[str],
) -> None:
    """Measure, write the results and print them."""
    from colorcnn.reporting.page import Entry

    if options.cam:
        loaded.check_maps()
    config = {
        **loaded.record_config(),
        "methods": options.methods,
        "published": options.published,
        "weights": named_weights([*loaded.config.classifiers.values(), *loaded.config.methods.values()]),
    }
    libraries = loaded.libraries()
    record = earlier_record(options, command, config, libraries)
    if record is None:
        folder = progress_folder(options, command, config, libraries)
        metrics = loaded.measure(folder, devices).to_json()
        if published is not None:
            metrics["published"] = published
        record = clock.record(
            command,
            n=len(loaded.split),
            metrics=metrics,
            config=config,
            seeds={"seed": options.seed},
            device=options.device,
            num_devices=len(devices),
            libraries=libraries,
        )
    entry = Entry("", record)
    try:
        if options.out is not None:
            _draw_and_write(options, loaded, entry)
    finally:  # also if the disk is full
        print_results(options, entry)


def _draw_and_write(options: argparse.Namespace, loaded: LoadedEvaluation, entry: Entry) -> None:
    from colorcnn.reporting.pictures import draw_pictures

    if options.cam and (loaded.data.multi_label or loaded.data.masks):
        _log.info("note: images with several labels have no activation maps.")
    drawn = draw_pictures(loaded, cam=options.cam)
    write_results(options, entry, {f"{name}.png": picture for name, picture in drawn.items()})
