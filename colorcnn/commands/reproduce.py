"""``colorcnn reproduce``: an experiment from its first training to its record, table and figure."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from colorcnn import trust
from colorcnn.commands.console import Parser, add_device_option
from colorcnn.commands.messages import data_cures
from colorcnn.errors import UnknownName, UsageError

_log = logging.getLogger(__name__)

DESCRIPTION = """\
Run all stages of an experiment: train the classifier, train the quantizers, evaluate. Run the same command
again to resume: finished stages are not repeated. If you run it in several terminals, or on several machines
with a common file system, they share the work. At the end, the command writes a record, its figure and
its table. In the repository it also updates the tables of README.md, experiments/README.md and docs/.
"""
EXAMPLES = """\
examples:
  colorcnn reproduce --list                          all experiments, with measured and published numbers
  colorcnn reproduce plus-variants --list            one experiment in full
  colorcnn reproduce plus-variants                   the scale for a CPU
  colorcnn reproduce plus-variants --dry-run         its stages, what is done, and the expected time
  colorcnn reproduce accuracy-bits --scale paper --variant cifar10_resnet18 --seeds 3 --download
  colorcnn reproduce mine.yaml -o runs/mine          an experiment of your own

exit status: 0 when the records are written, 1 when a stage failed, 2 for a wrong option, 130 when
interrupted.
"""


_TRAIN_AGAIN = "delete its run's folder, then the same command trains again"
CURES = {
    **data_cures(lambda name: f"--{name}", "COLORCNN_DATA", "originals of the experiment"),
    "sizes-differ": "bring all to one size with image_size {size} in the experiment",
    "corrupt-images": "repair or remove them, or leave them out with on_corrupt: skip in the experiment",
    "damaged-checkpoint": _TRAIN_AGAIN,
    "other-network": _TRAIN_AGAIN,
    "no-variants": "leave out --variant",
}
"""Code of an error -> its cure in terms of this command's options."""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments of the command.

    Returns:
        0.

    Raises:
        UsageError: the experiment, its scale or an option is invalid.
        ColorCNNError: a stage failed, or there is a record of other work.
    """
    options = _parse(argv)
    from colorcnn.reproduce.places import experiment_files, results_folder

    results = options.results or results_folder(options.out)
    if options.list:
        from colorcnn.reproduce.listing import listing

        print(listing(results, options.name), end="")
        return 0
    if options.name is None:
        raise UsageError("No experiment is given: pass one of those that colorcnn reproduce --list shows.")
    files = experiment_files()
    if Path(options.name).suffix not in (".yaml", ".yml") and options.name not in files:
        raise UnknownName("experiment", options.name, files)
    from colorcnn.reproduce.library import find_experiment

    experiment = find_experiment(options.name)
    experiment.scale(options.scale)  # a wrong name fails before heavy imports
    from colorcnn.commands import lightning
    from colorcnn.records import read_record
    from colorcnn.reproduce.listing import dry_run, expected_time
    from colorcnn.reproduce.plan import Plan
    from colorcnn.reproduce.runner import Run
    from colorcnn.reproduce.stages import kind_of_record

    # Its messages on every training would hide ours.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    plan = Plan(experiment, options.scale, options.seeds, options.out, options.variant)
    if options.dry_run:
        print(dry_run(plan), end="")
        return 0
    _log.info(expected_time(plan))
    flags = {name: getattr(options, name) for name in ("device", "download", "force")}
    with trust.limited(options.allow_module):
        records = Run(plan=plan, results=results, fit=lightning.main, say=_log.info, **flags).run()
    for path in records:
        record = read_record(path)
        print(f"{path.stem}\n\n{kind_of_record(record).table(record)}")
    _render_pages(results)
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn reproduce",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="an experiment, or the path of a file of `kind: experiment`")
    add(
        *("--scale", "--size"),
        default="cpu",
        metavar="SCALE",
        help="cpu, or paper: as published, for a GPU (default: cpu); --size is the same",
    )
    add("--seeds", type=int, metavar="N", help="run the seeds 1 to N (default: the experiment's number)")
    add(
        *("--variant", "--panel"),
        metavar="NAME",
        help="run only this variant of the matrix, as --list names it; --panel is the same",
    )
    add("--list", action="store_true", help="list experiments and their numbers; run nothing")
    add(
        "--dry-run",
        action="store_true",
        help="print stages, progress and expected time; run nothing",
    )
    add(
        "-o",
        "--out",
        type=Path,
        default=Path("runs/reproduce"),
        metavar="RUNS",
        help="folder of trainings and measurements (default: runs/reproduce)",
    )
    add(
        "--results",
        type=Path,
        metavar="DIR",
        help="folder of records and figures (default: experiments/results, else RUNS/results)",
    )
    add_device_option(parser, default="auto")
    add("--download", action="store_true", help="download data sets that are missing")
    add(
        trust.OPTION,
        action="append",
        default=[],
        metavar="NAME",
        help="let the experiment run code of this module, too; can be repeated (default: only "
        "classes of colorcnn, torch, torchvision and pytorch_lightning)",
    )
    add("--force", action="store_true", help="replace records of other work (default: refuse)")
    options = parser.parse_args(argv)
    if options.seeds is not None:
        from colorcnn.reproduce.reading import check_seeds

        check_seeds(options.seeds, "--seeds")
    return options


def _render_pages(results: Path) -> None:
    """Render the tables of the repository's pages, if the records are the repository's."""
    from colorcnn.reproduce.pages import render_pages, repository_pages
    from colorcnn.reproduce.places import repository, results_folder

    home = repository()
    if home is None or results.resolve() != results_folder(results):
        return
    for page in render_pages(repository_pages(home), results):
        _log.info(f"updated the tables of {page}")
