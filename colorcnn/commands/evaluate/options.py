"""The options of ``colorcnn evaluate``: the parser, and the evaluation that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.commands.console import Parser, add_device_option
from colorcnn.commands.evaluate.results import DRAWN, FILES
from colorcnn.errors import UsageError, check_at_least

if TYPE_CHECKING:
    from colorcnn.evaluation.config import EvaluationConfig

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
SPLITS = ("test", "val", "train", "all")


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the arguments, and refuse options that conflict."""
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


def to_config(options: argparse.Namespace) -> EvaluationConfig:
    """Return the evaluation that the options ask for."""
    from colorcnn.evaluation.config import EvaluationConfig

    names = [name.strip() for name in options.methods.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--methods is {options.methods!r}: name at least one, such as median-cut.")
    return EvaluationConfig(
        data=options.data,
        classifier={name: name for name in options.classifier},
        methods={name: name for name in names},
        colors=_numbers(options.colors),
        split=options.split,
        classes=_class_map(options.classes),
        limit=options.limit,
        seed=options.seed,
        batch_size=options.batch_size,
        device=options.device,
        options=_data_options(options),
        **_attack(options),
    )


def _numbers(text: str) -> list[int]:
    from colorcnn.quantizers import check_num_colors

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--colors is {text!r}: give whole numbers such as 2,4,8.") from error
    return sorted({check_num_colors(number) for number in numbers})


def _class_map(path: Path | None) -> dict[str, list[int | str]] | None:
    if path is None:
        return None
    from colorcnn.class_map import read_class_map

    return read_class_map(path)


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


def _epsilons(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--epsilon is {text!r}: give whole numbers of 255, such as 2,4,8.") from error


def check_names(options: argparse.Namespace, config: EvaluationConfig) -> None:
    """Refuse unknown data, classifiers, methods and attacks before anything heavy is imported.

    Args:
        options: as :func:`parse` returns them.
        config: the evaluation that they ask for.
    """
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


def published_numbers(name: str | None) -> dict[str, object] | None:
    """Return the numbers of a paper's table, if one is named."""
    from colorcnn.reporting.published import published_table

    return None if name is None else published_table(name).to_json()
