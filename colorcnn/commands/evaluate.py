"""``colorcnn evaluate``: how well a classifier recognises images of a few colours, and what they cost."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.commands.claims import sole_writer
from colorcnn.commands.console import Parser, add_device_option
from colorcnn.commands.messages import data_cures
from colorcnn.errors import ColorCNNError, UsageError, check_at_least
from colorcnn.files import refuse_existing, write_atomically
from colorcnn.records import Clock, Record, read_record, versions

if TYPE_CHECKING:
    from colorcnn.evaluation.config import EvaluationConfig
    from colorcnn.evaluation.loaded import LoadedEvaluation
    from colorcnn.reporting.markup import Picture

_log = logging.getLogger(__name__)

DESCRIPTION = """\
Quantize a data set with several methods and numbers of colours, and measure what is left: how much of
it a classifier still recognises (with a 95 % interval), PSNR, SSIM, the colours really used, bits per
pixel of the files, and the speed. Everything is measured on the pixels of the PNG files. Methods are
compared with the first one named, by an exact test on the same images. The table goes to standard output,
progress and messages to standard error.
"""
EXAMPLES = """\
examples:
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --methods median-cut,octree,colorcnn-plus
  colorcnn evaluate photos/ --classifier mymodule:network --colors 2,4 --limit 1000 -o runs/photos
      photos/ holds test/<class>/<image>, or <class>/<image>; mymodule.py a function network()
  colorcnn evaluate photos/ --split all --classifier torchvision:resnet18 --classes map.json
      an ImageNet network on one's own folders, of which none is set aside
  colorcnn evaluate cifar100 --classifier mine.ckpt --methods median-cut --published cifar100-resnet18
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --methods colorcnn-plus,jpeg,webp,png
      quantizers beside image files: jpeg:30 is one quality, jpeg a whole curve; files count with headers
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --colors 4,16 --attack pgd:adaptive --limit 1000
      accuracy under attack: pgd knows the classifier alone, pgd:adaptive goes through the quantizer too
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --classifier mine.ckpt --methods colorcnn-plus
      a quantizer trained for one network before another: the matrix of methods and classifiers

exit status: 0 when something was measured, 1 when the work failed, 2 for a wrong option.
"""
FILES = ("record.json", "figure.png", "report.html")
_UNFINISHED = ".unfinished"
"""Lies in the folder until all results are written, and holds the command, which alone may complete them."""
DRAWN = "grid.png, depths.png"
CURES = {
    **data_cures(lambda name: f"--{name.replace('_', '-')}", originals="originals in a configuration"),
    "other-classes": "choose a classifier that was trained on these data, or map its classes with --classes",
}
SPLITS = ("test", "val", "train", "all")


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0.

    Raises:
        UsageError: the options are invalid; nothing has been measured.
        ColorCNNError: the data, the classifier or a method is damaged, or nothing could be measured.
    """
    options = _parse(argv)
    clock, command = Clock(), shlex.join(["colorcnn", "evaluate", *argv])
    sizes = _numbers(options.colors)
    published = _published(options.published)
    _check_out(options, command)
    asked = _config(options, sizes)
    _check_names(options, asked)
    from colorcnn.evaluation.loaded import load_evaluation
    from colorcnn.pretrained import find_device

    options.device = str(find_device(options.device))
    loaded = load_evaluation(dataclasses.replace(asked, device=options.device))
    for remark in loaded.remarks():
        _log.info(remark)
    with contextlib.nullcontext() if options.out is None else sole_writer(options.out):
        _check_out(options, command)  # once more: another process may have written results meanwhile
        _work(options, loaded, clock, command, published)
    return 0


def _work(
    options: argparse.Namespace, loaded: LoadedEvaluation, clock: Clock, command: str, published: Any
) -> None:
    """Measure, write the results and print them."""
    if options.cam:
        loaded.check_maps()
    config = {**loaded.record_config(), "methods": options.methods, "published": options.published}
    record = _earlier_record(options, command, config, loaded.libraries())
    if record is None:
        metrics = loaded.measure().to_json()
        if published is not None:
            metrics["published"] = published
        record = clock.record(
            command,
            n=len(loaded.split),
            metrics=metrics,
            config=config,
            seeds={"seed": options.seed},
            device=options.device,
            libraries=loaded.libraries(),
        )
    try:
        if options.out is not None:
            _draw_and_write(options, loaded, record)
    finally:  # on a full disk they are seen at least
        _print_results(options, record)


def _draw_and_write(options: argparse.Namespace, loaded: LoadedEvaluation, record: Record) -> None:
    from colorcnn.reporting.pictures import draw_pictures

    if options.cam and (loaded.data.multi_label or loaded.data.masks):
        _log.info("note: no activation maps are drawn where images have several labels.")
    drawn = draw_pictures(loaded, cam=options.cam)
    _write_results(options, record, {f"{name}.png": picture for name, picture in drawn.items()})


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn evaluate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("data", metavar="DATA", help="a known data set, found below the data root, or a folder of images")
    add(
        "--classifier",
        required=True,
        action="append",
        metavar="NAME",
        help="a pretrained name, a checkpoint folder, a Lightning .ckpt, or module:function for one's own; "
        "give it several times to compare classifiers, the first of which the main table is about",
    )
    add(
        "--classes",
        type=Path,
        metavar="JSON",
        help="for classifiers of other classes: a JSON object of the data's classes, each with one or "
        'several of the classifier\'s by number or name, such as {"cat": [281, "tiger cat"]}',
    )
    add(
        "--methods",
        default="median-cut,octree",
        metavar="NAME[:CHECKPOINT][+DITHER],...",
        help="what to compare, as --method of colorcnn quantize, or an image format: jpeg[:QUALITY], webp, "
        "avif, jpeg-xl, png (default: median-cut,octree)",
    )
    add(
        "--colors",
        default="2,4,8,16,32,64",
        metavar="N,...",
        help="the most colours an image keeps, each 1 to 256 (default: 2,4,8,16,32,64)",
    )
    _add_data_options(parser)
    _add_attack_options(parser)
    add_device_option(parser)
    add("--seed", type=int, default=0, metavar="N", help="for --limit and random methods (default: 0)")
    add(
        "--published",
        metavar="TABLE",
        help="set a paper's numbers beside the measured ones, such as cifar100-resnet18",
    )
    add("--cam", action="store_true", help="draw where the classifier looks, into the report and cam*.png")
    add("-o", "--out", type=Path, metavar="DIR", help=f"folder to write {', '.join(FILES)}, {DRAWN} into")
    add("--force", action="store_true", help="overwrite results that exist (default: refuse)")
    add("--json", action="store_true", help="print the record as JSON instead of the table")
    options = parser.parse_args(argv)
    check_at_least(1, **{"--limit": options.limit, "--batch-size": options.batch_size})
    check_at_least(0, **{"--seed": options.seed})
    _check_combinations(options)
    return options


def _check_combinations(options: argparse.Namespace) -> None:
    if options.attack is None:
        for name, value in (("--epsilon", options.epsilon), ("--attack-steps", options.attack_steps)):
            if value is not None:
                raise UsageError(f"{name} is given without an attack: add --attack pgd, or leave it out.")
    if options.cam and options.out is None:
        raise UsageError("--cam draws a picture: name a folder for it with --out.")


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--split", choices=SPLITS, default="test", help="all is every image (default: test)")
    add("--root", metavar="DIR", help="the data root (default: $COLORCNN_DATA, else data)")
    add("--download", action="store_true", help="fetch the data set when it is missing")
    add(
        "--image-size",
        type=int,
        metavar="N",
        help="bring images to N x N before they are quantized (default: the data set's own size)",
    )
    add(
        "--limit",
        type=int,
        metavar="N",
        help="a sample of N images, every class in proportion, drawn with --seed (default: all)",
    )
    add(
        "--on-corrupt",
        choices=("error", "skip"),
        help="refuse image files that cannot be read, or leave these out (default: error)",
    )
    add("--batch-size", type=int, default=128, metavar="N", help="images at a time (default: 128)")


def _add_attack_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--attack",
        metavar="NAME[:PATH],...",
        help="measure accuracy under attack, too: fgsm or pgd on the bare classifier; with :adaptive through "
        "each quantizer (straight-through), with :soft by the gradient of a learned one's soft image",
    )
    add("--epsilon", metavar="N,...", help="how much an attack may change a value, of 255 (default: 2,4,8)")
    add("--attack-steps", type=int, metavar="N", help="steps of PGD (default: 10)")


def _epsilons(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--epsilon is {text!r}: give whole numbers of 255, such as 2,4,8.") from error


def _numbers(text: str) -> list[int]:
    from colorcnn.quantizers import check_num_colors

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--colors is {text!r}: give whole numbers such as 2,4,8.") from error
    return sorted({check_num_colors(number) for number in numbers})


def _is_unfinished(folder: Path, command: str) -> bool:
    """Tell whether the same command was stopped while it wrote its results."""
    try:
        return (folder / _UNFINISHED).read_text() == command
    except (OSError, ValueError):
        return False


def _earlier_record(
    options: argparse.Namespace, command: str, config: Mapping[str, Any], libraries: Mapping[str, str]
) -> Record | None:
    """Read the record of the same command, if it was stopped behind its measurement.

    Args:
        options: of the command line.
        command: the command line.
        config: of the record; a changed classifier or data set has another.
        libraries: of the record's versions; those of codecs.
    """
    if options.out is None or options.force or not _is_unfinished(options.out, command):
        return None
    try:
        record = read_record(options.out / FILES[0])
    except ColorCNNError:
        return None
    now = {**versions(), **libraries}
    if (record.command, record.versions) != (command, now) or record.config != _as_json(config):
        return None
    _log.info(f"note: {options.out / FILES[0]} was measured already; what is missing beside it is drawn.")
    return record


def _as_json(config: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(config))


def _check_out(options: argparse.Namespace, command: str) -> None:
    """Find out before the work, not after it, whether its results would have a place."""
    if options.out is None:
        return
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"{options.out} is a file: name a folder with --out.")
    if not options.force and not _is_unfinished(options.out, command):
        from colorcnn.reporting.naming import PICTURES

        for name in (*FILES, *(f"{picture}.png" for picture in PICTURES)):
            refuse_existing(options.out / name)


def _published(name: str | None) -> dict[str, object] | None:
    from colorcnn.reporting.published import published_table

    return None if name is None else published_table(name).to_json()


def _config(options: argparse.Namespace, sizes: list[int]) -> EvaluationConfig:
    from colorcnn.evaluation.config import EvaluationConfig

    names = [name.strip() for name in options.methods.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--methods is {options.methods!r}: name at least one, such as median-cut.")
    return EvaluationConfig(
        data=options.data,
        classifier={name: name for name in options.classifier},
        methods={name: name for name in names},
        colors=sizes,
        split=options.split,
        classes=_class_map(options.classes),
        limit=options.limit,
        seed=options.seed,
        batch_size=options.batch_size,
        device=options.device,
        options=_data_options(options),
        **_attack(options),
    )


def _class_map(path: Path | None) -> dict[str, list[int | str]] | None:
    if path is None:
        return None
    from colorcnn.class_map import read_class_map

    return read_class_map(path)


def _check_names(options: argparse.Namespace, config: EvaluationConfig) -> None:
    """Refuse unknown data, classifiers, methods and attacks before anything heavy is imported."""
    from colorcnn.data.registry import check_data
    from colorcnn.evaluation.attack_options import check_epsilons, split_attack
    from colorcnn.evaluation.codecs import find_codecs
    from colorcnn.methods import parse_method
    from colorcnn.pretrained import check_classifier

    check_data(options.data, options.root)
    for name in options.classifier:
        check_classifier(name)
    for name in config.methods:
        if not find_codecs(name):
            parse_method(name)
    for name in config.attacks:
        split_attack(name, config.attack_steps)
    check_epsilons(config.epsilons)


def _data_options(options: argparse.Namespace) -> dict[str, Any]:
    chosen = {name: getattr(options, name) for name in ("root", "image_size", "download")}
    if options.on_corrupt is not None:
        from colorcnn.data import DATASETS
        from colorcnn.data.folders import FolderModule

        if not issubclass(DATASETS.get(options.data, FolderModule), FolderModule):
            raise UsageError(f"{options.data} is not a data set of image files: leave --on-corrupt out.")
        chosen["on_corrupt"] = options.on_corrupt
    return chosen


def _attack(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of attacks, if there is an attack."""
    if options.attack is None:
        return {}
    asked: dict[str, Any] = {"attacks": [name.strip() for name in options.attack.split(",")]}
    if options.epsilon is not None:
        asked["epsilons"] = _epsilons(options.epsilon)
    if options.attack_steps is not None:
        asked["attack_steps"] = options.attack_steps
    return asked


def _print_results(options: argparse.Namespace, record: Record) -> None:
    from colorcnn.reporting.page import summary
    from colorcnn.reporting.tables.evaluation import text_tables

    if options.json:
        print(record.to_json(), end="")
        return
    print(summary(record), end="\n\n")
    print(text_tables(record.metrics))
    if options.limit == record.n:
        print(f"Measured on a sample of {record.n:,} images drawn with seed {options.seed}.")


def _write_results(options: argparse.Namespace, record: Record, pictures: Mapping[str, Picture]) -> None:
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.curves import both_curves
    from colorcnn.reporting.page import write_report

    record_path, figure_path, report_path = (options.out / name for name in FILES[:3])
    marker = options.out / _UNFINISHED
    overwrite = options.force or _is_unfinished(options.out, record.command)
    write_atomically(marker, record.command.encode())
    record.write(record_path, overwrite=overwrite)
    write_atomically(figure_path, to_png(both_curves(record.metrics)), overwrite=overwrite)
    for name, picture in pictures.items():
        write_atomically(options.out / name, picture.light, overwrite=overwrite)
    title = f"What a few colours keep of {record.config['data']}"
    shown = list(pictures.values())
    write_report(record, report_path, title=title, pictures=shown, overwrite=overwrite)
    marker.unlink(missing_ok=True)
    for path in (record_path, figure_path, *(options.out / name for name in pictures), report_path):
        _log.info(f"wrote {path}")
