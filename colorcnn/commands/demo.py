"""``colorcnn demo``: the whole job on the embedded data set, from training to a report, in minutes."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.errors import check_at_least
from colorcnn.files import make_folder, refuse_existing, write_atomically
from colorcnn.records import Clock

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from colorcnn.data.datamodule import PhotoDigits
    from colorcnn.records import Record

_log = logging.getLogger(__name__)

DESCRIPTION = """\
Train a small classifier on PhotoDigits (handwritten digits blended into photographs; nothing is
downloaded), train a ColorCNN+ against it, and compare what the classifier still recognises at 2 to 64
colours with MedianCut, MedianCut with dithering, and octree. Under 10 minutes on two cores.
"""
FILES = ("results.json", "record.json", "grid.png", "curve.png", "report.html")
METHODS = ("median-cut", "median-cut+floyd-steinberg", "octree")
BITS = range(1, 7)
SHOWN_IMAGES = 10
SMOKE_TEST = "a smoke test: the networks have hardly been trained, and the numbers show nothing"
CLASSIFIER: dict[str, Any] = {
    "network": "resnet9",
    "network_kwargs": {"width": 12},
    "augment": {"crop": 2},
    "learning_rate": 0.05,
}
# The light recipe of experiments/colorcnn for CIFAR-10 (JPEG); digits are not flipped.
QUANTIZER: dict[str, Any] = {
    "quantizer_kwargs": {"backbone": "unet", "backbone_kwargs": {"width": 16, "depth": 3}},
    "size_weights": [3, 2, 1, 1, 1, 1],
    "task_batches": 4,
    "regularization_weight": 0.1,
    "information_weight": 3.0,
    "confidence_weight": 10.0,
    "confidence_schedule": "sigmoid",
    "imitation_weight": 10.0,
    "imitation_schedule": "sigmoid",
    "imitation_pixels": 0.5,
    "jitter": 0.0,
    "jitter_contrast": 1.0,
    "contrast": 0.3,
    "brightness": 0.1,
    "flip_before": False,
    "augment": {"crop": 2},
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "schedule": "onecycle",
}


@dataclass(frozen=True)
class Budget:
    """How much the demo trains: the whole job, or a smoke test of it."""

    train_images: int
    classifier_epochs: int
    quantizer_epochs: int
    test_images: int


FULL = Budget(train_images=8000, classifier_epochs=12, quantizer_epochs=12, test_images=2000)
FAST = Budget(train_images=2000, classifier_epochs=6, quantizer_epochs=2, test_images=500)


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: its arguments.

    Returns:
        0.

    Raises:
        ColorCNNError: results exist and --force was not given, or they cannot be written.
    """
    options = _parse(argv)
    if not options.force:
        for name in FILES:
            refuse_existing(options.out / name)
    make_folder(options.out)
    import pytorch_lightning as pl

    from colorcnn.data.datamodule import PhotoDigits

    clock = Clock()
    _quiet_lightning()
    pl.seed_everything(options.seed, verbose=False)
    budget = FAST if options.fast else FULL
    data = PhotoDigits(train_size=budget.train_images, test_size=budget.test_images, seed=options.seed)
    judge = _train_classifier(data, budget, options)
    quantizer = _train_quantizer(data, budget, options, judge)
    record = _report(data, options, clock, shlex.join(["colorcnn", "demo", *argv]), judge, quantizer)
    _print_table(record)
    if options.fast:
        _log.info(SMOKE_TEST)
    _log.info(f"wrote {', '.join(str(options.out / name) for name in FILES)}")
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="colorcnn demo", description=DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("--fast", action="store_true", help="a smoke test of a minute, whose numbers show nothing")
    add("-o", "--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="(default: runs/demo)")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    add("--force", action="store_true", help="overwrite the results of an earlier demo")
    options = parser.parse_args(argv)
    check_at_least(0, **{"--seed": options.seed})
    return options


def _train_classifier(data: PhotoDigits, budget: Budget, options: argparse.Namespace) -> Path:
    from colorcnn.tasks.classifier import ClassifierTask

    _log.info("training the classifier on full-colour images")
    task = ClassifierTask(
        num_classes=data.num_classes, mean=list(data.mean), std=list(data.std), **CLASSIFIER
    )
    return _fit(task, data, budget.classifier_epochs, options, "classifier")


def _train_quantizer(data: PhotoDigits, budget: Budget, options: argparse.Namespace, judge: Path) -> Path:
    from colorcnn.tasks.colorcnn import ColorCNNTask

    _log.info("training ColorCNN+ against the frozen classifier")
    task = ColorCNNTask(
        classifiers=[str(judge)],
        num_classes=data.num_classes,
        mean=list(data.mean),
        std=list(data.std),
        **QUANTIZER,
    )
    return _fit(task, data, budget.quantizer_epochs, options, "colorcnn-plus")


def _fit(
    task: pl.LightningModule, data: PhotoDigits, epochs: int, options: argparse.Namespace, name: str
) -> Path:
    """Train, and return the last checkpoint."""
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.loggers import TensorBoardLogger

    from colorcnn.tasks.callbacks import EpochSeed, Pictures, ScoreLog
    from colorcnn.tasks.checkpoints import WholeCheckpoints
    from colorcnn.tasks.trainer import Trainer

    last = ModelCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = Trainer(
        accelerator="cpu",
        precision="auto",
        max_epochs=epochs,
        check_val_every_n_epoch=min(5, epochs),
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(options.out, name="", version=name),
        plugins=[WholeCheckpoints()],
        callbacks=[EpochSeed(options.seed), ScoreLog(), Pictures(), last],
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
    )
    trainer.fit(task, datamodule=data)
    return Path(last.best_model_path)


def _report(
    data: PhotoDigits, options: argparse.Namespace, clock: Clock, command: str, judge: Path, quantizer: Path
) -> Record:
    """Evaluate on the test split and write everything there is to look at."""
    from colorcnn.classifiers import load_classifier
    from colorcnn.evaluation.evaluate import evaluate
    from colorcnn.methods import load_quantizer
    from colorcnn.reporting.figures.curves import accuracy_curve, to_png
    from colorcnn.reporting.figures.gallery import grid_picture
    from colorcnn.reporting.page import write_report

    _log.info("evaluating on the test images")
    classifier = load_classifier(str(judge))
    methods = {"colorcnn-plus": load_quantizer(f"colorcnn-plus:{quantizer}")}
    methods |= {name: load_quantizer(name) for name in METHODS}
    sizes = [2**bits for bits in BITS]
    result = evaluate(methods, classifier, data.test_dataloader(), sizes, num_classes=data.num_classes)
    record = clock.record(
        command,
        n=result.n,
        metrics=result.to_json(),
        config={
            "data": data.name,
            "split": "test",
            "classifier": CLASSIFIER["network"],
            "classifier options": CLASSIFIER,
            "colorcnn-plus": QUANTIZER,
        },
        seeds={"seed": options.seed},
    )
    shown = {name: methods[name] for name in ("median-cut", "colorcnn-plus")}
    grid = grid_picture(shown, classifier, data.test, data.class_names, sizes[:2], count=SHOWN_IMAGES)
    out = options.out
    write_atomically(out / "results.json", (json.dumps(_results(record.metrics), indent=1) + "\n").encode())
    record.write(out / "record.json")
    write_atomically(out / "grid.png", grid.light)
    write_atomically(out / "curve.png", to_png(accuracy_curve(record.metrics)))
    title = f"What a few colours keep of PhotoDigits{f' ({SMOKE_TEST})' if options.fast else ''}"
    write_report(record, out / "report.html", title=title, pictures=[grid])
    return record


def _results(metrics: Any) -> dict[str, Any]:
    """The accuracies alone: {"full": a, "accuracy": {method: {bits: a}}}, each in [0, 1]."""
    return {
        "full": metrics["original"]["accuracy"],
        "accuracy": {
            name: {str(bits): method["scores"][str(2**bits)]["accuracy"] for bits in BITS}
            for name, method in metrics["methods"].items()
        },
    }


def _print_table(record: Record) -> None:
    from colorcnn.reporting.page import summary
    from colorcnn.reporting.tables.evaluation import text_table

    print(summary(record), end="\n\n")
    print(text_table(record.metrics))


def _quiet_lightning() -> None:
    """Leave the terminal to the progress bars."""
    import logging
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
