"""The command line of ``fit`` before its parser: experiments by name, ``--force`` and ``--device``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from colorcnn.commands.console import check_device
from colorcnn.errors import UsageError, unknown_name
from colorcnn.parallel import parse_workers
from colorcnn.reproduce.places import experiments_folder
from colorcnn.reproduce.yaml_file import read_yaml

PLACES = ("--model", "--data", "--trainer", "--print_config")
"""Options with further options below them, or with a value after an equals sign."""

COMMON = frozenset(
    ("--config", "--seed_everything", "--name", "--force", "--kind", "--ckpt_path", "--weights_only")
)
OWN = {
    "fit": frozenset[str](),
    "validate": frozenset(("--verbose",)),
    "test": frozenset(("--verbose",)),
    "predict": frozenset(("--return_predictions",)),
}
"""Sub-command -> its options in addition to :data:`COMMON`."""
_CONFIG = ("--config", "-c")


def prepare_arguments(argv: Sequence[str]) -> list[str]:
    """Rewrite a command line for Lightning's parser.

    ``--config NAME`` becomes the file of that experiment in the package, ``--force`` alone becomes
    ``--force=true``, and ``--device NAME`` and ``--parallel WORKERS`` become options of the trainer.

    Args:
        argv: the sub-command and its options.

    Raises:
        UsageError: there is no experiment, device or kind of workers of that name.
    """
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if option in (*_CONFIG, "--device", "--parallel") and (equals or rest):
            value = value if equals else rest.pop(0)
            words += _REWRITTEN.get(option, _config)(value)
        elif word == "--force":
            given = rest and rest[0].lower() in ("true", "false")
            words.append(f"--force={rest.pop(0) if given else 'true'}")
        else:
            words.append(word)
    return words


def _device(name: str) -> list[str]:
    kind, _, index = check_device(name).partition(":")
    devices = [f"--trainer.devices=[{int(index)}]"] if index else []
    devices = ["--trainer.devices=1"] if kind == "cpu" else devices
    return [f"--trainer.accelerator={kind}", *devices]


def _workers(text: str) -> list[str]:
    parse_workers(text)
    return [f"--trainer.parallel={text}"]


def _config(name: str) -> list[str]:
    return ["--config", find_config(name)]


_REWRITTEN = {"--device": _device, "--parallel": _workers}


def find_config(name: str) -> str:
    """Return the path of a configuration: a file, or a training among the package's experiments.

    Args:
        name: the path of a file, or a name without a suffix.

    Raises:
        UsageError: there is no training of that name.
    """
    path = Path(name)
    if path.exists() or path.suffix or path.name != name:
        return name  # the parser reports a missing file
    trainings = {
        file.stem: file
        for file in sorted(experiments_folder().glob("*/*.yaml"))
        if read_yaml(file).get("kind") == "fit"
    }
    if name in trainings:
        return str(trainings[name])
    if any(experiments_folder().glob(f"*/{name}.yaml")):
        raise UsageError(f"{name} is an experiment of several stages: use `colorcnn reproduce {name}`.")
    raise unknown_name("configuration", name, trainings)


def resuming_command(argv: Sequence[str]) -> str:
    """Return the command that resumes a training from its last checkpoint.

    Args:
        argv: the sub-command and the options it was started with.
    """
    kept: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--ckpt_path" or (word == "--force" and words and words[0].lower() in ("true", "false")):
            words = words[1:]
        elif not word.startswith(("--ckpt_path=", "--force")):
            kept.append(word)
    return f"colorcnn {shlex.join([*kept, '--ckpt_path', 'last'])}"
