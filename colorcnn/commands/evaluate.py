"""``colorcnn evaluate``: how well a classifier recognises images of a few colours, and what they cost."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.files import make_folder, refuse_existing, write_atomically
from colorcnn.records import Clock, Record

if TYPE_CHECKING:
    from torch import nn

    from colorcnn.data.base import ImageDataModule
    from colorcnn.data.datasets import ImageSplit
    from colorcnn.evaluation.report import Picture

DESCRIPTION = """\
Quantize a data set with several methods and numbers of colours, and measure what is left: how much of
it a classifier still recognises (with a 95 % interval), PSNR, SSIM, the colours really used, bits per
pixel of the PNG files, and the speed. Everything is measured on the pixels of the PNG files. The table
goes to standard output, progress and messages to standard error.
"""
EXAMPLES = """\
examples:
  colorcnn evaluate cifar10 --classifier resnet9-cifar10 --methods median-cut,octree,colorcnn-plus
  colorcnn evaluate photos/ --classifier mymodule:network --colors 2,4 --limit 1000 -o runs/photos
      photos/ holds test/<class>/<image>, or <class>/<image>; mymodule.py a function network()
  colorcnn evaluate cifar100 --classifier mine.ckpt --methods median-cut --published cifar100-resnet18

exit status: 0 when something was measured, 1 when the work failed, 2 for a wrong option.
"""
FILES = ("record.json", "figure.png", "report.html")
SHOWN_IMAGES = 8
SHOWN_SIZES = 2


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0.

    Raises:
        UsageError: the options cannot be meant; nothing has been measured.
        ColorCNNError: the data, the classifier or a method is damaged, or nothing could be measured.
    """
    options = _parse(argv)
    clock = Clock()
    sizes = _numbers(options.colors)
    published = _published(options.published)
    _check_out(options)
    methods = _load_methods(options)
    with _told_in_our_options():
        data = _open_data(options)
        split = _open_split(data, options)
    classifier = _load_classifier(options, data)
    if options.out is not None:
        make_folder(options.out)
    metrics = _measure(options, methods, classifier, data, split, sizes)
    if published is not None:
        metrics["published"] = published
    record = clock.record(
        shlex.join(["colorcnn", "evaluate", *argv]),
        n=len(split),
        metrics=metrics,
        config=_config(options, data, split, sizes),
        seeds={"seed": options.seed},
        device=options.device,
    )
    _print_results(options, record)
    if options.out is not None:
        _write_results(options, record, _pictures(options, methods, classifier, data, split, metrics))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
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
        metavar="NAME",
        help="a pretrained name, a checkpoint folder, a Lightning .ckpt, or module:function for one's own",
    )
    add(
        "--methods",
        default="median-cut,octree",
        metavar="NAME[:CHECKPOINT][+DITHER],...",
        help="what to compare, as --method of colorcnn quantize (default: median-cut,octree)",
    )
    add(
        "--colors",
        default="2,4,8,16,32,64",
        metavar="N,...",
        help="the most colours an image keeps, each 1 to 256 (default: 2,4,8,16,32,64)",
    )
    _add_data_options(parser)
    add("--device", default="cpu", help="where networks compute: cpu, cuda, cuda:1 ... (default: cpu)")
    add("--seed", type=int, default=0, metavar="N", help="for --limit and random methods (default: 0)")
    add(
        "--published",
        metavar="TABLE",
        help="set a paper's numbers beside the measured ones, such as cifar100-resnet18",
    )
    add("-o", "--out", type=Path, metavar="DIR", help=f"folder to write {', '.join(FILES)} into")
    add("--force", action="store_true", help="overwrite results that exist (default: refuse)")
    add("--json", action="store_true", help="print the record as JSON instead of the table")
    options = parser.parse_args(argv)
    for name, value, least in (
        ("--limit", options.limit, 1),
        ("--batch-size", options.batch_size, 1),
        ("--seed", options.seed, 0),
    ):
        if value is not None and value < least:
            raise UsageError(f"{name} is {value}: choose a whole number from {least} up.")
    return options


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--split", choices=("test", "val", "train"), default="test", help="(default: test)")
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


def _numbers(text: str) -> list[int]:
    from colorcnn.quantizers import check_num_colors

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--colors is {text!r}: give whole numbers such as 2,4,8.") from error
    return sorted({check_num_colors(number) for number in numbers})


def _check_out(options: argparse.Namespace) -> None:
    """Find out before the work, not after it, whether its results would have a place."""
    if options.out is None:
        return
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"{options.out} is a file: name a folder with --out.")
    if not options.force:
        for name in FILES:
            refuse_existing(options.out / name)


def _published(name: str | None) -> dict[str, object] | None:
    from colorcnn.evaluation.published import published_table

    return None if name is None else published_table(name).to_json()


def _load_methods(options: argparse.Namespace) -> dict[str, Any]:
    from colorcnn import zoo

    zoo.find_device(options.device)
    names = [name.strip() for name in options.methods.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--methods is {options.methods!r}: name at least one, such as median-cut.")
    return {name: zoo.load_quantizer(name, options.device, options.seed) for name in names}


def _load_classifier(options: argparse.Namespace, data: ImageDataModule) -> nn.Module:
    from colorcnn import zoo

    classifier = zoo.load_classifier(options.classifier, data.num_classes)
    told = getattr(classifier, "num_classes", data.num_classes)
    if told != data.num_classes:
        raise UsageError(
            f"{options.classifier} tells {told} classes apart and {data.name} has {data.num_classes}: "
            "choose a classifier that was trained on these data."
        )
    return classifier


def _open_data(options: argparse.Namespace) -> ImageDataModule:
    from colorcnn.data import DATASETS, open_data
    from colorcnn.data.folders import FolderModule

    chosen = {name: getattr(options, name) for name in ("root", "batch_size", "image_size", "download")}
    if options.on_corrupt is not None:
        if not issubclass(DATASETS.get(options.data, FolderModule), FolderModule):
            raise UsageError(f"{options.data} is not a data set of image files: leave --on-corrupt out.")
        chosen["on_corrupt"] = options.on_corrupt
    return open_data(options.data, **chosen)


@contextlib.contextmanager
def _told_in_our_options() -> Iterator[None]:
    """Name the data sets' options in errors as this command has them: they speak to `colorcnn fit`."""
    try:
        yield
    except ColorCNNError as error:
        told = re.sub(
            r"--data\.init_args\.(\w+)( true)?",
            lambda match: f"--{match[1].replace('_', '-')}",
            str(error),
        )
        raise type(error)(told) from error


def _open_split(data: ImageDataModule, options: argparse.Namespace) -> ImageSplit:
    """The split to measure on, or the sample of it that --limit draws."""
    from colorcnn.data.sampling import stratified_cut

    split = getattr(data, options.split)
    if options.limit is None or options.limit >= len(split):
        return split
    return split.take(stratified_cut(split.labels.numpy(), options.limit, options.seed)[1])


def _measure(
    options: argparse.Namespace,
    methods: Mapping[str, Any],
    classifier: nn.Module,
    data: ImageDataModule,
    split: ImageSplit,
    sizes: list[int],
) -> dict[str, Any]:
    from torch.utils.data import DataLoader

    from colorcnn.data.datasets import as_is
    from colorcnn.evaluation.evaluate import evaluate

    for name, quantizer in methods.items():
        trained = getattr(getattr(quantizer, "quantizer", quantizer), "trained_sizes", ())
        strange = [str(size) for size in sizes if trained and size not in trained]
        if strange:
            _say(f"note: {name} was not trained for {', '.join(strange)} colours.")
    loader = DataLoader(split, batch_size=options.batch_size, collate_fn=as_is)
    result = evaluate(methods, classifier, loader, sizes, device=options.device, num_classes=data.num_classes)
    if not any(result.scores.values()):
        reasons = [why for refused in result.unavailable.values() for why in refused.values()]
        raise ColorCNNError(f"No method can give any of these numbers of colours: {reasons[0]}")
    return result.to_json()


def _config(
    options: argparse.Namespace, data: ImageDataModule, split: ImageSplit, sizes: list[int]
) -> dict[str, Any]:
    return {
        "data": data.name,
        "split": options.split,
        "split_key": split.key,
        "image_size": list(split.image_size),
        "limit": options.limit,
        "classifier": options.classifier,
        "methods": options.methods,
        "colors": sizes,
        "batch_size": options.batch_size,
        "published": options.published,
    }


def _print_results(options: argparse.Namespace, record: Record) -> None:
    from colorcnn.evaluation.report import summary
    from colorcnn.evaluation.table import text_table

    if options.json:
        print(record.to_json(), end="")
        return
    print(summary(record), end="\n\n")
    print(text_table(record.metrics))
    if options.limit == record.n:
        print(f"Measured on a sample of {record.n:,} images drawn with seed {options.seed}.")


def _pictures(
    options: argparse.Namespace,
    methods: Mapping[str, Any],
    classifier: nn.Module,
    data: ImageDataModule,
    split: ImageSplit,
    metrics: Mapping[str, Any],
) -> list[Picture]:
    """A grid of some images; none for several labels."""
    if data.multi_label:
        return []
    from colorcnn.evaluation.gallery import grid_picture

    sizes = metrics["sizes"][:SHOWN_SIZES]
    return [
        grid_picture(
            methods, classifier, split, data.class_names, sizes, count=SHOWN_IMAGES, device=options.device
        )
    ]


def _write_results(options: argparse.Namespace, record: Record, pictures: list[Picture]) -> None:
    from colorcnn.evaluation.figures import both_curves, to_png
    from colorcnn.evaluation.report import write_report

    record_path, figure_path, report_path = (options.out / name for name in FILES)
    record.write(record_path, overwrite=options.force)
    write_atomically(figure_path, to_png(both_curves(record.metrics)), overwrite=options.force)
    title = f"What a few colours keep of {record.config['data']}"
    write_report(record, report_path, title=title, pictures=pictures, overwrite=options.force)
    for path in (record_path, figure_path, report_path):
        _say(f"wrote {path}")


def _say(message: str) -> None:
    print(f"colorcnn: {message}", file=sys.stderr)
