"""``colorcnn fit|validate|test|predict``: Lightning's command line over our tasks and data sets."""

from __future__ import annotations

import inspect
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.model_helpers import is_overridden

import colorcnn.data.compression
import colorcnn.data.datamodule
import colorcnn.data.quantized
import colorcnn.data.recoded
import colorcnn.tasks.classifier
import colorcnn.tasks.colorcnn
import colorcnn.tasks.dynamics
import colorcnn.tasks.vq  # noqa: F401 (imported so that configurations can use their classes)
from colorcnn import trust
from colorcnn.commands.config_classes import check_configs, limited_parser, refuse_hidden_classes
from colorcnn.commands.console import say
from colorcnn.commands.fit_arguments import prepare_arguments
from colorcnn.commands.fit_errors import explained, kept, quiet_lightning
from colorcnn.commands.flat_options import PARSER_MODE, flags_in_groups
from colorcnn.errors import ColorCNNError, UsageError, shortened
from colorcnn.reproduce.locks import ClaimedError, claimed
from colorcnn.tasks.base import Task
from colorcnn.tasks.callbacks import EpochSeed, Pictures, PredictionFiles, ScoreLog, predictions_folder
from colorcnn.tasks.classifier import ClassifierTask
from colorcnn.tasks.colorcnn import ColorCNNTask
from colorcnn.tasks.loggers import CheckpointFolder, FolderOnly
from colorcnn.tasks.options import DEFAULTS
from colorcnn.tasks.progress import (
    EpochLines,
    FirstSteps,
    ProbeClassifiers,
    best_checkpoint,
    warnings_about,
)
from colorcnn.tasks.trainer import Trainer
from colorcnn.tasks.vq import VQTask

RUNS = Path("runs")
_held = ExitStack()  # locks of runs, until the command ends
# Options of the tasks that decide which network is trained.
_DECISIVE = (
    *("network", "network_kwargs", "num_classes"),
    *("architecture", "quantizer_kwargs"),
    *("source_dimension", "method", "options", "trade_off"),
)
_SUBCOMMANDS = tuple(LightningCLI.subcommands())
_EPILOG = (
    "A configuration names classes of colorcnn, torch, torchvision and pytorch_lightning. Other modules run "
    "code that you must trust: --allow-module NAME allows a module and those below it. Give the option on "
    "the command line, once for each module; a configuration file cannot give it."
)


class _SaveFitConfig(SaveConfigCallback):
    """Callback that saves the configuration of a training. Testing must not overwrite it."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            super().setup(trainer, pl_module, stage)


def run_name(argv: list[str]) -> str:
    """Return a run's name: ``--name``, else the last ``--config`` without its suffix, else the subcommand."""
    values: dict[str, str] = {}
    for position, word in enumerate(argv):
        option, _, value = word.partition("=")
        if option in ("--name", "--config", "-c"):
            values[option.lstrip("-")[0]] = value or (argv[position + 1] if position + 1 < len(argv) else "")
    config = Path(values.get("c", argv[0] if argv else "run"))
    return values.get("n") or (config.parent.name if config.name == "config.yaml" else config.stem)


def trainer_defaults(name: str, runs: Path = RUNS) -> dict[str, Any]:
    """Return the trainer's options of a run. A configuration overrides them, except for the callbacks.

    Args:
        name: name of the run.
        runs: the folder of the runs' folders.
    """
    return {
        "default_root_dir": str(runs / name),
        "logger": {
            "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
            "init_args": {"save_dir": str(runs), "name": "", "version": name},
        },
        "enable_progress_bar": sys.stderr.isatty(),
        "enable_model_summary": sys.stderr.isatty(),
        "plugins": [{"class_path": "colorcnn.tasks.checkpoints.WholeCheckpoints"}],
        "callbacks": [
            CheckpointFolder(),
            EpochSeed(),
            ScoreLog(),
            Pictures(),
            PredictionFiles(),
            ProbeClassifiers(),
            *([] if sys.stderr.isatty() else [EpochLines(say)]),
            FirstSteps(),
            LearningRateMonitor("step"),
            ModelCheckpoint(
                filename="best",
                monitor="val/accuracy",
                mode="max",
                save_on_train_epoch_end=False,  # a run without validation images has no best epoch
                enable_version_counter=False,
            ),
            # On its own, because a monitored checkpoint's own `last` goes stale.
            ModelCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False),
        ],
    }


class ColorCNNCLI(LightningCLI):
    """Lightning's command line with named runs, and with resuming that never starts from scratch."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our options, and pass values of the data set to the task."""
        parser.add_argument(
            "--kind",
            type=Literal["fit"],
            default="fit",
            help="kind of the configuration file",
        )
        parser.add_argument(
            "--name",
            type=str | None,
            default=None,
            help="the run's folder below runs/ (default: the config's name)",
        )
        parser.add_argument(
            "--force",
            type=bool,
            default=False,
            help="start again if a run of this name exists; true without a value",
        )
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)
        for value in ("num_classes", "mean", "std", "multi_label", "source_dimension"):
            parser.link_arguments(f"data.{value}", f"model.init_args.{value}", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let a checkpoint's options override the configuration."""

    def before_instantiate_classes(self) -> None:
        """Raise if a class stands in place of a plain value."""
        refuse_hidden_classes(self.config[self.subcommand])

    def instantiate_classes(self) -> None:
        """Build the task, the data set and the trainer. Errors of their options become clear messages."""
        try:
            super().instantiate_classes()
        except (TypeError, LookupError, ArithmeticError, AttributeError, AssertionError) as error:
            reason = shortened(f"{type(error).__name__}: {error}", 200)
            raise UsageError(f"The configuration's values do not work ({reason}): correct them.") from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer. Its errors, such as a missing GPU, become clear messages."""
        try:
            return super().instantiate_trainer(**kwargs)
        except (ValueError, MisconfigurationException) as error:
            reason = shortened(str(error).strip().splitlines()[0].rstrip("."), 200)
            raise UsageError(f"The trainer's options do not work here ({reason}): change them.") from error

    def before_fit(self) -> None:
        """Resume from the requested checkpoint, or raise if a run would be overwritten."""
        self.config_init[self.subcommand]["weights_only"] = (
            True  # Lightning looks for checkpoints by itself, too
        )
        if not is_overridden("training_step", self.model):
            raise UsageError(
                f"{type(self.model).__name__} cannot be trained: name a task as model.class_path, such as "
                "ColorCNNTask or ClassifierTask."
            )
        self.model.check_trainer(self.trainer)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EpochSeed):
                callback.seed = self._get(self.config, "seed_everything")
        self._lock()
        if self._use_checkpoint() is None and not self._get(self.config, "force"):
            last = self._checkpoint("last")
            if last.exists() and not self._get(self.config_init, "trainer").fast_dev_run:
                raise ColorCNNError(
                    f"The run {last.parent.parent} exists: continue it with --ckpt_path last, choose another "
                    "--name, or start again with --force true."
                )

    def _lock(self) -> None:
        """Lock the run until this process ends.

        Raises:
            UsageError: another process trains the run.
        """
        if not self.trainer.is_global_zero or self._get(self.config_init, "trainer").fast_dev_run:
            return
        folder = self._checkpoint("last").parent.parent
        try:
            _held.enter_context(claimed(folder / ".lock"))
        except ClaimedError as error:
            raise UsageError(
                f"The run {folder} is trained by another process: wait, or choose another --name."
            ) from error

    def before_validate(self) -> None:
        """Load the requested checkpoint, by default the best one."""
        self._use_checkpoint(default="best")
        self.trainer.loggers = [
            FolderOnly(logger.log_dir) if logger.log_dir else logger  # no file of the training changes
            for logger in self.trainer.loggers
        ]

    before_test = before_predict = before_validate

    def after_fit(self) -> None:
        """Print the folder, the best score, and a command that uses the network."""
        folder = self._checkpoint("last").parent.parent  # every process must call this
        if not self.trainer.is_global_zero:
            return
        found = best_checkpoint(self.trainer)
        for warning in warnings_about(self.trainer, self.model):
            say(f"warning: {warning}")
        if found is not None:
            path, score, step = found
            reached = "no validation score" if score is None else f"best validation score {score:.4f}"
            say(f"{reached} at step {step}: {path}")
            if command := _use(self.model, path):
                say(f"use it with: {command}")
        say(f"the run is in {folder}")

    def after_predict(self) -> None:
        """Print the folder of the predictions."""
        say(f"the predictions are in {predictions_folder(self.trainer)}")

    def _checkpoint(self, name: str) -> Path:
        return Path(self.trainer.log_dir or self.trainer.default_root_dir) / "checkpoints" / f"{name}.ckpt"

    def _use_checkpoint(self, default: str | None = None) -> str | None:
        options = self.config_init[self.subcommand]
        asked = options.get("ckpt_path") or default
        if asked is None:
            return None
        path = self._checkpoint(asked) if asked in ("last", "best") else Path(asked)
        if not path.is_file():
            raise UsageError(f"There is no checkpoint {path}: train first, or name another with --ckpt_path.")
        self._check_fit(path)
        options["ckpt_path"] = str(path)
        options["weights_only"] = True
        return str(path)

    def _check_fit(self, path: Path) -> None:
        """Raise if a checkpoint belongs to another task or network, before its weights are loaded."""
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]
        except Exception as error:  # a damaged file can raise any of a dozen types
            raise ColorCNNError(
                f"{path} is not a readable checkpoint",
                "name another with --ckpt_path",
                code="damaged-checkpoint",
            ) from error
        mine = dict(self.model.hparams)
        names = [key for key in _DECISIVE if saved.get(key, mine.get(key)) != mine.get(key)]
        parameters = inspect.signature(type(self.model)).parameters.items()
        defaults = {**DEFAULTS, **{name: each.default for name, each in parameters}}
        # Older checkpoints lack newer options, which is fine if those have their defaults.
        odd = saved.keys() - mine.keys() | {
            key for key in mine.keys() - saved.keys() if mine[key] != defaults[key]
        }
        if odd or names:
            differing = ", ".join(sorted(odd)[:3] or names)
            raise UsageError(
                f"{path} holds another model than the configuration describes (they differ in {differing}): "
                "give the configuration it was trained with."
            )


def main(argv: list[str], runs: Path = RUNS) -> int:
    """Run ``colorcnn fit|validate|test|predict``.

    Args:
        argv: the subcommand and its options.
        runs: the folder of the runs' folders.

    Returns:
        The exit code.

    Raises:
        ColorCNNError: for everything a user can mend.
    """
    quiet_lightning()
    argv, modules = trust.take_allowed(argv)
    argv = prepare_arguments(argv)
    check_configs(argv)
    argv = flags_in_groups(argv)
    with _held, trust.limited(modules) as allowed, limited_parser(allowed):
        _run(argv, runs)
    return 0


def _run(argv: list[str], runs: Path) -> None:
    last = runs / run_name(argv) / "checkpoints" / "last.ckpt"
    try:
        ColorCNNCLI(
            Task,
            pl.LightningDataModule,
            trainer_class=Trainer,
            save_config_callback=_SaveFitConfig,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            trainer_defaults=trainer_defaults(run_name(argv), runs),
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_kwargs={
                "exit_on_error": False,
                "parser_mode": PARSER_MODE,
                **{name: {"epilog": _EPILOG, "parser_mode": PARSER_MODE} for name in _SUBCOMMANDS},
            },
            args=argv,
        )
    except SystemExit as stop:  # Lightning exits so after an interruption
        cause = stop.__context__
        if not isinstance(cause, KeyboardInterrupt):
            raise
        say(f"stopped, {kept(argv, last)}.")
        raise type(cause) from None
    except Exception as error:
        explanation = explained(error, argv, last)
        if explanation is error:
            raise
        raise explanation from None


def _use(task: pl.LightningModule, path: Path) -> str | None:
    """Return the command that uses a trained network, or None for a network of vectors."""
    quoted = shlex.quote(str(path))
    if isinstance(task, ColorCNNTask):
        method = shlex.quote(f"{task.hparams['architecture']}:{path}")
        return f"colorcnn quantize IMAGE --colors {task.scored_sizes[0]} --method {method}"
    if isinstance(task, ClassifierTask):
        return f"colorcnn evaluate DATA --classifier {quoted}"
    if isinstance(task, VQTask) and task.hparams.get("source_dimension") is None:
        return f"colorcnn compress IMAGE --model {quoted}"
    return None
