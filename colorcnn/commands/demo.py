"""``colorcnn demo``: train, compare and report on the built-in data set, in minutes."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shlex
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorcnn.commands.console import Parser, add_device_option, check_seed
from colorcnn.files import make_folder, refuse_existing, write_atomically
from colorcnn.records import Clock

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from colorcnn.data.datamodule import PhotoDigits
    from colorcnn.reporting.page import Entry

_log = logging.getLogger(__name__)

DESCRIPTION = """\
Train a small classifier on PhotoDigits (handwritten digits blended into photographs; nothing is
downloaded). Train a ColorCNN+ for it. Then measure how many images the classifier recognises with 2 to 64
colours from ColorCNN+, MedianCut, MedianCut with dithering, and octree. About 10 minutes on one core.
"""
EPILOG = """\
examples:
  colorcnn demo
  colorcnn demo --fast -o /tmp/demo --device auto
      a stopped demo resumes when the same command is run again

exit status: 0, 1 when the work failed, 2 for a wrong option, 130 and 143 when it was stopped.
"""
PROGRESS = ".unfinished.json"
"""File with the options of an unfinished demo, in its folder."""

SILENCE = 20.0
"""Maximum number of seconds without a line of output."""

FILES = ("results.json", "record.json", "grid.png", "curve.png", "report.html")
METHODS = ("median-cut", "median-cut+floyd-steinberg", "octree")
BITS = range(1, 7)
SHOWN_IMAGES = 10
CAPTION = (
    "Evenly spaced test images, on which the methods are about as accurate as on all test images. Above each "
    "column: the true class. Below each image: the predicted class. A red frame with a cross: the prediction "
    "is wrong."
)
SMOKE_TEST = "a smoke test: the networks are hardly trained, so the numbers mean nothing"
CLASSIFIER: dict[str, Any] = {
    "network": "resnet9",
    "network_kwargs": {"width": 12},
    "augment": {"crop": 2},
    "learning_rate": 0.05,
}
# The small recipe of experiments/colorcnn for CIFAR-10 (JPEG), without flips.
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
    """Amount of training in the demo."""

    train_images: int
    classifier_epochs: int
    quantizer_epochs: int
    validation_images: int
    test_images: int


FULL = Budget(
    train_images=8000, classifier_epochs=12, quantizer_epochs=12, validation_images=1000, test_images=2000
)
FAST = Budget(
    train_images=2000, classifier_epochs=6, quantizer_epochs=2, validation_images=200, test_images=500
)


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments of the command.

    Returns:
        0.

    Raises:
        ColorCNNError: results exist and --force was not given, or they cannot be written.
    """
    options = _parse(argv)
    options.resumes = _resumes(options)
    if not options.force and not options.resumes:
        for name in FILES:
            refuse_existing(options.out / name)
    make_folder(options.out)
    write_atomically(options.out / PROGRESS, json.dumps(_progress(options)).encode())
    command = shlex.join(["colorcnn", "demo", *argv])
    try:
        _run(options, command)
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning turns an interrupt into SystemExit
        cause = stop if isinstance(stop, KeyboardInterrupt) else stop.__context__
        if not isinstance(cause, KeyboardInterrupt):
            raise
        _log.info(f"stopped, the finished epochs are kept in {options.out}: resume with `{command}`.")
        raise type(cause) from None
    (options.out / PROGRESS).unlink(missing_ok=True)
    return 0


def _run(options: argparse.Namespace, command: str) -> None:
    import pytorch_lightning as pl

    from colorcnn.data.datamodule import PhotoDigits

    clock = Clock()
    _quiet_lightning()
    pl.seed_everything(options.seed, verbose=False)
    budget = FAST if options.fast else FULL
    data = PhotoDigits(
        train_size=budget.train_images,
        validation_size=budget.validation_images,
        test_size=budget.test_images,
        seed=options.seed,
    )
    pace = "about a minute" if options.fast else "4 to 10 minutes on two cores"
    _log.info(f"training two small networks and comparing methods in {options.out}: {pace}")
    if options.resumes:
        _log.info("resuming the unfinished demo in this folder")
    classifier_path = _train_classifier(data, budget, options)
    quantizer = _train_quantizer(data, budget, options, classifier_path)
    entry = _report(data, options, clock, command, classifier_path, quantizer)
    _print_table(entry)
    if options.fast:
        _log.info(SMOKE_TEST)
    _log.info(f"wrote {', '.join(str(options.out / name) for name in FILES)}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="colorcnn demo",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--fast", action="store_true", help="a smoke test of two minutes, whose numbers mean nothing")
    add("-o", "--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="(default: runs/demo)")
    add("--seed", type=int, default=0, metavar="N", help="seed of everything random (default: 0)")
    add_device_option(parser)
    add("--force", action="store_true", help="overwrite the results of an earlier demo")
    options = parser.parse_args(argv)
    check_seed(options.seed)
    return options


def _resumes(options: argparse.Namespace) -> bool:
    """Return True if the folder holds an unfinished demo of the same options. Other demos are forgotten."""
    path, content = options.out / PROGRESS, _progress(options)
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_bytes()) == content:
            return True
    path.unlink(missing_ok=True)
    return False


def _progress(options: argparse.Namespace) -> dict[str, Any]:
    return {"fast": options.fast, "seed": options.seed}


@contextlib.contextmanager
def _ticking(what: str) -> Iterator[None]:
    """Log every 20 seconds that work is in progress."""
    done = threading.Event()

    def tick() -> None:
        seconds = SILENCE
        while not done.wait(SILENCE):
            _log.info(f"{what}: {seconds:.0f} s so far")
            seconds += SILENCE

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _train_classifier(data: PhotoDigits, budget: Budget, options: argparse.Namespace) -> Path:
    from colorcnn.tasks.classifier import ClassifierTask

    _log.info("training the classifier on full-colour images")
    task = ClassifierTask(
        num_classes=data.num_classes, mean=list(data.mean), std=list(data.std), **CLASSIFIER
    )
    return _fit(task, data, budget.classifier_epochs, options, "classifier")


def _train_quantizer(
    data: PhotoDigits, budget: Budget, options: argparse.Namespace, classifier_path: Path
) -> Path:
    from colorcnn.tasks.colorcnn import ColorCNNTask

    _log.info("training ColorCNN+ for the frozen classifier")
    task = ColorCNNTask(
        classifiers=[str(classifier_path)],
        num_classes=data.num_classes,
        mean=list(data.mean),
        std=list(data.std),
        **QUANTIZER,
    )
    return _fit(task, data, budget.quantizer_epochs, options, "colorcnn-plus")


def _fit(
    task: pl.LightningModule, data: PhotoDigits, epochs: int, options: argparse.Namespace, name: str
) -> Path:
    """Train, from the last checkpoint of an unfinished demo if there is one. Return the last checkpoint."""
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.loggers import TensorBoardLogger

    from colorcnn.pretrained import find_device
    from colorcnn.tasks.callbacks import EpochSeed, Pictures, ScoreLog
    from colorcnn.tasks.checkpoints import WholeCheckpoints
    from colorcnn.tasks.progress import Heartbeat
    from colorcnn.tasks.trainer import Trainer

    path = options.out / name / "checkpoints" / "last.ckpt"
    start = path if options.resumes and path.is_file() else None
    device = find_device(options.device)
    last = ModelCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = Trainer(
        accelerator=device.type,
        devices=[device.index] if device.index is not None else 1,
        precision="auto",
        max_epochs=epochs,
        check_val_every_n_epoch=min(5, epochs),
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(options.out, name="", version=name),
        plugins=[WholeCheckpoints()],
        callbacks=[EpochSeed(options.seed), ScoreLog(), Pictures(), Heartbeat(_log.info, SILENCE), last],
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
    )
    trainer.fit(task, datamodule=data, ckpt_path=start, weights_only=True)
    return path


def _report(
    data: PhotoDigits,
    options: argparse.Namespace,
    clock: Clock,
    command: str,
    classifier_path: Path,
    quantizer: Path,
) -> Entry:
    """Evaluate on the test split and write all results."""
    from colorcnn.classifiers import load_classifier
    from colorcnn.evaluation.evaluate import evaluate
    from colorcnn.evaluation.gallery import PictureSource, typical
    from colorcnn.evaluation.scores import unpack_flags
    from colorcnn.methods import load_quantizer
    from colorcnn.reporting.figures.canvas import to_png
    from colorcnn.reporting.figures.curves import accuracy_curve
    from colorcnn.reporting.figures.gallery import grid_picture
    from colorcnn.reporting.page import Entry, write_report

    _log.info("evaluating on the test images")
    classifier = load_classifier(str(classifier_path))
    methods = {"colorcnn-plus": load_quantizer(f"colorcnn-plus:{quantizer}")}
    methods |= {name: load_quantizer(name) for name in METHODS}
    sizes = [2**bits for bits in BITS]
    with _ticking("evaluating"):
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
    source = PictureSource(shown, classifier, data.test, data.class_names)
    scores = [record.metrics["methods"][name]["scores"][str(size)] for name in shown for size in sizes[:2]]
    rows = typical([unpack_flags(score["correct"])[: result.n] for score in scores], SHOWN_IMAGES)
    grid = grid_picture(source, sizes[:2], count=SHOWN_IMAGES, rows=rows, caption=CAPTION)
    out, entry = options.out, Entry("", record)
    write_atomically(out / "results.json", (json.dumps(_results(record.metrics), indent=1) + "\n").encode())
    record.write(out / "record.json")
    write_atomically(out / "grid.png", grid.light)
    write_atomically(out / "curve.png", to_png(accuracy_curve(entry.view)))
    title = f"What a few colours keep of PhotoDigits{f' ({SMOKE_TEST})' if options.fast else ''}"
    write_report(entry, out / "report.html", title=title, pictures=[grid])
    return entry


def _results(metrics: Any) -> dict[str, Any]:
    """Return the accuracies: {"full": a, "accuracy": {method: {bits: a}}}, each in [0, 1]."""
    return {
        "full": metrics["original"]["accuracy"],
        "accuracy": {
            name: {str(bits): method["scores"][str(2**bits)]["accuracy"] for bits in BITS}
            for name, method in metrics["methods"].items()
        },
    }


def _print_table(entry: Entry) -> None:
    from colorcnn.reporting.page import summary
    from colorcnn.reporting.tables.evaluation import text_tables

    print(summary(entry), end="\n\n")
    print(text_tables(entry.view))


def _quiet_lightning() -> None:
    """Silence Lightning's messages."""
    import logging
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
