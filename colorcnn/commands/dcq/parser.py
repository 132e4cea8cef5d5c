"""The parser of ``colorcnn dcq``."""

from __future__ import annotations

import argparse
from pathlib import Path

from colorcnn.commands.console import Parser, check_seed
from colorcnn.commands.dcq.options import add_build_options, add_data_options, add_jobs_option
from colorcnn.dcq.formats import EXPORTS
from colorcnn.errors import UsageError

DESCRIPTION = """\
Compress a training set by reducing its colours (Dataset Color Quantization), and train from the result.
"""
EXAMPLES = """\
examples:
  colorcnn dcq build cifar10 --bits 2 -o small
      4 colours per image; a stopped build resumes when run again
  colorcnn dcq build cifar10 --bits 2 --clusters 20 --classifier resnet9-cifar10 -o small
      as in the paper: 20 palettes of 4 colours for all training images
  colorcnn dcq build photos/ --shorter-side 256 -o small
  colorcnn dcq build cifar10 --method median-cut -o small      a palette for each image
  colorcnn fit --config mine.yaml --data QuantizedFolder --data.init_args.root small
  colorcnn dcq verify small
  colorcnn dcq export small -o pngs                            folders of indexed PNG files
  colorcnn dcq recode cifar10 --format jpeg --bytes 120 -o jpegs     files to compare a store with
  colorcnn fit --config mine.yaml --data RecodedFolder --data.init_args.root jpegs \\
      --data.init_args.originals cifar10

`colorcnn dcq COMMAND --help` lists the options. Exit status: 0, 1 when the work failed or a store is damaged,
2 for a wrong option.
"""

_BUILD = """\
Reduce the images of a training set to a few colours and write them to a store. The test split of a data set
is not used, if it has one; all other images are. A stopped build resumes when the same command is run again.
"""
_BUILD_EXAMPLES = """\
  colorcnn dcq build cifar10 --bits 2 -o small
  colorcnn dcq build photos/ --shorter-side 256 -o small
  colorcnn dcq build photos/ --test-size 0.2 -o small       leave a fifth out, as evaluate does by default"""
_EXPORT = """\
Write the images of a store as indexed PNG files for other libraries: a folder for each class, or archives of
many images. Labels, the names of classes and the names of the images' files are kept.
"""
_EXPORT_EXAMPLES = """\
  colorcnn dcq export small -o pngs                      torchvision.datasets.ImageFolder("pngs")
  colorcnn dcq export small --format webdataset -o tars  webdataset.WebDataset("tars/shard-000000.tar")
  colorcnn dcq export small --format parquet -o rows     datasets.load_dataset("rows")
  colorcnn dcq export small --format litdata -o chunks   litdata.StreamingDataset("chunks")"""
_VERIFY = "Read a whole store and compare it with its checksums."
_RECODE = "Write the training images in another format, with the best quality for a given size."
_RECODE_EXAMPLES = """\
  colorcnn dcq recode cifar10 --format jpeg --bytes 120 -o jpegs
  colorcnn dcq recode photos/ --format webp --quality 60 -o webps"""
_WORKED = "0, 1 when the work failed, 2 for a wrong option, 130 and 143 when it was stopped."
_STATUS = {
    "build": _WORKED,
    "export": _WORKED,
    "recode": _WORKED,
    "verify": "0 when the store is whole, 1 when it is damaged, 2 for a wrong option.",
}


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the arguments, and raise UsageError if an option is invalid. They are kept as ``argv``."""
    options = _parser().parse_args(argv)
    options.argv = argv
    check_seed(getattr(options, "seed", 0))
    options.jobs = _jobs(options)
    return options


def _jobs(options: argparse.Namespace) -> int | None:
    """Return the number of parallel jobs; None lets the workers of --parallel decide it."""
    jobs: int | None = getattr(options, "jobs", None)
    if jobs == 0:
        raise UsageError("--jobs is 0: give the number of parallel jobs, or -1 for one per core.")
    if getattr(options, "parallel", None) is None:
        return -1 if jobs is None else jobs
    if jobs is not None:
        raise UsageError("--jobs counts threads, which --parallel replaces: remove one of them.")
    return None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="colorcnn dcq", description=DESCRIPTION, epilog=EXAMPLES)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add_command(name: str, summary: str, description: str, examples: str) -> argparse.ArgumentParser:
        epilog = f"examples:\n{examples}\n\nexit status: {_STATUS[name]}"
        return commands.add_parser(name, help=summary, description=description, epilog=epilog)

    add_build_options(add_command("build", "quantize a training set into a store", _BUILD, _BUILD_EXAMPLES))
    export = add_command(
        "export", "write a store for other libraries: PNG, WebDataset, Parquet", _EXPORT, _EXPORT_EXAMPLES
    )
    export.add_argument("store", type=Path, metavar="DIR", help="the store")
    export.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    export.add_argument(
        "--format",
        default=EXPORTS[0],
        metavar="NAME",
        help=f"{', '.join(EXPORTS[:-1])} or {EXPORTS[-1]} (default: {EXPORTS[0]})",
    )
    add_jobs_option(export)
    verify = add_command("verify", "look for damage in a store", _VERIFY, "  colorcnn dcq verify small")
    verify.add_argument("store", type=Path, metavar="DIR", help="the store")
    again = add_command(
        "recode", "write training images as JPEG, WebP or PNG of a given size", _RECODE, _RECODE_EXAMPLES
    )
    add_data_options(again)
    again.add_argument(
        "--format", required=True, metavar="NAME", help="jpeg, webp, png, or source for the files as they are"
    )
    again.add_argument(
        "--bytes",
        type=float,
        metavar="N",
        help="maximum mean bytes per image, without headers and tables that the files could share",
    )
    again.add_argument("--quality", type=int, metavar="N", help="quality from 1 to 95, in place of --bytes")
    again.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    add_jobs_option(again)
    return parser
