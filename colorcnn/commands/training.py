"""Help and checks of ``colorcnn fit|validate|test|predict`` that import nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from colorcnn.commands.fit_arguments import COMMON, OWN, PLACES, prepare_arguments
from colorcnn.commands.messages import data_cures
from colorcnn.errors import UnknownName, UsageError, named_by_option

CURES = data_cures(lambda name: f"--data.init_args.{name}")
HELP_ALL = "--help-all"
_OURS = ("--device", "--allow-module", "--allow_module", "-c")
_OURS_OF_FIT = ("--parallel",)

ABOUT = {
    "fit": "Train a network as a YAML file describes it. The run's folder is runs/NAME. It keeps the\n"
    "checkpoints best.ckpt and last.ckpt, the configuration, and scores and pictures for TensorBoard\n"
    "(or for another logger: trainer.logger).",
    "validate": "Score a checkpoint of a run on the validation split.",
    "test": "Score a checkpoint of a run on the test split.",
    "predict": "Run a checkpoint over the test split. A quantizer writes indexed PNG files, a classifier a\n"
    "table of predictions, into runs/NAME/predictions. Files keep the names of the images.",
}
EXAMPLES = {
    "fit": """\
  colorcnn init photos                                    write the YAML files for a folder of images
  colorcnn fit --config photos-classifier.yaml
  colorcnn fit --config cifar10-jpeg_resnet9              a training of the package, by its name
  colorcnn fit --config mine.yaml --trainer.max_epochs 5 --data.init_args.batch_size 64 --name short
  colorcnn fit --config mine.yaml --ckpt_path last        resume
  colorcnn fit --model.help ColorCNNTask                  describe all options of a task""",
    "validate": "  colorcnn validate --config runs/mine/config.yaml",
    "test": "  colorcnn test --config runs/mine/config.yaml\n"
    "  colorcnn test --config runs/mine/config.yaml --ckpt_path last",
    "predict": "  colorcnn predict --config runs/mine/config.yaml",
}
HELP = """\
usage: colorcnn {name} --config FILE|NAME [OPTION ...]

{about}

options:
  -h, --help            print this help
  {help_all}            print every option of Lightning's parser, too; takes some seconds
  -c, --config FILE|NAME
                        a YAML file of `kind: fit`, or a training of the package; later files win
  --name NAME           the run's folder below runs/ (default: the configuration's name)
  --force               start again if a run of this name exists (default: refuse)
  --device auto|cpu|cuda|mps
                        device of the networks; auto is a GPU if there is one (default: auto)
  --ckpt_path last|best|FILE
                        the checkpoint: fit resumes from it, others load it (default: none for fit, else best)
  --seed_everything N   seed of everything random (default: the configuration's, else 0)
  --model CLASS, --model.init_args.NAME VALUE
                        the task and its options: ClassifierTask, ColorCNNTask or VQTask;
                        --model.help CLASS describes them
  --data CLASS, --data.init_args.NAME VALUE
                        the data set and its options; --data.help CLASS describes them
  --trainer.NAME VALUE  option of the trainer, such as --trainer.max_epochs 10 --trainer.precision 32-true
  --print_config        print the whole configuration and stop
  --allow-module NAME   let the configuration use classes of this module, whose code is run; can be repeated
{own}
examples:
{examples}

A configuration names classes of colorcnn, torch, torchvision and pytorch_lightning. Other modules run code
that you must trust: --allow-module allows one, only on the command line.

exit status: 0 when the work is done, 1 when it failed, 2 for a wrong option, 130 and 143 when it was stopped.
"""
_OWN_HELP = {
    "--parallel": """\
  --parallel N|dask://HOST:PORT|ray
                        make imitation targets and start palettes in N processes, or by the workers of a
                        Dask or Ray cluster (default: in threads); the training is not affected
""",
    "--verbose": "  --verbose false       do not print the table of scores\n",
    "--return_predictions": "",  # of use only to Python callers of Lightning
}


def main(argv: list[str]) -> int:
    """Run ``colorcnn fit|validate|test|predict``.

    Args:
        argv: the sub-command and its options.

    Returns:
        The exit status.

    Raises:
        ColorCNNError: the user can fix the problem.
    """
    if any(word in ("-h", "--help") for word in argv[1:]):
        print(help_of(argv[0]), end="")
        return 0
    argv = ["--help" if word == HELP_ALL else word for word in argv]
    if "--help" not in argv:
        check_arguments(argv)
    from colorcnn.commands import lightning

    return lightning.main(argv)


def help_of(name: str) -> str:
    """Return the help of a sub-command.

    Args:
        name: a key of :data:`OWN`.
    """
    options = sorted({*OWN[name], *(_OURS_OF_FIT if name == "fit" else ())})
    own = "".join(_OWN_HELP[option] for option in options)
    return HELP.format(name=name, about=ABOUT[name], examples=EXAMPLES[name], own=own, help_all=HELP_ALL)


def check_arguments(argv: Sequence[str]) -> None:
    """Raise if an option is unknown, a file is missing, or there is no configuration.

    Args:
        argv: the sub-command and its options.

    Raises:
        UsageError: an option or a file is invalid.
        ColorCNNError: a configuration file cannot be read.
    """
    from colorcnn.reproduce.yaml_file import read_yaml

    name, options = argv[0], [word.partition("=")[0] for word in argv[1:] if word.startswith("-")]
    known = {*COMMON, *OWN[name], *_OURS, *(_OURS_OF_FIT if name == "fit" else ())}
    for option in options:
        below = option.partition(".")[0].rstrip("+")
        if option.startswith("--") and option not in known and below not in PLACES:
            raise UnknownName(f"option of {name}", option, {*known, *PLACES, "--help", HELP_ALL})
    words = prepare_arguments(argv)
    files = [Path(after) for word, after in pairwise(words) if word == "--config"]
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} does not exist: give a YAML file, or the name of a training.")
        with named_by_option():
            read_yaml(file)
    asked = {option.partition(".")[0] for option in options}
    explains = any(option.endswith(".help") or option == "--print_config" for option in options)
    if not files and not explains and not {"--model", "--data"} <= asked:
        raise UsageError(f"{name} has no configuration: give --config FILE or NAME, or --model and --data.")
