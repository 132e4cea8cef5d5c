"""The options of ``colorcnn evaluate``: the parser, and the configuration of the evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from colorcnn.commands.console import Parser, add_device_option, add_root_options
from colorcnn.commands.evaluate.results import FILES
from colorcnn.errors import UsageError, check_at_least, named_by_option
from colorcnn.evaluation.config import BATCH_SIZE, PALETTE_SIZES, SPLITS, EvaluationConfig

DESCRIPTION = """\
Quantize a data set with several methods and numbers of colours, and measure the result: how many images a
classifier still recognises (with a 95 % interval), PSNR, SSIM, the colours used, bits per pixel of the files,
and the speed. Everything is measured on the pixels of the PNG files. Methods are compared with the first one
by an exact test on the same images. The table goes to standard output, progress and messages to standard
error.
"""
EXAMPLES = """\
examples:
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --methods median-cut,octree,colorcnn-plus
  colorcnn evaluate photos/ --classifier mymodule:network --colors 2,4 --limit 1000 -o runs/photos
      photos/ holds test/<class>/<image>, or <class>/<image>; mymodule.py a function network()
  colorcnn evaluate photos/ --split all --classifier torchvision:resnet18 --classes map.json
      an ImageNet network on your own folders, with all images
  colorcnn evaluate cifar100 --classifier mine.ckpt --methods median-cut --published cifar100-resnet18
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --methods colorcnn-plus,jpeg,webp,png
      quantizers and image codecs: jpeg:30 is one quality, jpeg is several; file sizes include headers
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --colors 4,16 --attack pgd:adaptive --limit 1000
      accuracy under attack: pgd attacks the classifier alone, pgd:adaptive also the quantizer
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --classifier mine.ckpt --methods colorcnn-plus
      every method with every classifier, also with one that the quantizer was not trained for

exit status: 0 when the results are written, 1 when the work failed, 2 for a wrong option.
"""
_SIZES = ",".join(map(str, PALETTE_SIZES))


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the arguments, and raise if options conflict."""
    parser = Parser(
        prog="colorcnn evaluate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("data", metavar="DATA", help="a known data set, found below the data root, or a folder of images")
    add(
        "--classifier",
        required=True,
        action="append",
        metavar="NAME",
        help="a pretrained name, a checkpoint folder, a Lightning .ckpt, or module:function; "
        "repeat the option to compare classifiers; the main table uses the first one",
    )
    add(
        "--classes",
        type=Path,
        metavar="JSON",
        help="for classifiers with other classes: a JSON object from each class of the data to one or "
        'several of the classifier\'s classes, by number or name: {"cat": [281, "tiger cat"]}',
    )
    add(
        "--methods",
        default="median-cut,octree",
        metavar="NAME[:CHECKPOINT][+DITHER],...",
        help="methods as in --method of colorcnn quantize, or image formats: jpeg[:QUALITY], webp, "
        "avif, jpeg-xl, png (default: median-cut,octree)",
    )
    add(
        "--colors",
        default=_SIZES,
        metavar="N,...",
        help=f"maximum numbers of colours of an image, each 1 to 256 (default: {_SIZES})",
    )
    _add_data_options(parser)
    _add_attack_options(parser)
    add_device_option(parser, several=True)
    add("--seed", type=int, default=0, metavar="N", help="seed of --limit and random methods (default: 0)")
    add(
        "--published",
        metavar="TABLE",
        help="add a paper's numbers in extra columns, such as cifar100-resnet18",
    )
    add("--cam", action="store_true", help="draw class activation maps, into the report and cam*.png")
    add("-o", "--out", type=Path, metavar="DIR", help=f"folder to write {', '.join(FILES)} and images into")
    add("--force", action="store_true", help="overwrite results that exist (default: refuse)")
    add("--json", action="store_true", help="print the record as JSON instead of the table")
    options = parser.parse_args(argv)
    check_at_least(1, **{"--limit": options.limit, "--batch-size": options.batch_size})
    check_at_least(0, **{"--seed": options.seed})
    _check_combinations(options)
    return options


def _check_combinations(options: argparse.Namespace) -> None:
    if options.attack is None:
        for name in ("epsilon", "attack_steps", "attack_queries"):
            if getattr(options, name) is not None:
                name = f"--{name.replace('_', '-')}"
                raise UsageError(f"{name} is given without an attack: add --attack pgd, or remove {name}.")
    if options.cam and options.out is None:
        raise UsageError("--cam writes images: give a folder with --out.")


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--split", choices=SPLITS, default="test", help="all is every image (default: test)")
    add_root_options(parser)
    add(
        "--image-size",
        type=int,
        metavar="N",
        help="scale images to N x N before quantization (default: the data set's own size)",
    )
    add(
        "--limit",
        type=int,
        metavar="N",
        help="use a random sample of N images, stratified by class (default: all)",
    )
    add(
        "--on-corrupt",
        choices=("error", "skip"),
        help="stop at image files that cannot be read, or skip them (default: error)",
    )
    add(
        "--batch-size",
        type=int,
        default=BATCH_SIZE,
        metavar="N",
        help=f"images per batch (default: {BATCH_SIZE})",
    )


def _add_attack_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--attack",
        metavar="NAME[:PATH],...",
        help="measure accuracy under attack, too: fgsm, pgd or square (which needs no gradient) on the "
        "classifier alone; with :adaptive through each quantizer (straight-through), with :soft through the "
        "soft images of learned ones",
    )
    add(
        "--epsilon",
        metavar="N,...",
        help="largest change of a value by an attack, in 0 to 255 (default: 2,4,8)",
    )
    add("--attack-steps", type=int, metavar="N", help="number of PGD steps (default: 10)")
    add("--attack-queries", type=int, metavar="N", help="queries of square for each image (default: 200)")


def to_config(options: argparse.Namespace) -> EvaluationConfig:
    """Return the evaluation that the options describe."""
    names = [name.strip() for name in options.methods.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--methods is {options.methods!r}: give at least one, such as median-cut.")
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

    with named_by_option():
        return read_class_map(path)


def _data_options(options: argparse.Namespace) -> dict[str, Any]:
    chosen = {name: getattr(options, name) for name in ("root", "image_size", "download")}
    if options.on_corrupt is not None:
        from colorcnn.data import DATASETS
        from colorcnn.data.folders import FolderModule

        if not issubclass(DATASETS.get(options.data, FolderModule), FolderModule):
            raise UsageError(f"{options.data} is not a data set of image files: remove --on-corrupt.")
        chosen["on_corrupt"] = options.on_corrupt
    return chosen


def _attack(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of attacks, if there is an attack."""
    if options.attack is None:
        return {}
    chosen: dict[str, Any] = {"attacks": [name.strip() for name in options.attack.split(",")]}
    if options.epsilon is not None:
        chosen["epsilons"] = _epsilons(options.epsilon)
    for name in ("attack_steps", "attack_queries"):
        if (value := getattr(options, name)) is not None:
            chosen[name] = value
    return chosen


def _epsilons(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--epsilon is {text!r}: give whole numbers from 0 to 255, such as 2,4,8."
        ) from error


def check_names(options: argparse.Namespace, config: EvaluationConfig) -> None:
    """Raise if data, classifiers, methods or attacks are unknown, before heavy imports.

    Args:
        options: the result of :func:`parse`.
        config: the evaluation that the options describe.
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
        split_attack(name, config.attack_steps, config.attack_queries)
    check_epsilons(config.epsilons)


def published_numbers(name: str | None) -> dict[str, object] | None:
    """Return the numbers of a published table, or None without a name."""
    from colorcnn.reporting.published import published_table

    return None if name is None else published_table(name).to_json()
